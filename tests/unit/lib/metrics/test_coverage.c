/* lib/metrics/coverage.c against plain loops, where 8 bits rule out most cosines and where they rule out none. */
#include "harness.h"

#include "data_files.h"
#include "ra_memory.h"
#include "metrics/coverage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ATOMS = 130, ROWS = 2600, D = 96 };

static float atoms[ATOMS * D], rows[ROWS * D];

/* all lie around one direction when `mean` is large */
static void fill(float mean) {
    test_fill(atoms, ATOMS * D, 1);
    test_fill(rows, ROWS * D, 2);
    for (size_t i = 0; i < ATOMS * D; i++) atoms[i] += mean;
    for (size_t i = 0; i < ROWS * D; i++) rows[i] += mean;
    memset(rows + 5 * D, 0, D * sizeof *rows);
}

static double plain_ood(void) {
    double sum = 0;
    for (size_t k = 0; k < ATOMS; k++) {
        double best = -1;
        for (size_t i = 0; i < ROWS; i++) {
            double ab = 0, aa = 0, bb = 0;
            for (size_t j = 0; j < D; j++) {
                double a = (double)atoms[k * D + j], b = (double)rows[i * D + j];
                ab += a * b, aa += a * a, bb += b * b;
            }
            best = fmax(best, bb > 0 ? ab / sqrt(aa * bb) : 0);
        }
        sum += best;
    }
    return 1 - sum / ATOMS;
}

static double measure(size_t threads, size_t step, bool *coarse) {
    const ra_tensor tensor = ra_tensor_2d(RA_F32, atoms, ATOMS, D);
    ra_backend *backend = NULL;
    ra_coverage coverage;
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = threads}, &backend, &err));
    ra_ok(ra_coverage_init(&coverage, backend, &tensor, &err));
    for (size_t from = 0; from < ROWS; from += step)
        ra_ok(ra_coverage_add(&coverage, rows + from * D, ROWS - from < step ? ROWS - from : step, &err));
    double ood = ra_coverage_ood(&coverage);
    *coarse = coverage.coarse;
    ra_coverage_release(&coverage);
    ra_backend_release(backend);
    return ood;
}

START_TEST(test_the_best_cosines_equal_plain_loops) {
    static const float means[] = {0, 0.5f, 1000};
    for (size_t m = 0; m < sizeof means / sizeof *means; m++) {
        fill(means[m]);
        bool coarse, again;
        double expected = plain_ood(), ood = measure(1, 1024, &coarse);
        ck_assert_double_eq_tol(ood, expected, 1e-6);
        ck_assert_double_eq(measure(3, 1024, &again), ood);
        ck_assert_int_eq(coarse, again);
        if (means[m] == 0) ck_assert_int_eq(coarse, ra_coarse_pays(D));
        if (means[m] == 1000) ck_assert(!coarse); /* nothing can be ruled out */
        ck_assert_double_eq_tol(measure(2, 70, &again), expected, 1e-6);
        ck_assert_double_eq_tol(measure(2, ROWS, &again), expected, 1e-6);
    }
}
END_TEST

TEST_CASES(coverage, test_the_best_cosines_equal_plain_loops)
