#include "data_files.h"

#include "ra_memory.h"

#include "data/data.h"

#include <math.h>
#include <string.h>

enum { ROWS = 3001, D = 70 };

/* Dimensions with different means and deviations; one is constant, one nearly so around a large mean. */
static float *make_values(void) {
    float *values = ra_malloc(ROWS * D, sizeof *values);
    ck_assert_ptr_nonnull(values);
    test_fill(values, ROWS * D, 5);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < D; j++) values[i * D + j] = (float)j * values[i * D + j] + 10 * (float)j - 300;
        values[i * D + 7] = 0.1f;
        values[i * D + 9] = 1000000 + 0.25f * (float)(i % 2);
    }
    return values;
}

static void two_passes(const float *values, size_t rows, size_t step, size_t n, double *mean,
                       double *deviation) {
    *mean = *deviation = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) *mean += (double)values[i * step + j];
    *mean /= (double)(rows * n);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) {
            double gap = (double)values[i * step + j] - *mean;
            *deviation += gap * gap;
        }
    *deviation = sqrt(*deviation / (double)(rows * n));
}

START_TEST(test_element_is_each_dimensions_own) {
    float *values = make_values(), mean[D], scale[D];
    ra_data *data = data_of(values, ROWS, D);
    ra_ok(ra_data_measure(data, NULL, RA_STANDARDIZE_ELEMENT, mean, scale, &err));
    for (size_t j = 0; j < D; j++) {
        double center, deviation;
        two_passes(values + j, ROWS, D, 1, &center, &deviation);
        ck_assert_double_le(fabs((double)mean[j] - center), 1e-7 * (fabs(center) + deviation));
        if (j != 7 && j != 0) ck_assert_double_le(fabs((double)scale[j] - deviation), 1e-6 * deviation);
    }
    ck_assert_float_eq(mean[7], 0.1f);
    ck_assert_float_eq(scale[7], 1);
    ck_assert_float_eq(scale[0], 1);
    ck_assert_double_le(fabs((double)scale[9] - 0.125), 1e-6);
    ra_data_free(data);
    ra_free(values);
}
END_TEST

START_TEST(test_global_is_one_of_all_numbers) {
    float *values = make_values(), mean[D], scale[D];
    double center, deviation;
    ra_data *data = data_of(values, ROWS, D);
    two_passes(values, ROWS, D, D, &center, &deviation);
    ra_ok(ra_data_measure(data, NULL, RA_STANDARDIZE_GLOBAL, mean, scale, &err));
    for (size_t j = 0; j < D; j++) {
        ck_assert_double_le(fabs((double)mean[j] - center), 1e-6 * fabs(center));
        ck_assert_double_le(fabs((double)scale[j] - deviation), 1e-6 * deviation);
    }
    ra_data_free(data);
    ra_free(values);
}
END_TEST

START_TEST(test_none_and_a_constant_change_nothing) {
    float values[20], mean[4], scale[4];
    for (size_t i = 0; i < 20; i++) values[i] = -2.5f;
    ra_data *data = data_of(values, 5, 4);
    ra_ok(ra_data_measure(data, NULL, RA_STANDARDIZE_NONE, mean, scale, &err));
    ck_assert(mean[3] == 0 && scale[3] == 1);
    ra_ok(ra_data_measure(data, NULL, RA_STANDARDIZE_GLOBAL, mean, scale, &err));
    ck_assert(mean[3] == -2.5f && scale[3] == 1);
    ra_data_free(data);
}
END_TEST

START_TEST(test_threads_give_the_same_bits) {
    float *values = make_values(), mean[D], scale[D], other_mean[D], other_scale[D];
    ra_data *data = data_of(values, ROWS, D);
    ra_ok(ra_data_measure(data, NULL, RA_STANDARDIZE_ELEMENT, mean, scale, &err));
    for (size_t threads = 1; threads <= 4; threads++) {
        ra_backend *backend = backend_of("cpu", threads);
        ra_ok(ra_data_measure(data, backend, RA_STANDARDIZE_ELEMENT, other_mean, other_scale, &err));
        ck_assert_mem_eq(mean, other_mean, sizeof mean);
        ck_assert_mem_eq(scale, other_scale, sizeof scale);
        ra_backend_release(backend);
    }
    ra_data_free(data);
    ra_free(values);
}
END_TEST

