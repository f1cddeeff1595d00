/* Candidate points: from k-means, a random sample or a file, each with the data rows nearest to it. */
#include "points/kmeans/kmeans.h"
#include "ra_memory.h"
#include "base/random.h"

#include <string.h>

void ra_points_release(ra_points *points) {
    ra_matrix_release(&points->vectors);
    ra_free(points->row);
    ra_free(points->row_distance);
    *points = (ra_points){0};
}

/* Rows as the files count them, by which labels go. */
static ra_status number_by_source(const ra_data *data, ra_points *points, ra_error *err) {
    if (ra_data_source_rows(data) > INT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "the data files have %zu rows; nearest rows can be kept of at most %d",
                ra_data_source_rows(data), INT32_MAX);
    for (size_t e = 0; e < points->vectors.rows * points->nearest; e++)
        if (points->row[e] >= 0) points->row[e] = (int32_t)ra_data_source_row(data, (uint64_t)points->row[e]);
    return RA_OK;
}

static ra_status find_rows(ra_backend *backend, const ra_data *data, size_t wanted, ra_points *points,
                           ra_error *err) {
    size_t N = points->vectors.rows, R = wanted ? wanted : RA_POINT_ROWS_DEFAULT, entries;
    if (__builtin_mul_overflow(N, R, &entries))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%zu nearest rows of each of %zu points are too many", R, N);
    points->nearest = R;
    points->row = ra_malloc(entries, sizeof *points->row);
    points->row_distance = ra_malloc(entries, sizeof *points->row_distance);
    if (!points->row || !points->row_distance)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu nearest rows of each of %zu points", R, N);
    ra_nearest nearest;
    RA_TRY(ra_nearest_init(&nearest, backend, data, NULL, 0, N, err));
    ra_nearest_set(&nearest, points->vectors.data);
    ra_status status = ra_nearest_rows(&nearest, R, points->row, points->row_distance, err);
    ra_nearest_release(&nearest);
    if (status == RA_OK) status = number_by_source(data, points, err);
    return status;
}

ra_status ra_points_kmeans(ra_backend *backend, const ra_data *data, const ra_kmeans_options *options,
                           ra_points *points, ra_error *err) {
    *points = (ra_points){0};
    ra_status status = ra_kmeans_run(backend, data, options, points, err);
    if (status == RA_OK) status = find_rows(backend, data, options->nearest, points, err);
    if (status != RA_OK) ra_points_release(points);
    return status;
}

/* ---- random rows -------------------------------------------------------------------------------------- */

static ra_status take_rows(const ra_data *data, size_t count, uint64_t seed, ra_matrix *vectors,
                           ra_error *err) {
    size_t rows = ra_data_rows(data);
    if (count < 1 || count > rows)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "%zu random rows were asked for as points; the data have %zu rows, "
                "expected 1 to %zu",
                count, rows, rows);
    RA_TRY(ra_matrix_init(vectors, count, ra_data_dimensions(data), err));
    uint64_t *chosen = ra_malloc(count, sizeof *chosen);
    if (!chosen) RA_FAIL_MEMORY(err, "the numbers of random rows", count * sizeof *chosen);
    ra_random random;
    ra_random_seed(&random, seed);
    ra_random_sample(&random, rows, chosen, count);
    ra_data_gather(data, chosen, count, vectors->data);
    ra_free(chosen);
    return RA_OK;
}

ra_status ra_points_sample(ra_backend *backend, const ra_data *data, size_t count, uint64_t seed,
                           size_t nearest, ra_points *points, ra_error *err) {
    *points = (ra_points){0};
    ra_status status = take_rows(data, count, seed, &points->vectors, err);
    if (status == RA_OK) status = find_rows(backend, data, nearest, points, err);
    if (status != RA_OK) ra_points_release(points);
    return status;
}

/* ---- given points ------------------------------------------------------------------------------------- */

