/* Rows of images, and rows that are skipped. */
#include "data_files.h"

#include "ra_memory.h"

#include "data/data.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- images ------------------------------------------------------------------------------------------- */

typedef struct image_case {
    size_t n, d, h, w;
} image_case;

static const image_case images[] = {
    {1, 1, 1, 1}, {2, 3, 1, 1}, {3, 5, 2, 4}, {2, 33, 9, 7}, {1, 32, 8, 8}, {2, 70, 13, 11}, {4, 8, 1, 65},
};
enum { IMAGES = sizeof images / sizeof *images };

static size_t numbers_of(const image_case *c) {
    return c->n * c->d * c->h * c->w;
}

/* Numbers that float16 and bfloat16 hold exactly. */
static float *small_integers(size_t n) {
    float *values = ra_malloc(n + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < n; i++) values[i] = (float)((i * 37 + i / 11) % 251) - 125;
    return values;
}

/* rows [n h w, d] <- 'n d h w -> (n h w) d', number by number. */
static void flatten(const image_case *c, const float *values, float *rows) {
    size_t plane = c->h * c->w;
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = 0; j < c->d; j++)
            for (size_t p = 0; p < plane; p++)
                rows[(i * plane + p) * c->d + j] = values[(i * c->d + j) * plane + p];
}

static ra_data *open_one(const char *path, bool skip) {
    ra_data *data = NULL;
    ra_ok(ra_data_open(&path, 1, &(ra_data_options){.skip_bad_rows = skip}, &data, &err));
    return data;
}

START_TEST(test_pixels_of_images_are_rows) {
    static const ra_dtype dtypes[] = {RA_F32, RA_F16, RA_BF16};
    for (size_t i = 0; i < IMAGES; i++)
        for (size_t t = 0; t < 3; t++) {
            const image_case *c = &images[i];
            size_t rows = c->n * c->h * c->w, total = numbers_of(c), shape[] = {c->n, c->d, c->h, c->w};
            float *values = small_integers(total), *expected = small_integers(total),
                  *out = small_integers(total);
            flatten(c, values, expected);
            ra_data *data =
                open_one(data_file_tensor("images.safetensors", dtypes[t], values, 4, shape), false);
            ck_assert_uint_eq(ra_data_rows(data), rows);
            ck_assert_uint_eq(ra_data_dimensions(data), c->d);
            ra_data_read(data, 0, rows, out);
            ck_assert_mem_eq(out, expected, total * sizeof *out);
            for (size_t from = 0; from < rows; from += 5)
                for (size_t n = 1; from + n <= rows; n += 13) {
                    ra_data_read(data, from, n, out);
                    ck_assert_mem_eq(out, expected + from * c->d, n * c->d * sizeof *out);
                }
            const uint64_t wanted[] = {rows - 1, 0, rows / 2};
            ra_data_gather(data, wanted, rows > 2 ? 3 : 1, out);
            for (size_t r = 0; r < (rows > 2 ? 3 : 1); r++)
                ck_assert_mem_eq(out + r * c->d, expected + wanted[r] * c->d, c->d * sizeof *out);
            ra_data_free(data);
            ra_free(values);
            ra_free(expected);
            ra_free(out);
        }
}
END_TEST

START_TEST(test_tokens_are_rows_and_shapes_may_be_mixed) {
    enum { D = 4 };
    static const size_t flat[] = {3, D}, tokens[] = {2, 3, D}, pixels[] = {1, D, 2, 2};
    static const image_case image = {1, D, 2, 2};
    float *values = small_integers(13 * D), expected[13 * D], out[13 * D];
    memcpy(expected, values, 9 * D * sizeof *expected);
    flatten(&image, values + 9 * D, expected + 9 * D);
    const char *paths[] = {data_file_tensor("flat.safetensors", RA_F32, values, 2, flat),
                           data_file_tensor("tokens.safetensors", RA_BF16, values + 3 * D, 3, tokens),
                           data_file_tensor("pixels.safetensors", RA_F16, values + 9 * D, 4, pixels)};
    ra_data *data = NULL;
    ra_ok(ra_data_open(paths, 3, NULL, &data, &err));
    ck_assert_uint_eq(ra_data_rows(data), 13);
    for (size_t from = 0; from < 13; from++) {
        ra_data_read(data, from, 13 - from, out);
        ck_assert_mem_eq(out, expected + from * D, (13 - from) * D * sizeof *out);
    }
    ra_data_free(data);
    ra_free(values);
}
END_TEST

