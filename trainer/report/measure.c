/* Measurements for the page. The training knows which latents fired, but on batches during which the weights
 * changed; here the finished model is measured, as users of the file will see it. */
#include "report/report.h"

#include "common/command.h"
#include "common/files.h"

#include <math.h>

/* K d rows of encoding: some seconds. Never fewer than ROWS_LEAST, or rare latents would all look dead. */
static const double PRODUCTS_MOST = 4e11;
enum { ROWS_LEAST = 4096 };

void report_measures_release(report_measures *measures) {
    ra_free(measures->density);
    ra_free(measures->mean);
    ra_free(measures->singular);
    *measures = (report_measures){0};
}

/* ---- latents ------------------------------------------------------------------------------------------ */

static void count_codes(const ra_codes *codes, uint32_t *fired, double *sum) {
    for (size_t i = 0; i < ra_codes_entries(codes); i++)
        if (codes->value[i] != 0) {
            fired[codes->index[i]]++;
            sum[codes->index[i]] += (double)codes->value[i];
        }
}

static size_t rows_wanted(const ra_model_info *info, size_t rows) {
    double most = fmax(ROWS_LEAST, PRODUCTS_MOST / ((double)info->concepts * (double)info->dimensions));
    most = fmin(most, REPORT_ROWS);
    return (double)rows < most ? rows : (size_t)most;
}

typedef struct census {
    uint32_t *fired; /* [K] */
    double *sum;     /* [K] */
    ra_matrix block;
    ra_codes codes;
    ra_workspace *workspace;
} census;

/* Reads blocks of rows at even distances. */
static ra_status take_census(const ra_model *model, const ra_data *data, census *c, progress_meter *progress,
                             size_t *seen, ra_error *err) {
    size_t all = ra_data_rows(data), wanted = rows_wanted(ra_model_get_info(model), all);
    size_t size = c->block.rows, blocks = (wanted + size - 1) / size;
    progress_start(progress, "measuring for the report", blocks);
    for (size_t b = 0; b < blocks; b++) {
        size_t first = blocks * size >= all ? b * size : (size_t)((double)b / (double)blocks * (double)all);
        size_t count = all - first < size ? all - first : size;
        if (command_interrupted())
            RA_FAIL(err, RA_ERR_CANCELED, "interrupted while measuring for the report");
        ra_data_read(data, first, count, c->block.data);
        RA_TRY(ra_model_encode(model, c->workspace, c->block.data, count, &c->codes, err));
        count_codes(&c->codes, c->fired, c->sum);
        *seen += count;
        if (b + 1 < blocks && progress_due(progress, b + 1))
            progress_show(progress, b + 1, (double)*seen, NULL, 0);
    }
    return RA_OK;
}

static ra_status measure_latents(const ra_model *model, const ra_data *data, progress_meter *progress,
                                 report_measures *measures, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    size_t K = info->concepts, d = info->dimensions;
    ra_status status;
    census c = {.fired = ra_calloc(K, sizeof *c.fired), .sum = ra_calloc(K, sizeof *c.sum)};
    measures->density = ra_malloc(K, sizeof *measures->density);
    measures->mean = ra_malloc(K, sizeof *measures->mean);
    if (!c.fired || !c.sum || !measures->density || !measures->mean) {
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: counts of %zu latents", K);
        goto out;
    }
    RA_TRY_OUT(status, ra_workspace_new(&c.workspace, err));
    RA_TRY_OUT(status, ra_matrix_init(&c.block, rows_per_block(info), d, err));
    RA_TRY_OUT(status, take_census(model, data, &c, progress, &measures->rows, err));
    for (size_t k = 0; k < K; k++) {
        measures->density[k] = (float)((double)c.fired[k] / (double)measures->rows);
        measures->mean[k] = (float)(c.sum[k] / (double)measures->rows);
    }
out:
    ra_free(c.fired);
    ra_free(c.sum);
    ra_matrix_release(&c.block);
    ra_codes_release(&c.codes);
    ra_workspace_free(c.workspace);
    return status;
}

/* ---- the spectrum ------------------------------------------------------------------------------------- */

static void measure_ranks(report_measures *measures) {
    double sum = 0, squares = 0, entropy = 0;
    for (size_t i = 0; i < measures->singular_count; i++) {
        sum += measures->singular[i];
        squares += measures->singular[i] * measures->singular[i];
    }
    for (size_t i = 0; i < measures->singular_count; i++) {
        double share = measures->singular[i] / sum;
        if (share > 0) entropy -= share * log(share);
    }
    double largest = measures->singular_count ? measures->singular[0] : 0;
    measures->stable_rank = largest > 0 ? squares / (largest * largest) : 0;
    measures->effective_rank = largest > 0 ? exp(entropy) : 0;
}

static ra_status measure_spectrum(const ra_model *model, ra_backend *backend, report_measures *measures,
                                  ra_error *err) {
    const ra_tensor *D = ra_model_dictionary(model);
    size_t K = D->shape[0], d = D->shape[1], n = K < d ? K : d;
    if (n > REPORT_SPECTRUM) return RA_OK;
    ra_matrix vectors;
    measures->singular = ra_malloc(n, sizeof *measures->singular);
    if (!measures->singular) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu singular values", n);
    RA_TRY(ra_matrix_init(&vectors, K, d, err));
    ra_convert_to_f32(D->dtype, D->data, vectors.data, K * d);
    ra_backend *host = NULL;
    ra_status status = ra_backend_open_host(backend, &host, err);
    if (status == RA_OK)
        status = ra_metric_singular_values(host, vectors.data, K, d, measures->singular, err);
    ra_backend_release(host);
    ra_matrix_release(&vectors);
    RA_TRY(status);
    measures->singular_count = n;
    measure_ranks(measures);
    return RA_OK;
}

ra_status report_measure(ra_model *model, ra_backend *backend, const ra_data *data, progress_meter *progress,
                         report_measures *measures, ra_error *err) {
    *measures = (report_measures){0};
    ra_status status = measure_spectrum(model, backend, measures, err);
    if (status == RA_OK && ra_model_get_info(model)->has_encoder)
        status = measure_latents(model, data, progress, measures, err);
    if (status != RA_OK) report_measures_release(measures);
    return status;
}