static ra_status check_vectors(const ra_tensor *vectors, const ra_data *data, ra_error *err) {
    char shape[128];
    ra_shape_text(vectors->rank, vectors->shape, shape, sizeof shape);
    if (!ra_dtype_is_float(vectors->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "the points are %s numbers; expected F32, F16 or BF16",
                ra_dtype_name(vectors->dtype));
    if (vectors->rank != 2 || vectors->shape[0] == 0 || vectors->shape[1] == 0)
        RA_FAIL(err, RA_ERR_SHAPE,
                "the points have the shape %s; expected [points, d] with at least one of each", shape);
    if (data && vectors->shape[1] != ra_data_dimensions(data))
        RA_FAIL(err, RA_ERR_SHAPE, "the points have the shape %s; expected [points, %zu], as the data have",
                shape, ra_data_dimensions(data));
    return RA_OK;
}

static ra_status copy_vectors(const ra_tensor *vectors, ra_matrix *copy, ra_error *err) {
    RA_TRY(ra_matrix_init(copy, vectors->shape[0], vectors->shape[1], err));
    size_t elements = copy->rows * copy->cols;
    ra_convert_to_f32(vectors->dtype, vectors->data, copy->data, elements);
    size_t bad = ra_find_not_finite(copy->data, elements);
    if (bad < elements)
        RA_FAIL(err, RA_ERR_NOT_FINITE,
                "the points hold a NaN or an infinity in row %zu, column %zu (counted from 0); expected "
                "finite numbers",
                bad / copy->cols, bad % copy->cols);
    return RA_OK;
}

ra_status ra_points_from(ra_backend *backend, const ra_tensor *vectors, const ra_data *data, size_t nearest,
                         ra_points *points, ra_error *err) {
    *points = (ra_points){0};
    RA_TRY(check_vectors(vectors, data, err));
    ra_status status = copy_vectors(vectors, &points->vectors, err);
    if (status == RA_OK && data) status = find_rows(backend, data, nearest, points, err);
    if (status != RA_OK) ra_points_release(points);
    return status;
}

/* ---- storing ------------------------------------------------------------------------------------------ */

/* Within a line a tab ends a label and a newline the point, so neither may stand in a label. */
static void copy_label(char *to, const char *label, size_t length) {
    for (size_t i = 0; i < length; i++)
        to[i] = label[i] == '\t' || label[i] == '\n' || label[i] == '\r' ? ' ' : label[i];
}

static const char *label_of(const ra_points *points, const ra_labels *labels, size_t entry) {
    return points->row[entry] < 0 ? "" : ra_labels_at(labels, (size_t)points->row[entry]);
}

static ra_status write_labels(const ra_points *points, const ra_labels *labels, char **text, size_t *size,
                              ra_error *err) {
    size_t entries = points->vectors.rows * points->nearest, bytes = 0, used = 0;
    for (size_t e = 0; e < entries; e++) {
        const char *label = label_of(points, labels, e);
        if (!label)
            RA_FAIL(err, RA_ERR_SHAPE,
                    "row %d of the data has no label: there are %zu labels, expected one a row",
                    (int)points->row[e], ra_labels_count(labels));
        bytes += strlen(label) + 1;
    }
    *text = ra_malloc(bytes, 1);
    if (!*text) RA_FAIL_MEMORY(err, "the labels of the points' rows", bytes);
    for (size_t e = 0; e < entries; e++) {
        const char *label = label_of(points, labels, e);
        size_t length = strlen(label);
        copy_label(*text + used, label, length);
        used += length;
        (*text)[used++] = (e + 1) % points->nearest ? '\t' : '\n';
    }
    *size = used;
    return RA_OK;
}

ra_status ra_points_store(const ra_points *points, const ra_labels *labels, ra_safetensors_writer *writer,
                          char **text, ra_error *err) {
    size_t N = points->vectors.rows, R = points->nearest, size = 0;
    char *block = NULL;
    *text = NULL;
    if (R == 0) return RA_OK; /* nothing is known of the data */
    if (labels) RA_TRY(write_labels(points, labels, &block, &size, err));
    ra_tensor row = ra_tensor_2d(RA_I32, points->row, N, R);
    ra_tensor distance = ra_tensor_2d(RA_F32, points->row_distance, N, R);
    ra_tensor lines = ra_tensor_1d(RA_U8, block, size);
    ra_status status = ra_safetensors_writer_tensor(writer, "points.rows", &row, err);
    if (status == RA_OK) status = ra_safetensors_writer_tensor(writer, "points.row_distance", &distance, err);
    if (status == RA_OK && block)
        status = ra_safetensors_writer_tensor(writer, "points.row_labels", &lines, err);
    if (status != RA_OK) {
        ra_free(block);
        return status;
    }
    *text = block;
    return RA_OK;
}
