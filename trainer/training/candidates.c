/* Dictionaries of mixtures: where their atoms start, and rows of the data as candidate points.
 *
 * With --points all every row of the data is a candidate. The rows stay in the data, from which the dictionary reads
 * those that it considers; a checkpoint holds the ones that atoms have. Atoms start on rows of their own: those nearest
 * to the centers of k-means, the first ones (eye), random ones (permuted), or on mixtures of random ones (random). */
#include "training/training.h"

#include "ra_memory.h"

#include <math.h>
#include <string.h>

bool train_plan_reads_rows(const train_plan *plan) {
    return plan->source == POINTS_ROWS && plan->sae.mixture > 0 &&
           plan->sae.dictionary == RA_DICTIONARY_ARCHETYPAL;
}

/* ---- rows of the data ---------------------------------------------------------------------------------- */

static ra_status read_rows(void *context, const uint64_t *numbers, size_t n, float *rows, ra_error *err) {
    (void)err;
    ra_data_gather(context, numbers, n, rows);
    return RA_OK;
}

static ra_point_source rows_of(ra_data *data) {
    return (ra_point_source){.count = ra_data_rows(data), .read = read_rows, .context = data};
}

/* The number, among the rows that are used, of a row in the files. */
static uint64_t used_row(const ra_data *data, uint64_t source_row) {
    size_t count, low = 0;
    const uint64_t *skipped = ra_data_skipped(data, &count);
    for (size_t high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (skipped[middle] < source_row)
            low = middle + 1;
        else
            high = middle;
    }
    return source_row - low;
}

/* ---- where atoms start --------------------------------------------------------------------------------- */

static size_t start_count(const train_run *run) {
    size_t rows = ra_data_rows(run->inputs->data), K = run->plan->concepts;
    size_t wanted = run->plan->train.init == RA_INIT_RANDOM ? K * RA_INIT_RANDOM_POINTS : K;
    return wanted < rows ? wanted : rows;
}

/* numbers [count] <- the rows that atoms start on, or on mixtures of which. */
static ra_status choose_rows(const train_run *run, uint64_t seed, uint64_t *numbers, size_t count,
                             ra_error *err) {
    const ra_data *data = run->inputs->data;
    switch (run->plan->train.init) {
    case RA_INIT_KMEANS:
        for (size_t k = 0; k < count; k++)
            numbers[k] = used_row(data, (uint64_t)run->points.row[k * run->points.nearest]);
        return RA_OK;
    case RA_INIT_EYE:
        for (size_t k = 0; k < count; k++) numbers[k] = k;
        return RA_OK;
    default:
        return ra_points_draw(ra_data_rows(data), count, seed, numbers, err);
    }
}

static ra_status start_on_rows(const train_run *run, uint64_t seed, ra_matrix *points, uint64_t **numbers,
                               ra_error *err) {
    size_t count = start_count(run);
    *numbers = ra_malloc(count, sizeof **numbers);
    if (!*numbers) RA_FAIL_MEMORY(err, "the rows that atoms start on", count * sizeof **numbers);
    RA_TRY(choose_rows(run, seed, *numbers, count, err));
    RA_TRY(ra_matrix_init(points, count, ra_data_dimensions(run->inputs->data), err));
    ra_data_gather(run->inputs->data, *numbers, count, points->data);
    return RA_OK;
}

/* ---- delta --------------------------------------------------------------------------------------------- */

double train_delta(const ra_sae_settings *sae, const ra_matrix *points) {
    double sum = 0;
    if (!sae->delta_relative) return sae->delta;
    for (size_t i = 0; i < points->rows; i++) {
        const float *row = ra_matrix_row(points, i);
        double square = 0;
        for (size_t j = 0; j < points->cols; j++) square += (double)row[j] * (double)row[j];
        sum += sqrt(square);
    }
    return points->rows ? sae->delta * sum / (double)points->rows : 0;
}

/* ---- the dictionary ------------------------------------------------------------------------------------ */