/* ---- bad rows ----------------------------------------------------------------------------------------- */

enum { ROWS = 3000, COLUMNS = 7, FIRST = 2 };
static char warning[1024];
static size_t warnings;

static void keep_warning(void *context, ra_log_level level, const char *line) {
    (void)context;
    ck_assert_int_eq(level, RA_LOG_WARNING);
    snprintf(warning, sizeof warning, "%s", line);
    warnings++;
}

/* A file of FIRST good rows, and one of ROWS rows with bad ones; numbers run over both. */
static const uint64_t bad_rows[] = {FIRST, 1000, 1001, 1002, 2000, 2500, FIRST + ROWS - 1};
enum { BAD = sizeof bad_rows / sizeof *bad_rows };

static void write_bad(float *all, ra_dtype dtype, const char **paths) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < (FIRST + ROWS) * COLUMNS; i++) all[i] = (float)(i % 253) - 100;
    for (size_t i = 0; i < BAD; i++) all[bad_rows[i] * COLUMNS + (i + 3) % COLUMNS] = bad[i % 3];
    paths[0] = data_file_npy("good.npy", all, FIRST, COLUMNS);
    paths[1] = data_file_safetensors("bad.safetensors", dtype, all + FIRST * COLUMNS, ROWS, COLUMNS);
}

static const ra_dtype bad_dtypes[] = {RA_F32, RA_F16, RA_BF16};

START_TEST(test_bad_rows_are_counted_and_named) {
    static float all[(FIRST + ROWS) * COLUMNS];
    for (size_t t = 0; t < 3; t++) {
        const char *paths[2];
        ra_data *data = NULL;
        write_bad(all, bad_dtypes[t], paths);
        ra_fails(ra_data_open(paths, 2, NULL, &data, &err), RA_ERR_NOT_FINITE,
                 "bad.safetensors holds a NaN or an infinity in row 0, column 3");
        ra_fails(ra_data_open(paths, 2, NULL, &data, &err), RA_ERR_NOT_FINITE,
                 "Bad rows: 2, 1000, 1001, 1002, 2000, ... (7 of the 3002 in all files). Use");
        ra_fails(ra_data_open(paths, 2, NULL, &data, &err), RA_ERR_NOT_FINITE, "--skip-bad-rows");
        ck_assert_ptr_null(data);
    }
}
END_TEST

static bool is_bad(uint64_t row) {
    for (size_t i = 0; i < BAD; i++)
        if (bad_rows[i] == row) return true;
    return false;
}

START_TEST(test_skipped_rows_leave_no_gap) {
    static float all[(FIRST + ROWS) * COLUMNS], good[(FIRST + ROWS) * COLUMNS], out[(FIRST + ROWS) * COLUMNS];
    for (size_t t = 0; t < 3; t++) {
        const char *paths[2];
        ra_data *data = NULL;
        size_t rows = FIRST + ROWS - BAD, count, row = 0;
        write_bad(all, bad_dtypes[t], paths);
        warnings = 0;
        ra_log_set_sink(keep_warning, NULL);
        ra_ok(ra_data_open(paths, 2, &(ra_data_options){.skip_bad_rows = true}, &data, &err));
        ra_log_set_sink(NULL, NULL);
        ck_assert_uint_eq(warnings, 1);
        ck_assert(strstr(warning, "7 of the 3002 rows") && strstr(warning, "2, 1000, 1001, 1002, 2000, ..."));
        ck_assert_uint_eq(ra_data_rows(data), rows);
        ck_assert_uint_eq(ra_data_source_rows(data), FIRST + ROWS);
        const uint64_t *skipped = ra_data_skipped(data, &count);
        ck_assert_uint_eq(count, BAD);
        ck_assert_mem_eq(skipped, bad_rows, sizeof bad_rows);
        for (uint64_t source = 0; source < FIRST + ROWS; source++) {
            if (is_bad(source)) continue;
            ck_assert_uint_eq(ra_data_source_row(data, row), source);
            memcpy(good + row++ * COLUMNS, all + source * COLUMNS, COLUMNS * sizeof *good);
        }
        ck_assert_uint_eq(row, rows);
        ra_data_read(data, 0, rows, out);
        ck_assert_mem_eq(out, good, rows * COLUMNS * sizeof *good);
        for (uint64_t i = 0; i < rows; i++) {
            ra_data_gather(data, &i, 1, out);
            ck_assert_mem_eq(out, good + i * COLUMNS, COLUMNS * sizeof *good);
        }
        ra_data_free(data);
    }
}
END_TEST

