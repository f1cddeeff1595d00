/* Files of activations as rows (lib/data/{data,scan}.c): several files, types, refusals. */
#include "data_files.h"

#include "ra_io.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { D = 3 };

static const float first[] = {1, 2, 3, 4, 5, 6};
static const float second[] = {7, 8, 9};
static const float third[] = {10, 11, 12, 13, 14, 15};

static ra_data *open_three_files(void) {
    const char *paths[] = {data_file_npy("a.npy", first, 2, D),
                           data_file_safetensors("b.safetensors", RA_F16, second, 1, D),
                           data_file_safetensors("c.safetensors", RA_BF16, third, 2, D)};
    ra_data *data = NULL;
    ra_ok(ra_data_open(paths, 3, NULL, &data, &err));
    return data;
}

START_TEST(test_rows_number_on_from_file_to_file) {
    float rows[5 * D];
    ra_data *data = open_three_files();
    ck_assert_uint_eq(ra_data_rows(data), 5);
    ck_assert_uint_eq(ra_data_dimensions(data), D);
    ra_data_read(data, 0, 5, rows);
    for (int i = 0; i < 5 * D; i++) ck_assert_float_eq(rows[i], (float)(i + 1));
    for (size_t from = 0; from < 5; from++)
        for (size_t n = 1; from + n <= 5; n++) {
            ra_data_read(data, from, n, rows);
            for (size_t i = 0; i < n * D; i++) ck_assert_float_eq(rows[i], (float)(from * D + i + 1));
        }
    ra_data_free(data);
}
END_TEST

START_TEST(test_gathers_rows_in_any_order) {
    static const uint64_t wanted[] = {4, 0, 2, 2, 3, 1};
    float rows[6 * D];
    ra_data *data = open_three_files();
    ra_data_gather(data, wanted, 6, rows);
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < D; j++) ck_assert_float_eq(rows[i * D + j], (float)(wanted[i] * D + j + 1));
    ra_data_free(data);
}
END_TEST

START_TEST(test_takes_a_tensor_by_name) {
    const char *path = data_file_safetensors("named.safetensors", RA_F32, first, 2, D);
    ra_data *data = NULL;
    ra_ok(ra_data_open(&path, 1, &(ra_data_options){.tensor_name = "x"}, &data, &err));
    ck_assert_uint_eq(ra_data_rows(data), 2);
    ra_data_free(data);
    ra_fails(ra_data_open(&path, 1, &(ra_data_options){.tensor_name = "y"}, &data, &err), RA_ERR_NOT_FOUND,
             "named.safetensors");
}
END_TEST

static const char *write_tensor(const char *name, ra_tensor tensor) {
    const char *path = test_path(name);
    ra_ok(ra_npy_write(path, &tensor, &err));
    return path;
}

START_TEST(test_refuses_what_is_no_activations) {
    static const int64_t longs[] = {1, 2, 3, 4};
    static const int32_t integers[] = {1, 2, 3, 4};
    ra_tensor five = {.dtype = RA_F32, .rank = 5, .shape = {1, 1, 1, 2, 3}, .data = first};
    ra_tensor no_pixel = {.dtype = RA_F32, .rank = 4, .shape = {1, 2, 3, 0}, .data = first};
    const struct {
        ra_tensor tensor;
        ra_status status;
        const char *text;
    } cases[] = {
        {ra_tensor_2d(RA_I64, longs, 2, 2), RA_ERR_DTYPE, "holds I64 numbers; expected activations in F32"},
        {ra_tensor_2d(RA_I32, integers, 2, 2), RA_ERR_DTYPE, "I32"},
        {ra_tensor_1d(RA_F32, first, 6), RA_ERR_SHAPE, "shape [6]; expected activations of shape [rows, d]"},
        {five, RA_ERR_SHAPE,
         "shape [1, 1, 1, 2, 3]; expected activations of shape [rows, d], [n, tokens, d] or"},
        {no_pixel, RA_ERR_SHAPE, "shape [1, 2, 3, 0]"},
        {ra_tensor_2d(RA_F32, first, 0, 3), RA_ERR_SHAPE, "holds no rows"},
        {ra_tensor_2d(RA_F32, first, 3, 0), RA_ERR_SHAPE, "at least one row"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_tensor("wrong.npy", cases[i].tensor);
        ra_data *data = NULL;
        ra_fails(ra_data_open(&path, 1, NULL, &data, &err), cases[i].status, cases[i].text);
        ra_fails(ra_data_open(&path, 1, NULL, &data, &err), cases[i].status, "wrong.npy");
        ck_assert_ptr_null(data);
    }
}
END_TEST

START_TEST(test_refuses_files_that_differ_in_width) {
    const char *paths[] = {data_file_npy("wide.npy", first, 2, 3), data_file_npy("narrow.npy", first, 3, 2)};
    ra_data *data = NULL;
    ra_fails(ra_data_open(paths, 2, NULL, &data, &err), RA_ERR_SHAPE, "narrow.npy has the shape [3, 2]");
    ra_fails(ra_data_open(paths, 2, NULL, &data, &err), RA_ERR_SHAPE,
             "that is 2 dimensions per row; expected 3, as in ");
    ra_fails(ra_data_open(paths, 2, NULL, &data, &err), RA_ERR_SHAPE, "wide.npy");
}
END_TEST

START_TEST(test_names_the_place_of_what_is_not_finite) {
    enum { ROWS = 3000, COLUMNS = 7 };
    static const ra_dtype dtypes[] = {RA_F32, RA_F16, RA_BF16};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static float values[ROWS * COLUMNS];
    test_fill(values, ROWS * COLUMNS, 1);
    for (size_t i = 0; i < 3; i++) {
        values[2345 * COLUMNS + 6] = bad[i];
        /* the number of the row within its file, not within all data */
        const char *paths[] = {data_file_npy("good.npy", values, 2, COLUMNS),
                               data_file_safetensors("bad.safetensors", dtypes[i], values, ROWS, COLUMNS)};
        ra_data *data = NULL;
        ra_fails(ra_data_open(paths, 2, NULL, &data, &err), RA_ERR_NOT_FINITE,
                 "bad.safetensors holds a NaN or an infinity in row 2345, column 6");
    }
}
END_TEST

START_TEST(test_refuses_no_file_and_a_missing_one) {
    const char *path = test_path("nowhere.npy");
    ra_data *data = NULL;
    ra_fails(ra_data_open(&path, 0, NULL, &data, &err), RA_ERR_ARGUMENT, "at least one");
    ra_fails(ra_data_open(&path, 1, NULL, &data, &err), RA_ERR_NOT_FOUND, "nowhere.npy");
    ra_data_free(NULL);
}
END_TEST

static ra_status open_and_close(const char *const *paths, size_t count, ra_error *err) {
    ra_data *data = NULL;
    ra_status status = ra_data_open(paths, count, NULL, &data, err);
    ra_data_free(data);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    const char *paths[] = {data_file_npy("a.npy", first, 2, D),
                           data_file_safetensors("b.safetensors", RA_F16, second, 1, D)};
    fails_at_each_allocation(open_and_close(paths, 2, &err));
}
END_TEST

TEST_CASES(data, test_rows_number_on_from_file_to_file, test_gathers_rows_in_any_order,
           test_takes_a_tensor_by_name, test_refuses_what_is_no_activations,
           test_refuses_files_that_differ_in_width, test_names_the_place_of_what_is_not_finite,
           test_refuses_no_file_and_a_missing_one, test_every_allocation_may_fail)
