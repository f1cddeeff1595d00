/* Data larger than memory (lib/data/{window,disk,read}.c): the same rows, and what is read of the files for them. The data
 * are small, and are told that there is less memory than they need. */
#include "data_files.h"

#include "data/data.h"
#include "data/window.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 3000, D = 48 };

/* Bytes that this process has read with read() and its kin. */
static double bytes_read(void) {
    char line[128];
    unsigned long long bytes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "rchar: %llu", &bytes) == 1) break;
    fclose(file);
    return (double)bytes;
}

static float *values_of(size_t n) {
    float *values = ra_malloc(n, sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)((int)((uint32_t)i * 2654435761u >> 20) - 2048) / 64; /* fits f16 */
    return values;
}

static ra_data *open_all(const char *const *paths, size_t count, size_t memory, bool skip) {
    const ra_data_options options = {.memory = memory, .skip_bad_rows = skip};
    ra_data *data = NULL;
    ra_ok(ra_data_open(paths, count, &options, &data, &err));
    return data;
}

/* Three files of one type, or of different ones and shapes; the second has a row that is skipped. */
static size_t write_files(bool mixed, const char **paths, float *values) {
    const size_t tokens[] = {20, ROWS / 60, D}, images[] = {ROWS / 12, D, 2, 2};
    float *middle = values + ROWS / 3 * D;
    paths[0] = data_file_safetensors("a.safetensors", RA_F16, values, ROWS / 3, D);
    float kept = middle[7 * D + 1];
    middle[7 * D + 1] = (float)NAN;
    paths[1] = data_file_tensor("b.safetensors", mixed ? RA_F32 : RA_F16, middle, 3, tokens);
    middle[7 * D + 1] = kept;
    paths[2] = mixed ? data_file_tensor("c.safetensors", RA_BF16, middle + ROWS / 3 * D, 4, images)
                     : data_file_safetensors("c.safetensors", RA_F16, middle + ROWS / 3 * D, ROWS / 3, D);
    return 3;
}

START_TEST(test_large_data_have_the_same_rows) {
    static uint64_t wanted[ROWS];
    float *values = values_of(ROWS * D), *x = ra_malloc(ROWS * D, sizeof *x),
          *y = ra_malloc(ROWS * D, sizeof *y);
    const char *paths[3];
    size_t count = write_files(_i % 2, paths, values);
    ra_data *usual = open_all(paths, count, 0, true), *large = open_all(paths, count, 1000, true);
    size_t rows = ra_data_rows(usual);
    ck_assert(!ra_data_is_large(usual) && ra_data_is_large(large));
    ck_assert_uint_eq(ra_data_memory(large), 1000);
    ck_assert_uint_eq(rows, ROWS - 1);
    for (size_t i = 0; i < rows; i++) wanted[i] = i * 1117 % rows;
    if (_i / 2) {
        float mean[D], scale[D];
        for (size_t j = 0; j < D; j++) mean[j] = (float)j, scale[j] = 1 + (float)j;
        ra_ok(ra_data_set_standardization(usual, mean, scale, &err));
        ra_ok(ra_data_set_standardization(large, mean, scale, &err));
    }
    ra_data_read(usual, 0, rows, x);
    ra_data_read(large, 0, rows, y);
    ck_assert_mem_eq(x, y, rows * D * sizeof *x);
    ra_data_gather(usual, wanted, rows, x);
    ra_data_gather(large, wanted, rows, y);
    ck_assert_mem_eq(x, y, rows * D * sizeof *x);

    ra_window window;
    const ra_row_run runs[] = {{2500, 499}, {900, 400}, {0, 100}, {1300, 1200}, {100, 800}};
    ra_ok(ra_window_init(&window, large, ROWS, 5, &err));
    ra_window_fill(&window, runs, 5, NULL);
    ra_window_gather(&window, wanted, rows, y);
    ck_assert_mem_eq(x, y, rows * D * sizeof *x);
    ra_window_fill(&window, runs, 2, NULL); /* the others are read from the data */
    ck_assert(ra_window_get(&window, 900, y) && !ra_window_get(&window, 899, y));
    ra_window_gather(&window, wanted, rows, y);
    ck_assert_mem_eq(x, y, rows * D * sizeof *x);
    ra_window_release(&window);
    ra_data_free(usual);
    ra_data_free(large);
    ra_free(values);
    ra_free(x);
    ra_free(y);
}
END_TEST

