#include "harness.h"

#include "ra_memory.h"
#include "ra_metrics.h"

#include "base/random.h"
#include "data_files.h"

#include <math.h>
#include <string.h>

enum { MOST = 80 };

/* ---- two other ways to the optimum -------------------------------------------------------------------- */

static double brute_force(const float *cost, size_t n, size_t row, unsigned taken) {
    double best = row == n ? 0 : INFINITY;
    for (size_t j = 0; j < n && row < n; j++)
        if (!(taken & 1u << j))
            best = fmin(best, (double)cost[row * n + j] + brute_force(cost, n, row + 1, taken | 1u << j));
    return best;
}

/* The Hungarian method in the O(n^3) form with potentials, one row at a time, indices from 1. */
static double hungarian(const float *cost, size_t n) {
    double u[MOST + 1] = {0}, v[MOST + 1] = {0}, total = 0;
    size_t row_of[MOST + 1] = {0}, way[MOST + 1] = {0};
    for (size_t i = 1; i <= n; i++) {
        double least[MOST + 1];
        bool used[MOST + 1] = {false};
        size_t j0 = 0;
        row_of[0] = i;
        for (size_t j = 0; j <= n; j++) least[j] = INFINITY;
        while (row_of[j0]) {
            size_t i0 = row_of[j0], j1 = 0;
            double delta = INFINITY;
            used[j0] = true;
            for (size_t j = 1; j <= n; j++) {
                if (used[j]) continue;
                double reduced = (double)cost[(i0 - 1) * n + j - 1] - u[i0] - v[j];
                if (reduced < least[j]) {
                    least[j] = reduced;
                    way[j] = j0;
                }
                if (least[j] < delta) {
                    delta = least[j];
                    j1 = j;
                }
            }
            for (size_t j = 0; j <= n; j++) {
                if (used[j]) {
                    u[row_of[j]] += delta;
                    v[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            j0 = j1;
        }
        for (; j0; j0 = way[j0]) row_of[j0] = row_of[way[j0]];
    }
    for (size_t j = 1; j <= n; j++) total += (double)cost[(row_of[j] - 1) * n + j - 1];
    return total;
}

/* A permutation whose cost is *total; returns the total. */
static double solve(const float *cost, size_t n) {
    int32_t match[1000];
    bool taken[1000] = {false};
    double total, sum = 0;
    ck_assert_uint_le(n, 1000);
    ra_ok(ra_assignment(cost, n, match, &total, &err));
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(match[i] >= 0 && (size_t)match[i] < n && !taken[match[i]], "no permutation");
        taken[match[i]] = true;
        sum += (double)cost[i * n + (size_t)match[i]];
    }
    ck_assert_double_eq(total, sum);
    return total;
}

/* ---- matrices of many kinds --------------------------------------------------------------------------- */

typedef void fill(float *cost, size_t n, uint64_t seed);

static void uniform(float *cost, size_t n, uint64_t seed) {
    test_fill(cost, n * n, seed);
}

static void small_integers(float *cost, size_t n, uint64_t seed) { /* ties everywhere */
    test_fill(cost, n * n, seed);
    for (size_t i = 0; i < n * n; i++) cost[i] = floorf(cost[i] * 3);
}

static void zeros_and_ones(float *cost, size_t n, uint64_t seed) {
    test_fill(cost, n * n, seed);
    for (size_t i = 0; i < n * n; i++) cost[i] = cost[i] > 0.8f ? 0 : 1;
}

static void constant(float *cost, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n * n; i++) cost[i] = (float)seed - 0.3f;
}

static void equal_rows(float *cost, size_t n, uint64_t seed) {
    test_fill(cost, n * n, seed);
    for (size_t i = 0; i < n; i++) memcpy(cost + i * n, cost + i % 3 * n, n * sizeof *cost);
}

static void equal_columns(float *cost, size_t n, uint64_t seed) {
    test_fill(cost, n * n, seed);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) cost[i * n + j] = cost[i * n + j % 2];
}

static void products(float *cost, size_t n, uint64_t seed) { /* (i+1)(j+1): hard for row reduction */
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) cost[i * n + j] = (float)((i + 1) * (j + 1 + seed % 2));
}

static void wide_range(float *cost, size_t n, uint64_t seed) {
    test_fill(cost, n * n, seed);
    for (size_t i = 0; i < n * n; i++) cost[i] = expf(20 * cost[i]) * (i % 3 ? 1 : -1);
}