ra_status train_mixture_new(const train_run *run, ra_sae_settings *sae, uint64_t seed,
                            ra_dictionary **dictionary, ra_error *err) {
    bool rows = train_plan_reads_rows(run->plan);
    ra_init init = (ra_init)run->plan->train.init;
    ra_matrix start = {0};
    uint64_t *numbers = NULL;
    ra_status status = RA_OK;
    *dictionary = NULL;
    if (rows) RA_TRY_OUT(status, start_on_rows(run, seed, &start, &numbers, err));
    const ra_matrix *C = rows ? &start : &run->points.vectors;
    const ra_tensor points = ra_tensor_2d(RA_F32, C->data, C->rows, C->cols);
    sae->delta = train_delta(sae, C);
    sae->delta_relative = false;
    RA_TRY_OUT(status, ra_mixture_dictionary_new(run->backend, C->cols, run->plan->concepts, sae->mixture,
                                                 &points, (float)sae->delta, sae->hull_share,
                                                 sae->use_multiplier, dictionary, err));
    if (!rows || init == RA_INIT_RANDOM) /* else each atom starts on the row that was chosen for it */
        RA_TRY_OUT(status, ra_archetypal_dictionary_init(*dictionary, init, seed, err));
    const ra_point_source source = rows_of(run->inputs->data);
    if (rows) RA_TRY_OUT(status, ra_mixture_set_source(*dictionary, &source, numbers, err));
out:
    if (status != RA_OK) {
        ra_dictionary_free(*dictionary);
        *dictionary = NULL;
    }
    ra_matrix_release(&start);
    ra_free(numbers);
    return status;
}

/* ---- files --------------------------------------------------------------------------------------------- */

ra_status train_mixture_resume(const train_run *run, const ra_safetensors *file, ra_sae *sae, ra_error *err) {
    static const char name[] = "dictionary.C.number";
    const ra_tensor *number = ra_safetensors_find(file, name);
    ra_dictionary *dictionary = ra_sae_dictionary(sae);
    size_t rows = ra_data_rows(run->inputs->data), count;
    if (!number) return RA_OK;
    const ra_tensor *C = ra_safetensors_find(file, "dictionary.C");
    if (number->dtype != RA_I64 || number->rank != 1 || !C || number->shape[0] != C->shape[0])
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s is %s, expected I64 [N], one number per point",
                ra_safetensors_path(file), name, ra_dtype_name(number->dtype));
    const uint64_t *numbers = number->data;
    count = number->shape[0];
    for (size_t i = 0; i < count; i++)
        if (numbers[i] >= rows)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %lld for point %zu, but the data has %zu rows",
                    ra_safetensors_path(file), name, (long long)numbers[i], i, rows);
    if (!run->inputs->labels && ra_safetensors_find(file, "points.row_labels"))
        ra_log(RA_LOG_WARNING,
               "%s has labels of its points, but atoms may take other rows: give --labels again to keep them",
               ra_safetensors_path(file));
    const ra_point_source source = rows_of(run->inputs->data);
    RA_TRY(ra_mixture_set_source(dictionary, &source, numbers, err));
    ra_sae_changed(sae);
    return RA_OK;
}

ra_status train_mixture_store(const train_run *run, const ra_sae *sae, ra_safetensors_writer *writer,
                              ra_points *points, char **labels_text, ra_error *err) {
    const ra_mixture_points *used = ra_sae_stored_points(sae);
    const ra_data *data = run->inputs->data;
    points->nearest = 1;
    points->vectors.rows = used->count; /* their vectors are in dictionary.C */
    points->row = ra_malloc(used->count, sizeof *points->row);
    points->row_distance = ra_calloc(used->count, sizeof *points->row_distance);
    if (!points->row || !points->row_distance)
        RA_FAIL_MEMORY(err, "the rows of the points", used->count * sizeof *points->row);
    for (size_t j = 0; j < used->count; j++)
        points->row[j] = (int32_t)ra_data_source_row(data, used->number[j]);
    return ra_points_store(points, run->inputs->labels, writer, labels_text, err);
}