START_TEST(test_a_window_reads_each_byte_once) {
    float *values = values_of(ROWS * D);
    const char *path = data_file_safetensors("x.safetensors", RA_F16, values, ROWS, D);
    ra_data *data = open_all(&path, 1, 1000, false);
    ra_window window;
    ck_assert_uint_eq(ra_window_row_bytes(data), D * 2);
    ra_ok(ra_window_init(&window, data, ROWS, 3, &err));
    double before = bytes_read();
    ra_window_fill(&window, (ra_row_run[]){{2000, 1000}, {0, 1000}, {1000, 1000}}, 3, NULL);
    double read = bytes_read() - before;
    ck_assert_msg(read >= ROWS * D * 2 && read < ROWS * D * 2 * 1.1, "%.0f bytes of %d", read, ROWS * D * 2);
    ra_window_release(&window);
    ra_data_free(data);
    ra_free(values);
}
END_TEST

/* A gather of a few rows reads these and nothing around them. */
START_TEST(test_a_gather_reads_its_rows_alone) {
    float *values = values_of(ROWS * D), row[D];
    const char *path = data_file_safetensors("x.safetensors", RA_F16, values, ROWS, D);
    ra_data *data = open_all(&path, 1, 1000, false);
    double before = bytes_read();
    for (uint64_t i = 0; i < 10; i++) {
        ra_data_gather(data, &(uint64_t){i * 299}, 1, row);
        ck_assert_mem_eq(row, values + i * 299 * D, sizeof row);
    }
    double read = bytes_read() - before;
    ck_assert_msg(read >= 10 * D * 2 && read < 10 * D * 2 + 1000, "%.0f bytes", read);
    ra_data_free(data);
    ra_free(values);
}
END_TEST

/* Another file under the name is not the one that was opened, whose rows the mapping still has. */
START_TEST(test_a_file_that_is_replaced_keeps_its_rows) {
    float *values = values_of(ROWS * D), *others = ra_calloc(ROWS * D, sizeof *others), row[D];
    const char *path = data_file_safetensors("x.safetensors", RA_F16, values, ROWS, D);
    ra_data *data = open_all(&path, 1, 1000, false);
    const char *other = data_file_safetensors("other.safetensors", RA_F16, others, ROWS, D);
    ck_assert_int_eq(rename(other, path), 0);
    ra_data_gather(data, &(uint64_t){2222}, 1, row);
    ck_assert_mem_eq(row, values + 2222 * D, sizeof row);
    ra_window window;
    ra_ok(ra_window_init(&window, data, 10, 1, &err));
    ra_window_fill(&window, &(ra_row_run){2220, 10}, 1, NULL);
    ck_assert(ra_window_get(&window, 2222, row));
    ck_assert_mem_eq(row, values + 2222 * D, sizeof row);
    ra_window_release(&window);
    ra_data_free(data);
    ra_free(values);
    ra_free(others);
}
END_TEST

static ra_status make_window(const ra_data *data, ra_error *err) {
    ra_window window;
    ra_status status = ra_window_init(&window, data, 100, 10, err);
    if (status == RA_OK) ra_window_release(&window);
    ck_assert_ptr_null(window.numbers);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    float *values = values_of(ROWS * D);
    const char *paths[3];
    ra_data *data = open_all(paths, write_files(true, paths, values), 1000, true);
    fails_at_each_allocation(make_window(data, &err));
    ra_data_free(data);
    ra_free(values);
}
END_TEST

TEST_CASES_LOOP(window, 0, 4, test_large_data_have_the_same_rows)
TEST_CASES(window_reads, test_a_window_reads_each_byte_once, test_a_gather_reads_its_rows_alone,
           test_a_file_that_is_replaced_keeps_its_rows, test_every_allocation_may_fail)
