/* Identifiability: the best detector of each class against every threshold of every latent. */
#include "harness.h"

#include "data_files.h"
#include "metrics/classes.h"
#include "ra_memory.h"

#include <math.h>

enum { ROWS = 80, K = 6, CLASSES = 4 };

static float z[ROWS * K];
static int32_t row_class[ROWS];

/* Few different values, so that many are equal; latent 5 detects class 2; class 3 has no rows. */
static void fill(uint64_t seed) {
    test_fill(z, ROWS * K, seed);
    for (size_t b = 0; b < ROWS; b++) {
        row_class[b] = (int32_t)(b * 7 % 3);
        for (size_t k = 0; k < K; k++) {
            float *value = &z[b * K + k];
            *value = *value > 0 ? ceilf(*value * 4) / 4 : 0;
            if (k == 5 && row_class[b] == 2) *value = 0.75f;
            if (k == 5 && row_class[b] != 2) *value = b % 2 ? 0.5f : 0;
        }
    }
}

static double accuracy_of(size_t c, size_t k, double threshold) {
    double right = 0;
    for (size_t b = 0; b < ROWS; b++)
        right += ((double)z[b * K + k] > threshold) == (row_class[b] == (int32_t)c);
    return right / ROWS;
}

static double best_accuracy(size_t c) {
    double best = 0;
    for (size_t k = 0; k < K; k++) {
        best = fmax(best, fmax(accuracy_of(c, k, -1), accuracy_of(c, k, 0)));
        for (size_t b = 0; b < ROWS; b++) best = fmax(best, accuracy_of(c, k, (double)z[b * K + k]));
    }
    return best;
}

static ra_status find(size_t bytes, size_t step, ra_class_detector *best, bool *overflowed, ra_error *err) {
    ra_classes classes;
    ra_codes codes = {0};
    ra_status status = ra_classes_init(&classes, K, CLASSES, bytes, err);
    for (size_t from = 0; from < ROWS && status == RA_OK; from += step) {
        size_t count = ROWS - from < step ? ROWS - from : step;
        status = ra_codes_from_dense(&codes, z + from * K, count, K, err);
        if (status == RA_OK) status = ra_classes_add(&classes, &codes, row_class + from, err);
    }
    *overflowed = classes.overflowed;
    if (status == RA_OK && !classes.overflowed) status = ra_classes_best(&classes, best, err);
    ra_classes_release(&classes);
    ra_codes_release(&codes);
    return status;
}

START_TEST(test_detectors_are_the_best_of_all) {
    ra_class_detector best[CLASSES];
    bool overflowed;
    fill((uint64_t)_i);
    ra_ok(find(1 << 20, _i % 2 ? 13 : ROWS, best, &overflowed, &err));
    ck_assert(!overflowed);
    for (size_t c = 0; c < CLASSES; c++) {
        ck_assert_double_eq_tol(best[c].accuracy, best_accuracy(c), 1e-12);
        ck_assert_double_eq_tol(best[c].accuracy, accuracy_of(c, best[c].latent, (double)best[c].threshold),
                                1e-12);
    }
    ck_assert_double_eq(best[2].accuracy, 1);
    ck_assert_uint_eq(best[2].latent, 5);
    ck_assert_double_eq(best[3].accuracy, 1); /* no row is in class 3, and none is assigned to it */
    ck_assert(best[3].threshold == INFINITY);
}
END_TEST

START_TEST(test_more_codes_than_memory_are_noticed) {
    ra_class_detector best[CLASSES];
    bool overflowed;
    fill(1);
    ra_ok(find(20 * 30, 10, best, &overflowed, &err));
    ck_assert(overflowed);
}
END_TEST

START_TEST(test_every_allocation_may_fail) {
    ra_class_detector best[CLASSES];
    bool overflowed;
    fill(1);
    fails_at_each_allocation(find(1 << 20, ROWS, best, &overflowed, &err));
}
END_TEST

TEST_CASES_LOOP(classes_best, 0, 6, test_detectors_are_the_best_of_all)
TEST_CASES(classes, test_more_codes_than_memory_are_noticed, test_every_allocation_may_fail)
