/* Candidate points and their nearest rows (lib/points/{nearest,nearest_rows,point_set,row_reader}.c). */
#include "data_files.h"

#include "ra_io.h"
#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- nearest rows ------------------------------------------------------------------------------------- */

typedef struct candidate {
    double distance;
    int32_t row;
} candidate;

static int nearer(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* All rows, sorted by distance, for every point. */
static void assert_nearest_rows(const ra_points *points, const float *values, size_t rows) {
    size_t d = points->vectors.cols, R = points->nearest;
    candidate *all = ra_malloc(rows, sizeof *all);
    ck_assert_ptr_nonnull(all);
    for (size_t p = 0; p < points->vectors.rows; p++) {
        for (size_t i = 0; i < rows; i++)
            all[i] = (candidate){squared_distance_of(values + i * d, ra_matrix_row(&points->vectors, p), d),
                                 (int32_t)i};
        qsort(all, rows, sizeof *all, nearer);
        for (size_t r = 0; r < R; r++) {
            ck_assert_int_eq(points->row[p * R + r], r < rows ? all[r].row : -1);
            float distance = r < rows ? (float)sqrt(all[r].distance) : 0;
            ck_assert_float_le(fabsf(points->row_distance[p * R + r] - distance), 1e-6f * distance);
        }
    }
    ra_free(all);
}

/* Data and points on a coarse grid, so that many distances are equal, or at arbitrary positions. */
START_TEST(test_nearest_rows_are_exact) {
    static const struct {
        size_t rows, d, points, nearest;
        float grid, offset, scale;
    } cases[] = {
        {40, 3, 9, 5, 0, 0, 1},
        {40, 2, 9, 7, 0.5f, 0, 1},
        {2300, 5, 30, 12, 0, 0, 1},
        {2300, 2, 8, 40, 0.25f, 100, 1},
        {1025, 48, 20, 1, 0, 1e4f, 1},
        {300, 4, 6, 5, 0, 0, 1e30f},
        {300, 4, 6, 5, 0, 0, 1e-36f},
        {4, 2, 3, 6, 0, 0, 1},
        /* enough dimensions and points for products in 8 bits */
        {2300, 70, 300, 5, 0, 0, 1},
        {1100, 64, 260, 3, 0.5f, 0, 1},
        {1025, 70, 256, 1, 0, 1e4f, 1},
        {300, 70, 260, 5, 0, 0, 1e30f},
        {300, 70, 260, 5, 0, 0, 1e-36f},
        {60, 64, 2100, 3, 0, 0, 1},
        {300, 64, 260, 4, 4, 0, 1}, /* all the same */
    };
    size_t rows = cases[_i].rows, d = cases[_i].d, N = cases[_i].points, count = (rows + N) * d;
    float *values = ra_malloc(count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    test_fill(values, count, (uint64_t)_i);
    for (size_t i = 0; i < count; i++) {
        if (cases[_i].grid > 0) values[i] = roundf(values[i] / cases[_i].grid) * cases[_i].grid;
        values[i] = values[i] * cases[_i].scale + cases[_i].offset;
    }
    ra_tensor vectors = ra_tensor_2d(RA_F32, values + rows * d, N, d);
    ra_data *data = data_of(values, rows, d);
    for (size_t threads = 1; threads <= 3; threads++) {
        ra_backend *backend = backend_of("cpu", threads);
        ra_points points;
        ra_ok(ra_points_from(backend, &vectors, data, cases[_i].nearest, &points, &err));
        assert_nearest_rows(&points, values, rows);
        ra_points_release(&points);
        ra_backend_release(backend);
    }
    ra_data_free(data);
    ra_free(values);
}
END_TEST

START_TEST(test_more_points_than_one_tile) {
    enum { ROWS = 50, D = 2, POINTS = 4100 };
    static float values[(ROWS + POINTS) * D];
    test_fill(values, (ROWS + POINTS) * D, 2);
    ra_tensor vectors = ra_tensor_2d(RA_F32, values + ROWS * D, POINTS, D);
    ra_backend *backend = backend_of("cpu", 2);
    ra_data *data = data_of(values, ROWS, D);
    ra_points points;
    ra_ok(ra_points_from(backend, &vectors, data, 3, &points, &err));
    assert_nearest_rows(&points, values, ROWS);
    ra_points_release(&points);
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

/* ---- random rows -------------------------------------------------------------------------------------- */

START_TEST(test_a_sample_is_rows_in_their_order) {
    enum { ROWS = 300, D = 4, POINTS = 40 };
    static float values[ROWS * D];
    test_fill(values, ROWS * D, 9);
    ra_data *data = data_of(values, ROWS, D);
    ra_backend *backend = backend_of("cpu", 2);
    ra_points points, again, other;
    ra_ok(ra_points_sample(backend, data, POINTS, 1, 3, &points, &err));
    ra_ok(ra_points_sample(backend, data, POINTS, 1, 3, &again, &err));
    ra_ok(ra_points_sample(backend, data, POINTS, 2, 3, &other, &err));
    assert_nearest_rows(&points, values, ROWS);
    for (size_t p = 0; p < POINTS; p++) {
        size_t row = (size_t)points.row[p * 3];
        ck_assert_mem_eq(ra_matrix_row(&points.vectors, p), values + row * D, D * sizeof(float));
        if (p) ck_assert_int_gt(points.row[p * 3], points.row[p * 3 - 3]);
    }
    ck_assert_mem_eq(points.vectors.data, again.vectors.data, POINTS * D * sizeof(float));
    ck_assert_mem_ne(points.vectors.data, other.vectors.data, POINTS * D * sizeof(float));
    ra_points_release(&points);
    ra_points_release(&again);
    ra_points_release(&other);
    ra_ok(ra_points_sample(backend, data, ROWS, 5, 1, &points, &err));
    ck_assert_mem_eq(points.vectors.data, values, sizeof values);
    ra_points_release(&points);
    ra_fails(ra_points_sample(backend, data, 0, 1, 1, &points, &err), RA_ERR_ARGUMENT, "0 random rows");
    ra_fails(ra_points_sample(backend, data, ROWS + 1, 1, 1, &points, &err), RA_ERR_ARGUMENT,
             "the data have 300 rows");
    ck_assert_ptr_null(points.vectors.data);
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

static ra_status sample_and_release(ra_backend *backend, const ra_data *data, ra_error *err) {
    ra_points points;
    ra_status status = ra_points_sample(backend, data, 2, 1, 1, &points, err);
    ra_points_release(&points);
    return status;
}

START_TEST(test_every_allocation_of_a_sample_may_fail) {
    static const float values[] = {1, 2, 3, 4, 5, 6};
    ra_backend *backend = backend_of("cpu", 1);
    ra_data *data = data_of(values, 3, 2);
    fails_at_each_allocation(sample_and_release(backend, data, &err));
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

/* ---- given points ------------------------------------------------------------------------------------- */

START_TEST(test_points_without_data_are_copied_and_have_no_rows) {
    float values[12], widened[12];
    uint16_t half[12];
    ra_points points;
    ra_backend *backend = backend_of("cpu", 1);
    test_fill(values, 12, 1);
    ra_convert_from_f32(RA_F16, values, half, 12);
    ra_convert_to_f32(RA_F16, half, widened, 12);
    ra_tensor vectors = ra_tensor_2d(RA_F16, half, 4, 3);
    ra_ok(ra_points_from(backend, &vectors, NULL, 5, &points, &err));
    memset(half, 0, sizeof half);
    ck_assert_mem_eq(points.vectors.data, widened, sizeof widened);
    ck_assert_uint_eq(points.nearest, 0);
    ck_assert_ptr_null(points.row);
    ra_points_release(&points);
    ck_assert_ptr_null(points.vectors.data);
    ra_points_release(&points);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_refuses_points_that_do_not_fit) {
    static const float good[] = {1, 2, 3, 4, 5, 6}, bad[] = {1, 2, 3, 4, NAN, 6};
    static const double doubles[6];
    const struct {
        ra_tensor vectors;
        ra_status status;
        const char *text;
    } cases[] = {
        {ra_tensor_2d(RA_I64, doubles, 2, 3), RA_ERR_DTYPE, "the points are I64"},
        {ra_tensor_1d(RA_F32, good, 6), RA_ERR_SHAPE, "[6]; expected [points, d]"},
        {ra_tensor_2d(RA_F32, good, 0, 3), RA_ERR_SHAPE, "[0, 3]"},
        {ra_tensor_2d(RA_F32, good, 3, 2), RA_ERR_SHAPE, "[3, 2]; expected [points, 3], as in the data"},
        {ra_tensor_2d(RA_F32, bad, 2, 3), RA_ERR_NOT_FINITE, "row 1, column 1"},
    };
    ra_backend *backend = backend_of("cpu", 1);
    ra_data *data = data_of(good, 2, 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ra_points points;
        ra_fails(ra_points_from(backend, &cases[i].vectors, data, 1, &points, &err), cases[i].status,
                 cases[i].text);
        ck_assert_ptr_null(points.vectors.data);
    }
    ra_tensor vectors = ra_tensor_2d(RA_F32, good, 2, 3);
    ra_points points;
    ra_fails(ra_points_from(backend, &vectors, data, SIZE_MAX, &points, &err), RA_ERR_TOO_LARGE, "too many");
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

static ra_status make_and_release(ra_backend *backend, const ra_data *data, ra_error *err) {
    static const float values[] = {1, 2, 3, 4, 5, 6};
    ra_tensor vectors = ra_tensor_2d(RA_F32, values, 2, 3);
    ra_points points;
    ra_status status = ra_points_from(backend, &vectors, data, 0, &points, err);
    if (status == RA_OK) ck_assert_uint_eq(points.nearest, RA_POINT_ROWS_DEFAULT);
    ra_points_release(&points);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    static const float values[] = {1, 2, 3, 4, 5, 6};
    ra_backend *backend = backend_of("cpu", 1);
    ra_data *data = data_of(values, 2, 3);
    fails_at_each_allocation(make_and_release(backend, data, &err));
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

/* ---- storing ------------------------------------------------------------------------------------------ */

/* Three points with two rows each. */
static ra_points some_points(void) {
    static int32_t row[] = {2, 0, 1, -1, 0, 2};
    static float distance[] = {0.5f, 1, 0, 0, 2, 3}, vectors[3];
    return (ra_points){.vectors = {vectors, 3, 1}, .nearest = 2, .row = row, .row_distance = distance};
}

static ra_labels *labels_of(const char *text) {
    ra_labels *labels = NULL;
    ra_ok(ra_labels_parse(text, strlen(text), "labels", &labels, &err));
    return labels;
}

/* Writes what ra_points_store() adds, and opens it. */
static ra_safetensors *store(const ra_points *points, const ra_labels *labels) {
    ra_safetensors_writer *writer = NULL;
    ra_safetensors *file = NULL;
    char *text = (char *)1;
    const char *path = test_path("points.safetensors");
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    ra_ok(ra_points_store(points, labels, writer, &text, &err));
    ck_assert(labels && points->nearest ? text != NULL : text == NULL);
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    ra_free(text);
    ra_ok(ra_safetensors_open(path, &file, &err));
    return file;
}

static void assert_tensor(const ra_safetensors *file, const char *name, ra_dtype dtype, int rank, size_t rows,
                          size_t columns, const void *data) {
    const ra_tensor *tensor = ra_safetensors_find(file, name);
    ck_assert_msg(tensor != NULL, "%s is missing", name);
    ck_assert_int_eq(tensor->dtype, dtype);
    ck_assert_int_eq(tensor->rank, rank);
    ck_assert_uint_eq(tensor->shape[0], rows);
    if (rank > 1) ck_assert_uint_eq(tensor->shape[1], columns);
    ck_assert_mem_eq(tensor->data, data, ra_tensor_bytes(tensor));
}

START_TEST(test_stores_rows_distances_and_labels) {
    static const char expected[] = "a b  c\tone\ntwo\t\none\ta b  c\n";
    ra_points points = some_points();
    ra_labels *labels = labels_of("one\ntwo\na\tb\r\tc\n");
    ra_safetensors *file = store(&points, labels);
    ck_assert_uint_eq(ra_safetensors_count(file), 3);
    assert_tensor(file, "points.rows", RA_I32, 2, 3, 2, points.row);
    assert_tensor(file, "points.row_distance", RA_F32, 2, 3, 2, points.row_distance);
    assert_tensor(file, "points.row_labels", RA_U8, 1, sizeof expected - 1, 0, expected);
    ra_safetensors_free(file);
    ra_labels_free(labels);
}
END_TEST

START_TEST(test_stores_nothing_that_is_not_known) {
    ra_points points = some_points();
    ra_safetensors *file = store(&points, NULL);
    ck_assert_uint_eq(ra_safetensors_count(file), 2);
    ck_assert_ptr_null(ra_safetensors_find(file, "points.row_labels"));
    ra_safetensors_free(file);
    points = (ra_points){.vectors = points.vectors};
    file = store(&points, NULL);
    ck_assert_uint_eq(ra_safetensors_count(file), 0);
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_refuses_too_few_labels) {
    ra_points points = some_points();
    ra_labels *labels = labels_of("one\ntwo\n");
    ra_safetensors_writer *writer = NULL;
    char *text = NULL;
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    ra_fails(ra_points_store(&points, labels, writer, &text, &err), RA_ERR_SHAPE,
             "row 2 of the data has no label: there are 2 labels");
    ck_assert_ptr_null(text);
    ra_safetensors_writer_free(writer);
    ra_labels_free(labels);
}
END_TEST

static ra_status store_and_free(const ra_points *points, const ra_labels *labels, ra_error *err) {
    ra_safetensors_writer *writer = NULL;
    char *text = NULL;
    ra_status status = ra_safetensors_writer_new(&writer, err);
    if (status == RA_OK) status = ra_points_store(points, labels, writer, &text, err);
    ra_safetensors_writer_free(writer);
    ra_free(text);
    return status;
}

START_TEST(test_every_allocation_of_storing_may_fail) {
    ra_points points = some_points();
    ra_labels *labels = labels_of("one\ntwo\nthree");
    fails_at_each_allocation(store_and_free(&points, labels, &err));
    ra_labels_free(labels);
}
END_TEST

TEST_CASES(points, test_more_points_than_one_tile, test_a_sample_is_rows_in_their_order,
           test_every_allocation_of_a_sample_may_fail, test_points_without_data_are_copied_and_have_no_rows,
           test_refuses_points_that_do_not_fit, test_every_allocation_may_fail,
           test_stores_rows_distances_and_labels, test_stores_nothing_that_is_not_known,
           test_refuses_too_few_labels, test_every_allocation_of_storing_may_fail)
TEST_CASES_LOOP(points_nearest, 0, 15, test_nearest_rows_are_exact)