/* A bad number of an image makes the row of its pixel bad, in any channel; the first bad row is that of the
 * first pixel, not that of the first bad number in the file. */
START_TEST(test_bad_pixels_are_rows) {
    static const size_t shape[] = {2, 3, 2, 5};
    float *values = small_integers(60), out[20 * 3];
    values[30 + 0 * 10 + 7] = NAN;      /* image 1, channel 0, pixel 7: row 17 */
    values[30 + 2 * 10 + 4] = INFINITY; /* image 1, channel 2, pixel 4: row 14 */
    values[30 + 1 * 10 + 7] = NAN;      /* row 17 again */
    const char *path = data_file_tensor("bad.safetensors", RA_F16, values, 4, shape);
    ra_data *data = NULL;
    ra_fails(ra_data_open(&path, 1, NULL, &data, &err), RA_ERR_NOT_FINITE,
             "in row 14, column 2 (counted from 0). Bad rows: 14, 17 (2 of the 20 in all files). Use");
    data = open_one(path, true);
    ck_assert_uint_eq(ra_data_rows(data), 18);
    ck_assert_uint_eq(ra_data_source_row(data, 14), 15);
    ck_assert_uint_eq(ra_data_source_row(data, 17), 19);
    ra_data_read(data, 14, 4, out);
    for (size_t c = 0; c < 3; c++) {
        ck_assert_float_eq(out[c], values[30 + c * 10 + 5]);
        ck_assert_float_eq(out[3 * 3 + c], values[30 + c * 10 + 9]);
    }
    ra_data_free(data);
    ra_free(values);
}
END_TEST

START_TEST(test_some_row_must_be_left) {
    const float values[] = {NAN, 1, 2, INFINITY};
    const char *path = data_file_npy("all.npy", values, 2, 2);
    ra_data *data = NULL;
    ra_fails(ra_data_open(&path, 1, &(ra_data_options){.skip_bad_rows = true}, &data, &err),
             RA_ERR_NOT_FINITE, "no row is left");
}
END_TEST

/* Points refer to rows by their numbers in the files, and so to their labels. */
START_TEST(test_points_name_rows_of_the_files) {
    enum { N = 12, WIDTH = 2, LABEL = 4 };
    float values[N * WIDTH];
    char text[N * LABEL], *lines = NULL;
    for (size_t i = 0; i < N; i++) {
        values[2 * i] = (float)(10 * i);
        values[2 * i + 1] = i == 3 || i == 4 || i == 8 ? NAN : 1;
        text[LABEL * i] = 'r';
        text[LABEL * i + 1] = (char)('0' + i / 10);
        text[LABEL * i + 2] = (char)('0' + i % 10);
        text[LABEL * i + 3] = '\n';
    }
    ra_data *data = open_one(data_file_npy("gaps.npy", values, N, WIDTH), true);
    ra_backend *backend = backend_of("cpu", 1);
    ra_points points = {0};
    ra_labels *labels = NULL;
    ra_ok(ra_labels_parse(text, sizeof text, "labels", &labels, &err));
    ra_ok(ra_points_kmeans(backend, data, &(ra_kmeans_options){.clusters = N - 3, .nearest = 1}, &points,
                           &err));
    static const int32_t expected[] = {0, 1, 2, 5, 6, 7, 9, 10, 11};
    ck_assert_mem_eq(points.row, expected, sizeof expected);

    ra_safetensors_writer *writer = NULL;
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    ra_ok(ra_points_store(&points, labels, writer, &lines, &err));
    ck_assert_int_eq(strncmp(lines, "r00\nr01\nr02\nr05\nr06\nr07\nr09\nr10\nr11\n", 36), 0);
    ra_safetensors_writer_free(writer);
    ra_free(lines);
    ra_labels_free(labels);
    ra_points_release(&points);
    ra_backend_release(backend);
    ra_data_free(data);
}
END_TEST

