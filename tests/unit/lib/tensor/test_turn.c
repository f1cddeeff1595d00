/* lib/tensor/turn.c: a rotation, which spreads outliers. */
#include "harness.h"

#include "data_files.h"
#include "tensor/turn.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum { MOST = RA_TURN_MOST };

static size_t padded(size_t n) {
    return (n + RA_TURN_UNIT - 1) / RA_TURN_UNIT * RA_TURN_UNIT;
}

START_TEST(test_products_and_lengths_stay) {
    float x[MOST], y[MOST], u[MOST], v[MOST];
    for (size_t n = 1; n <= MOST; n += n < 70 ? 1 : 53) {
        test_fill(x, n, n);
        test_fill(y, n, n + 1);
        y[n / 2] = 500;
        ra_turn(x, n, u);
        ra_turn(y, n, v);
        double xx = ra_dot_f64(x, x, n), yy = ra_dot_f64(y, y, n), loss = (double)RA_TURN_LOSS;
        ck_assert_double_eq_tol(sqrt(ra_dot_f64(u, u, padded(n)) / xx), 1, loss);
        ck_assert_double_eq_tol(sqrt(ra_dot_f64(v, v, padded(n)) / yy), 1, loss);
        ck_assert_double_eq_tol(ra_dot_f64(u, v, padded(n)), ra_dot_f64(x, y, n), 2 * loss * sqrt(xx * yy));
    }
}
END_TEST

START_TEST(test_one_large_number_is_spread) {
    float x[MOST], turned[MOST];
    static const size_t sizes[] = {64, 384, 768, 1000, 1024};
    for (size_t s = 0; s < 5; s++)
        for (size_t at = 0; at < sizes[s]; at += 17) {
            size_t n = sizes[s];
            memset(x, 0, sizeof x);
            x[at] = 1;
            ra_turn(x, n, turned);
            for (size_t i = 0; i < padded(n); i++) ck_assert_float_le(fabsf(turned[i]), 8 / sqrtf((float)n));
        }
}
END_TEST

START_TEST(test_it_pays_for_rows_with_outliers_only) {
    enum { ROWS = 70, D = 1100 };
    static float x[ROWS * D];
    test_fill(x, ROWS * D, 1);
    ck_assert(!ra_turn_pays(x, ROWS, D));
    for (size_t row = 0; row < ROWS; row++) x[row * D + 1050] *= 50;
    ck_assert(ra_turn_pays(x, ROWS, D));
    memset(x, 0, 69 * D * sizeof *x); /* rows of zeros say nothing */
    x[69 * D + 1050] = 50;
    ck_assert(ra_turn_pays(x, ROWS, D));
    ck_assert(!ra_turn_pays(x, 69, D));
    x[69 * D + 1050] = INFINITY;
    ck_assert(!ra_turn_pays(x, ROWS, D));
}
END_TEST

TEST_CASES(turn, test_products_and_lengths_stay, test_one_large_number_is_spread,
           test_it_pays_for_rows_with_outliers_only)