START_TEST(test_rows_come_out_standardized) {
    float *values = make_values(), mean[D], scale[D], row[3 * D];
    const float *set_mean, *set_scale;
    ra_data *data = data_of(values, ROWS, D);
    ck_assert(!ra_data_standardization(data, &set_mean, &set_scale) && !set_mean && !set_scale);
    ra_ok(ra_data_measure(data, NULL, RA_STANDARDIZE_ELEMENT, mean, scale, &err));
    ra_ok(ra_data_set_standardization(data, mean, scale, &err));
    ck_assert(ra_data_standardization(data, &set_mean, &set_scale));
    ck_assert_mem_eq(set_mean, mean, sizeof mean);
    ck_assert_mem_eq(set_scale, scale, sizeof scale);
    const uint64_t wanted[] = {2000, 5, 6};
    ra_data_gather(data, wanted, 3, row);
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < D; j++)
            ck_assert_float_eq(row[i * D + j], (values[wanted[i] * D + j] - mean[j]) / scale[j]);
    memcpy(row, values, sizeof row);
    ra_data_standardize(data, row, 3);
    ck_assert_float_eq(row[D + 2], (values[D + 2] - mean[2]) / scale[2]);

    float again_mean[D], again_scale[D]; /* of the numbers in the files, whatever standardization is set */
    ra_ok(ra_data_measure(data, NULL, RA_STANDARDIZE_ELEMENT, again_mean, again_scale, &err));
    ck_assert_mem_eq(again_mean, mean, sizeof mean);
    ra_ok(ra_data_set_standardization(data, NULL, NULL, &err));
    ra_data_read(data, 0, 3, row);
    ck_assert_mem_eq(row, values, sizeof row);
    ra_data_free(data);
    ra_free(values);
}
END_TEST

/* A bad row does not count. */
START_TEST(test_skipped_rows_are_not_measured) {
    const float values[] = {1, 10, NAN, 1e30f, 3, 30};
    float mean[2], scale[2];
    const char *path = data_file_npy("bad.npy", values, 3, 2);
    ra_data *data = NULL;
    ra_ok(ra_data_open(&path, 1, &(ra_data_options){.skip_bad_rows = true}, &data, &err));
    ra_ok(ra_data_measure(data, NULL, RA_STANDARDIZE_ELEMENT, mean, scale, &err));
    ck_assert(mean[0] == 2 && mean[1] == 20 && scale[0] == 1 && scale[1] == 10);
    ra_data_free(data);
}
END_TEST

START_TEST(test_refuses_what_is_no_standardization) {
    const float values[] = {1, 2, 3, 4};
    float mean[2] = {0, 0}, scale[2] = {1, 1};
    ra_data *data = data_of(values, 2, 2);
    const struct {
        float mean, scale;
    } cases[] = {{NAN, 1}, {INFINITY, 1}, {0, NAN}, {0, INFINITY}, {0, 0}, {0, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mean[1] = cases[i].mean;
        scale[1] = cases[i].scale;
        ra_fails(ra_data_set_standardization(data, mean, scale, &err), RA_ERR_ARGUMENT, "dimension 1");
    }
    ra_fails(ra_data_set_standardization(data, mean, NULL, &err), RA_ERR_ARGUMENT, "a mean alone");
    ra_data_free(data);
}
END_TEST

static ra_status measure_and_set(ra_data *data, ra_error *err) {
    float mean[2], scale[2];
    ra_status status = ra_data_measure(data, NULL, RA_STANDARDIZE_ELEMENT, mean, scale, err);
    if (status == RA_OK) status = ra_data_set_standardization(data, mean, scale, err);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    const float values[] = {1, 2, 3, 4};
    ra_data *data = data_of(values, 2, 2);
    fails_at_each_allocation(measure_and_set(data, &err));
    ra_data_free(data);
}
END_TEST

TEST_CASES(data_measure, test_element_is_each_dimensions_own, test_global_is_one_of_all_numbers,
           test_none_and_a_constant_change_nothing, test_threads_give_the_same_bits,
           test_rows_come_out_standardized, test_skipped_rows_are_not_measured,
           test_refuses_what_is_no_standardization, test_every_allocation_may_fail)
