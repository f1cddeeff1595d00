/* The running statistics of latents against plain loops over dense codes. */
#include "harness.h"

#include "data_files.h"
#include "metrics/statistics.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { ROWS = 300, K = 7, T = 5 };

/* Values from 1e-3 to 1e3; latent 2 is never active, latent 3 has equal values, latent 4 has negative ones,
 * too. */
static void fill(float *z) {
    test_fill(z, ROWS * K, 11);
    for (size_t i = 0; i < ROWS * K; i++) {
        size_t k = i % K;
        bool active = z[i] > -0.2f && k != 2;
        float value = powf(10, 3 * z[i]);
        z[i] = !active ? 0 : k == 3 ? 0.5f : k == 4 && i % 3 == 0 ? -value : value;
    }
}

static void add(ra_latent_sums *sums, const float *z, size_t from, size_t to) {
    ra_codes codes = {0};
    ra_ok(ra_codes_from_dense(&codes, z + from * K, to - from, K, &err));
    ra_latent_sums_add(sums, &codes);
    ra_codes_release(&codes);
}

static void check_histogram(const ra_latent_statistics *view, size_t k, const float *z) {
    int64_t bins[RA_LATENT_BINS] = {0};
    float top = view->histogram_top[k], largest = 0;
    for (size_t b = 0; b < ROWS; b++) largest = fmaxf(largest, z[b * K + k]);
    ck_assert(largest > 0 ? top > largest && top <= 2 * largest : top == 0);
    for (size_t b = 0; b < ROWS; b++) {
        float value = z[b * K + k];
        if (value != 0) bins[value > 0 ? (size_t)floor((double)value / (double)top * RA_LATENT_BINS) : 0]++;
    }
    ck_assert_mem_eq(bins, view->histogram + k * RA_LATENT_BINS, sizeof bins);
}

static void check_examples(const ra_latent_statistics *view, size_t k, const float *z) {
    bool taken[ROWS] = {false};
    for (size_t t = 0; t < T; t++) {
        size_t best = ROWS;
        for (size_t b = 0; b < ROWS; b++)
            if (!taken[b] && z[b * K + k] != 0 && (best == ROWS || z[b * K + k] > z[best * K + k])) best = b;
        ck_assert_int_eq(view->top_row[k * T + t], best == ROWS ? -1 : (int64_t)best);
        if (best == ROWS) continue;
        taken[best] = true;
        ck_assert_float_eq(view->top_value[k * T + t], z[best * K + k]);
    }
}

START_TEST(test_statistics_equal_plain_loops) {
    static float z[ROWS * K];
    static const size_t steps[] = {1, 7, 299, ROWS};
    const double norm[K] = {1, 2, 3, 4, 5, 6, 7};
    fill(z);
    for (size_t s = 0; s < 4; s++) {
        ra_latent_sums sums;
        ra_latent_statistics view;
        ra_ok(ra_latent_sums_init(&sums, K, T, &err));
        for (size_t from = 0; from < ROWS; from += steps[s])
            add(&sums, z, from, from + steps[s] < ROWS ? from + steps[s] : ROWS);
        ra_ok(ra_latent_sums_view(&sums, norm, &(ra_latent_rows){0}, &view, &err));
        ck_assert_uint_eq(view.rows, ROWS);
        for (size_t k = 0; k < K; k++) {
            double sum = 0;
            int64_t count = 0;
            float largest = -INFINITY;
            for (size_t b = 0; b < ROWS; b++) {
                float value = z[b * K + k];
                sum += (double)value;
                count += value != 0;
                if (value != 0) largest = fmaxf(largest, value);
            }
            ck_assert_int_eq(view.count[k], count);
            ck_assert_double_eq_tol((double)view.mean[k], count ? sum / (double)count : 0, 1e-5);
            ck_assert_float_eq(view.max[k], count ? largest : 0);
            ck_assert_double_eq_tol((double)view.energy[k], fabs(sum) / ROWS * norm[k],
                                    1e-6 * fabs(sum) + 1e-12);
            check_histogram(&view, k, z);
            check_examples(&view, k, z);
        }
        ra_latent_sums_release(&sums);
    }
}
END_TEST