static void cosine_distances(float *cost, size_t n, uint64_t seed) { /* of similar atoms */
    enum { D = 5 };
    float a[MOST * D], b[MOST * D];
    test_fill(a, n * D, seed);
    test_fill(b, n * D, seed + 1000);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double aa = 0, bb = 0, ab = 0;
            for (size_t l = 0; l < D; l++) {
                double x = (double)a[i * D + l] + 2, y = (double)b[j * D + l] + 2;
                aa += x * x;
                bb += y * y;
                ab += x * y;
            }
            cost[i * n + j] = (float)(1 - ab / sqrt(aa * bb));
        }
}

static fill *const fills[] = {uniform,       small_integers, zeros_and_ones, constant,        equal_rows,
                              equal_columns, products,       wide_range,     cosine_distances};

START_TEST(test_equals_brute_force) {
    float cost[7 * 7];
    for (size_t n = 1; n <= 7; n++)
        for (uint64_t seed = 0; seed < (n < 7 ? 40 : 10); seed++) {
            fills[_i](cost, n, seed);
            double best = brute_force(cost, n, 0, 0), found = solve(cost, n);
            ck_assert_msg(fabs(found - best) <= 1e-9 * fmax(1, fabs(best)),
                          "n %zu, seed %u: %.17g, not %.17g", n, (unsigned)seed, found, best);
        }
}
END_TEST

START_TEST(test_equals_the_hungarian_method) {
    static const size_t sizes[] = {8, 13, 16, 17, 31, 60, 64, 79};
    static float cost[MOST * MOST];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t seed = 0; seed < 12; seed++) {
            size_t n = sizes[s];
            fills[_i](cost, n, seed + 7);
            double best = hungarian(cost, n), found = solve(cost, n);
            ck_assert_msg(fabs(found - best) <= 1e-9 * fmax(1, fabs(best)),
                          "n %zu, seed %u: %.17g, not %.17g", n, (unsigned)seed, found, best);
        }
}
END_TEST

/* ---- the rest ----------------------------------------------------------------------------------------- */

START_TEST(test_finds_a_hidden_permutation) {
    enum { N = 700 };
    static float cost[N * N];
    int32_t match[N];
    uint64_t order[N];
    ra_random random;
    double total;
    ra_random_seed(&random, 5);
    ra_random_permutation(&random, order, N);
    test_fill(cost, N * N, 6);
    for (size_t i = 0; i < N * N; i++) cost[i] = fabsf(cost[i]) + 1e-3f;
    for (size_t i = 0; i < N; i++) cost[i * N + (size_t)order[i]] = -1;
    ra_ok(ra_assignment(cost, N, match, &total, &err));
    for (size_t i = 0; i < N; i++) ck_assert_int_eq(match[i], (int32_t)order[i]);
    ck_assert_double_eq(total, -N);
}
END_TEST

START_TEST(test_large_degenerate_matrices_are_quick) { /* the test's time limit is the check */
    enum { N = 900 };
    static float cost[N * N];
    for (size_t i = 0; i < N * N; i++) cost[i] = 1;
    ck_assert_double_eq(solve(cost, N), N);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) cost[i * N + j] = (float)(i + j); /* every permutation is best */
    ck_assert_double_eq(solve(cost, N), (double)N * (N - 1));
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) cost[i * N + j] = fabsf((float)i - (float)j) / N;
    ck_assert_double_eq(solve(cost, N), 0);
}
END_TEST

START_TEST(test_nothing_to_assign) {
    double total = 1;
    ra_ok(ra_assignment((float[]){0}, 0, NULL, &total, &err));
    ck_assert_double_eq(total, 0);
}
END_TEST

START_TEST(test_refuses_costs_that_are_not_finite) {
    float cost[9] = {0};
    int32_t match[3];
    double total;
    cost[5] = NAN;
    ra_fails(ra_assignment(cost, 3, match, &total, &err), RA_ERR_NOT_FINITE, "row 1 with column 2 is");
    cost[5] = INFINITY;
    ra_fails(ra_assignment(cost, 3, match, &total, &err), RA_ERR_NOT_FINITE, "is inf");
    ra_fails(ra_assignment(cost, (size_t)1 << 32, match, &total, &err), RA_ERR_TOO_LARGE, "4294967296");
    cost[5] = 0;
    fails_at_each_allocation(ra_assignment(cost, 3, match, &total, &err));
}
END_TEST

TEST_CASES_LOOP(assignment_kinds, 0, sizeof fills / sizeof *fills, test_equals_brute_force,
                test_equals_the_hungarian_method)
TEST_CASES(assignment, test_finds_a_hidden_permutation, test_large_degenerate_matrices_are_quick,
           test_nothing_to_assign, test_refuses_costs_that_are_not_finite)
