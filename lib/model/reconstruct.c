/* Codes to activations: a product of a sparse matrix with D, which the backend computes from D in its own
 * type. */
#include "model/model.h"

#include <math.h>

enum { CHUNK_NUMBERS = 16 << 20, MOST_ROWS = 4096 }; /* of x_hat on a device: at most 64 MiB */

/* The caller promises valid indices and values. They are checked all the same: a wrong index would read
 * outside of D, and the check costs one comparison per d multiplications. */
static ra_status check_codes(const ra_model *model, const ra_codes *codes, ra_error *err) {
    size_t concepts = model->info.concepts;
    if (codes->latents != concepts)
        RA_FAIL(err, RA_ERR_SHAPE, "the codes have %zu latents; expected %zu, the atoms of %s",
                codes->latents, concepts, model->info.path);
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            if (codes->index[e] < 0 || (size_t)codes->index[e] >= concepts)
                RA_FAIL(err, RA_ERR_ARGUMENT, "row %zu of the codes has the index %d; expected 0 to %zu", b,
                        codes->index[e], concepts - 1);
            if (!isfinite(codes->value[e]))
                RA_FAIL(err, RA_ERR_NOT_FINITE, "row %zu of the codes has no finite value for latent %d", b,
                        codes->index[e]);
        }
    return RA_OK;
}

static size_t rows_at_a_time(const ra_model *model) {
    size_t rows = CHUNK_NUMBERS / model->info.dimensions;
    return rows < 1 ? 1 : rows < MOST_ROWS ? rows : MOST_ROWS;
}

size_t ra_model_reconstruct_scratch(const ra_model *model) {
    return ra_spans_bytes(&(ra_span){.bytes = rows_at_a_time(model) * model->info.dimensions * sizeof(float)},
                          1);
}

static ra_status decode(const ra_model *model, ra_execution *execution, const ra_codes *codes,
                        const ra_span *span, float *x_hat, ra_error *err) {
    size_t d = model->info.dimensions;
    float *output = ra_execution_output(execution, x_hat, span);
    RA_TRY(ra_stream_decode(execution->stream, codes, model->info.dtype, model->resident.dictionary, d,
                            output, err));
    return ra_execution_download(execution, output, x_hat, codes->rows * d, err);
}

/* In chunks of rows: on a device that limits the memory for x_hat, and where the caller may cancel the work it ends
 * soon. */
ra_status ra_model_decode(const ra_model *model, ra_workspace *workspace, const ra_codes *codes, float *x_hat,
                          ra_error *err) {
    ra_execution *execution = NULL;
    size_t d = model->info.dimensions, rows = codes->rows, chunk = rows_at_a_time(model);
    RA_TRY(check_codes(model, codes, err));
    if (rows == 0) return RA_OK;
    RA_TRY(ra_execution_open(&workspace->executions, model->backend, &execution, err));
    if ((!execution->remote && !workspace->canceled) || chunk > rows) chunk = rows;
    ra_span span = {.bytes = execution->remote ? chunk * d * sizeof(float) : 0};
    RA_TRY(ra_execution_reserve(execution, "reconstructions", &span, 1, err));
    ra_status status = RA_OK;
    for (size_t from = 0; from < rows && status == RA_OK; from += chunk) {
        const ra_codes *part = chunk == rows ? codes : &workspace->chunk;
        status = ra_workspace_check(workspace, err);
        if (status == RA_OK && chunk < rows)
            status = ra_codes_slice(codes, from, rows - from < chunk ? rows - from : chunk, &workspace->chunk,
                                    err);
        if (status == RA_OK) status = decode(model, execution, part, &span, x_hat + from * d, err);
    }
    return ra_execution_finish(execution, status);
}

/* A device multiplies dense codes, in an order that depends on the number of rows, and perhaps with TF32. If
 * each of several codes has few entries per row, all together do. */
bool ra_model_may_join(const ra_model *model, const ra_codes *codes) {
    return ra_backend_host_memory(model->backend) || codes->rows == 0 ||
           ra_codes_entries(codes) / codes->rows <= codes->latents / RA_DENSE_SHARE;
}

ra_status ra_model_reconstruct(const ra_model *model, ra_workspace *workspace, const ra_codes *codes,
                               float *x_hat, ra_error *err) {
    RA_TRY(ra_model_decode(model, workspace, codes, x_hat, err));
    ra_model_unstandardize(model, x_hat, codes->rows);
    return RA_OK;
}