START_TEST(test_histograms_of_extreme_values) {
    static const float z[] = {1e-38f, 3e38f, 1e-45f, 2, -1};
    ra_latent_sums sums;
    ra_latent_statistics view;
    ra_codes codes = {0};
    ra_ok(ra_latent_sums_init(&sums, 1, 1, &err));
    ra_ok(ra_codes_from_dense(&codes, z, 5, 1, &err));
    ra_latent_sums_add(&sums, &codes);
    ra_ok(ra_latent_sums_view(&sums, (double[]){1}, &(ra_latent_rows){0}, &view, &err));
    ck_assert_float_eq(view.histogram_top[0], 0x1p127f);
    ck_assert_int_eq(view.histogram[0], 4);
    ck_assert_int_eq(view.histogram[RA_LATENT_BINS - 1], 1);
    ck_assert_int_eq(view.count[0], 5);
    ra_codes_release(&codes);
    ra_latent_sums_release(&sums);
}
END_TEST

START_TEST(test_examples_carry_labels) {
    static const float z[] = {1, 0, 3, 0, 2, 5}; /* [3,2] */
    static const char text[] = "cat\ndog\tand more\n\n";
    ra_latent_sums sums;
    ra_latent_statistics view;
    ra_codes codes = {0};
    ra_labels *labels = NULL;
    ra_latent_example one;
    ra_ok(ra_labels_parse(text, strlen(text), "labels", &labels, &err));
    ra_ok(ra_latent_sums_init(&sums, 2, 2, &err));
    ra_ok(ra_codes_from_dense(&codes, z, 3, 2, &err));
    ra_latent_sums_add(&sums, &codes);
    const ra_latent_rows rows = {.labels = labels};
    for (int again = 0; again < 2; again++) {
        ra_ok(ra_latent_sums_view(&sums, (double[]){1, 1}, &rows, &view, &err));
        ck_assert(ra_latent_statistics_example(&view, 0, 0, &one));
        ck_assert_uint_eq(one.row, 1);
        ck_assert_str_eq(one.label, "dog and more"); /* tabs separate labels in a file */
        ck_assert(ra_latent_statistics_example(&view, 0, 1, &one));
        ck_assert_uint_eq(one.row, 2);
        ck_assert_ptr_null(one.label);
        ck_assert(!ra_latent_statistics_example(&view, 1, 1, &one));
    }
    ra_ok(ra_latent_sums_view(&sums, (double[]){1, 1}, &(ra_latent_rows){0}, &view, &err));
    ck_assert(ra_latent_statistics_example(&view, 0, 0, &one));
    ck_assert_ptr_null(one.label);
    fails_at_each_allocation(ra_latent_sums_view(&sums, (double[]){1, 1}, &rows, &view, &err));
    ra_labels_free(labels);
    ra_codes_release(&codes);
    ra_latent_sums_release(&sums);
}
END_TEST

static uint64_t backwards(const void *context, uint64_t row) {
    return *(const uint64_t *)context - row;
}

START_TEST(test_rows_may_be_numbered_otherwise) {
    static const float z[] = {1, 3, 2}; /* [3,1] */
    static const char text[] = "\n\n\n\n\nfifth\n\n";
    const uint64_t last = 6;
    ra_latent_sums sums;
    ra_latent_statistics view;
    ra_codes codes = {0};
    ra_labels *labels = NULL;
    ra_latent_example one;
    ra_ok(ra_labels_parse(text, strlen(text), "labels", &labels, &err));
    ra_ok(ra_latent_sums_init(&sums, 1, 2, &err));
    ra_ok(ra_codes_from_dense(&codes, z, 3, 1, &err));
    ra_latent_sums_add(&sums, &codes);
    ra_ok(
        ra_latent_sums_view(&sums, (double[]){1}, &(ra_latent_rows){backwards, &last, labels}, &view, &err));
    ck_assert(ra_latent_statistics_example(&view, 0, 0, &one));
    ck_assert_uint_eq(one.row, 5);
    ck_assert_str_eq(one.label, "fifth");
    ck_assert(ra_latent_statistics_example(&view, 0, 1, &one));
    ck_assert_uint_eq(one.row, 4);
    ra_labels_free(labels);
    ra_codes_release(&codes);
    ra_latent_sums_release(&sums);
}
END_TEST

static ra_status make_and_release(ra_error *err) {
    ra_latent_sums sums;
    ra_status status = ra_latent_sums_init(&sums, 3, 2, err);
    ra_latent_sums_release(&sums);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    fails_at_each_allocation(make_and_release(&err));
}
END_TEST

TEST_CASES(latents, test_statistics_equal_plain_loops, test_histograms_of_extreme_values,
           test_examples_carry_labels, test_rows_may_be_numbered_otherwise, test_every_allocation_may_fail)