static ra_status open_skipping(const char *const *paths, ra_error *err) {
    ra_data *data = NULL;
    ra_status status = ra_data_open(paths, 2, &(ra_data_options){.skip_bad_rows = true}, &data, err);
    ra_data_free(data);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    static float all[(FIRST + ROWS) * COLUMNS];
    const char *paths[2];
    write_bad(all, RA_F16, paths);
    fails_at_each_allocation(open_skipping(paths, &err));
}
END_TEST

/* ---- prefetching -------------------------------------------------------------------------------------- */

START_TEST(test_ranges_join_what_lies_close_together) {
    enum { WIDE = 1024 }; /* rows of a page */
    float *values = small_integers(64 * WIDE);
    const char *paths[] = {data_file_npy("a.npy", values, 64, WIDE),
                           data_file_npy("b.npy", values, 64, WIDE)};
    ra_data *data = NULL;
    ra_data_range ranges[8];
    ra_ok(ra_data_open(paths, 2, NULL, &data, &err));
    const uint64_t rows[] = {0, 1, 3, 10, 63, 64, 65, 127};
    ck_assert_uint_eq(ra_data_ranges(data, rows, 8, ranges), 5);
    static const struct {
        size_t file, row, rows;
    } expected[] = {{0, 0, 4}, {0, 10, 1}, {0, 63, 1}, {1, 0, 2}, {1, 63, 1}};
    for (size_t i = 0; i < 5; i++) {
        size_t row_bytes = WIDE * sizeof(float);
        ck_assert_ptr_eq(ranges[i].start,
                         data->files[expected[i].file].numbers + expected[i].row * row_bytes);
        ck_assert_uint_eq(ranges[i].bytes, expected[i].rows * row_bytes);
    }
    ra_data_free(data);
    ra_free(values);
}
END_TEST

START_TEST(test_ranges_of_images_are_whole_images) {
    static const size_t shape[] = {4, 512, 2, 2};
    float *values = small_integers(4 * 2048);
    ra_data *data = open_one(data_file_tensor("images.safetensors", RA_F32, values, 4, shape), false);
    ra_data_range ranges[3];
    const uint64_t rows[] = {1, 3, 12};
    ck_assert_uint_eq(ra_data_ranges(data, rows, 3, ranges), 2);
    ck_assert_uint_eq(ranges[0].bytes, 2048 * sizeof(float));
    ck_assert_ptr_eq(ranges[1].start, data->files[0].numbers + 3 * 2048 * sizeof(float));
    ra_data_free(data);
    ra_free(values);
}
END_TEST

/* The advice to the system, as for data larger than memory. */
START_TEST(test_asking_for_rows_changes_nothing) {
    enum { N = 3000, WIDTH = 33 };
    float *values = small_integers(N * WIDTH), row[WIDTH];
    static uint64_t wanted[N];
    ra_data *data = open_one(data_file_npy("x.npy", values, N, WIDTH), false);
    for (size_t i = 0; i < N; i++) wanted[i] = i * 7 % N;
    ck_assert(!data->large);
    ra_data_will_need(data, wanted, N);
    data->large = true;
    ra_data_will_need(data, wanted, N);
    ra_data_will_need(data, wanted, 0);
    for (size_t i = 0; i < N; i++) {
        ra_data_gather(data, &wanted[i], 1, row);
        ck_assert_mem_eq(row, values + wanted[i] * WIDTH, sizeof row);
    }
    ra_data_free(data);
    ra_free(values);
}
END_TEST

TEST_CASES(data_rows, test_pixels_of_images_are_rows, test_tokens_are_rows_and_shapes_may_be_mixed,
           test_bad_rows_are_counted_and_named, test_skipped_rows_leave_no_gap, test_bad_pixels_are_rows,
           test_some_row_must_be_left, test_points_name_rows_of_the_files, test_every_allocation_may_fail,
           test_ranges_join_what_lies_close_together, test_ranges_of_images_are_whole_images,
           test_asking_for_rows_changes_nothing)
