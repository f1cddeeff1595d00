/* Candidate points: from k-means, a random sample, given vectors or a checkpoint, each with the data rows
 * that are nearest to it. */
#include "points/kmeans/kmeans.h"
#include "ra_memory.h"
#include "ra_text.h"
#include "base/random.h"

#include <string.h>

void ra_points_release(ra_points *points) {
    ra_matrix_release(&points->vectors);
    ra_free(points->row);
    ra_free(points->row_distance);
    *points = (ra_points){0};
}

/* The numbers of the rows in the files, as the labels have them. */
static ra_status number_by_source(const ra_data *data, ra_points *points, ra_error *err) {
    if (ra_data_source_rows(data) > INT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "the data files have %zu rows; nearest rows can be found among at most %d",
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

ra_status ra_points_draw(size_t rows, size_t count, uint64_t seed, uint64_t *chosen, ra_error *err) {
    if (count < 1 || count > rows)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "%zu random rows cannot be points: the data have %zu rows; expected 1 to %zu", count, rows,
                rows);
    ra_random random;
    ra_random_seed(&random, seed);
    ra_random_sample(&random, rows, chosen, count);
    return RA_OK;
}

static ra_status take_rows(const ra_data *data, size_t count, uint64_t seed, ra_matrix *vectors,
                           ra_error *err) {
    uint64_t *chosen = ra_malloc(count, sizeof *chosen);
    if (!chosen) RA_FAIL_MEMORY(err, "the numbers of random rows", count * sizeof *chosen);
    ra_status status = ra_points_draw(ra_data_rows(data), count, seed, chosen, err);
    if (status == RA_OK) status = ra_matrix_init(vectors, count, ra_data_dimensions(data), err);
    if (status != RA_OK) {
        ra_free(chosen);
        return status;
    }
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
    if (!ra_dtype_is_data(vectors->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "the points are %s numbers; expected F32, F16, BF16 or F64",
                ra_dtype_name(vectors->dtype));
    if (vectors->rank != 2 || vectors->shape[0] == 0 || vectors->shape[1] == 0)
        RA_FAIL(err, RA_ERR_SHAPE, "the points have the shape %s; expected [points, d], neither of them 0",
                shape);
    if (data && vectors->shape[1] != ra_data_dimensions(data))
        RA_FAIL(err, RA_ERR_SHAPE, "the points have the shape %s; expected [points, %zu], as in the data",
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

/* A tab ends a label and a newline ends a point, so neither may be part of a label. */
static void add_label(ra_text *text, const char *label) {
    size_t start = text->size;
    ra_text_add(text, label);
    for (size_t i = start; i < text->size; i++)
        if (strchr("\t\n\r", text->data[i])) text->data[i] = ' ';
}

static ra_status write_labels(const ra_points *points, const ra_labels *labels, ra_text *text,
                              ra_error *err) {
    for (size_t e = 0; e < points->vectors.rows * points->nearest; e++) {
        int32_t row = points->row[e];
        const char *label = row < 0 ? "" : ra_labels_at(labels, (size_t)row);
        if (!label)
            RA_FAIL(err, RA_ERR_SHAPE,
                    "row %d of the data has no label: there are %zu labels; expected one per row", (int)row,
                    ra_labels_count(labels));
        add_label(text, label);
        ra_text_add(text, (e + 1) % points->nearest ? "\t" : "\n");
    }
    if (text->failed) RA_FAIL_MEMORY(err, "the labels of the points' rows", text->size);
    return RA_OK;
}

ra_status ra_points_store(const ra_points *points, const ra_labels *labels, ra_safetensors_writer *writer,
                          char **text, ra_error *err) {
    size_t N = points->vectors.rows, R = points->nearest;
    ra_text lines = {0};
    ra_status status = RA_OK;
    *text = NULL;
    if (R == 0) return RA_OK; /* points without data */
    if (labels) RA_TRY_OUT(status, write_labels(points, labels, &lines, err));
    ra_tensor row = ra_tensor_2d(RA_I32, points->row, N, R);
    ra_tensor distance = ra_tensor_2d(RA_F32, points->row_distance, N, R);
    ra_tensor label = ra_tensor_1d(RA_U8, lines.data, lines.size);
    RA_TRY_OUT(status, ra_safetensors_writer_tensor(writer, "points.rows", &row, err));
    RA_TRY_OUT(status, ra_safetensors_writer_tensor(writer, "points.row_distance", &distance, err));
    if (labels) RA_TRY_OUT(status, ra_safetensors_writer_tensor(writer, "points.row_labels", &label, err));
    *text = lines.data;
    return RA_OK;
out:
    ra_text_release(&lines);
    return status;
}

/* ---- from a checkpoint --------------------------------------------------------------------------------- */

static ra_status load_vectors(const ra_safetensors *file, ra_points *points, ra_error *err) {
    ra_tensor C;
    char shape[128];
    RA_TRY(ra_safetensors_get(file, "dictionary.C", &C, err));
    if (C.rank != 2 || C.dtype != RA_F32)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: dictionary.C is %s %s; expected F32 [N, d]",
                ra_safetensors_path(file), ra_dtype_name(C.dtype),
                ra_shape_text(C.rank, C.shape, shape, sizeof shape));
    RA_TRY(ra_matrix_init(&points->vectors, C.shape[0], C.shape[1], err));
    memcpy(points->vectors.data, C.data, ra_tensor_bytes(&C));
    return RA_OK;
}

static ra_status load_rows(const ra_safetensors *file, ra_points *points, ra_error *err) {
    const ra_tensor *row = ra_safetensors_find(file, "points.rows"),
                    *distance = ra_safetensors_find(file, "points.row_distance");
    size_t N = points->vectors.rows;
    if (!row || !distance) return RA_OK;
    if (row->dtype != RA_I32 || distance->dtype != RA_F32 || row->rank != 2 || distance->rank != 2 ||
        row->shape[0] != N || distance->shape[0] != N || row->shape[1] != distance->shape[1])
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s: points.rows and points.row_distance must be I32 and F32 of the same shape [%zu, R]",
                ra_safetensors_path(file), N);
    size_t R = row->shape[1];
    points->row = ra_malloc(N * R, sizeof *points->row);
    points->row_distance = ra_malloc(N * R, sizeof *points->row_distance);
    if (!points->row || !points->row_distance)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu nearest rows of each of %zu points", R, N);
    memcpy(points->row, row->data, ra_tensor_bytes(row));
    memcpy(points->row_distance, distance->data, ra_tensor_bytes(distance));
    points->nearest = R;
    return RA_OK;
}

ra_status ra_points_load(const ra_safetensors *file, ra_points *points, ra_error *err) {
    *points = (ra_points){0};
    ra_status status = load_vectors(file, points, err);
    if (status == RA_OK) status = load_rows(file, points, err);
    if (status != RA_OK) ra_points_release(points);
    return status;
}
