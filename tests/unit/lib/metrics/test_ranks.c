/* Parts of an evaluation, each against plain loops: effective rank, plausibility, covariances, samples,
 * coverage (lib/metrics/{covariance,coverage,sample}.c). */
#include "golden.h"

#include "data_files.h"
#include "metrics/covariance.h"
#include "metrics/sample.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include <math.h>
#include <string.h>

static double effective_rank(const float *D, size_t K, size_t d) {
    ra_backend *backend = backend_of("cpu", 2);
    double value, other;
    ra_ok(ra_metric_effective_rank(backend, D, K, d, &value, &err));
    ra_backend_release(backend);
    backend = backend_of("cpu", 3);
    ra_ok(ra_metric_effective_rank(backend, D, K, d, &other, &err));
    ck_assert(value == other);
    ra_backend_release(backend);
    return value;
}

START_TEST(test_effective_rank_of_known_matrices) {
    enum { K = 90, D = 40 };
    static float matrix[K * D], turned[K * D];
    double sum = 0, entropy = 0;
    ck_assert_double_eq(effective_rank(matrix, K, D), 0);
    for (size_t i = 0; i < D; i++) matrix[i * D + i] = -2; /* equal singular values */
    ck_assert_double_eq_tol(effective_rank(matrix, K, D), D, 1e-9);
    for (size_t i = 0; i < D; i++) sum += 1.0 / (double)(i + 1);
    for (size_t i = 0; i < D; i++) { /* 1, 1/2, 1/3, ... */
        double p = 1.0 / (double)(i + 1) / sum;
        matrix[i * D + i] = 1 / (float)(i + 1);
        entropy -= p * log(p);
    }
    ck_assert_double_eq_tol(effective_rank(matrix, K, D), exp(entropy), 1e-6);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < D; j++)
            turned[j * K + i] = matrix[i * D + j]; /* fewer atoms than dimensions */
    ck_assert_double_eq_tol(effective_rank(turned, D, K), exp(entropy), 1e-6);
    for (size_t i = 0; i < K * D; i++) matrix[i] = (float)(i / D + 1) * (float)(i % D + 3); /* rank one */
    ck_assert_double_eq_tol(effective_rank(matrix, K, D), 1, 1e-5);
    ra_backend *backend = backend_of("cpu", 1);
    fails_at_each_allocation(ra_metric_effective_rank(backend, matrix, K, D, &sum, &err));
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_plausibility_is_the_mean_of_the_best_cosines) {
    static const float atoms[] = {3, 0, 0, 2, 0, 0}, directions[] = {1, 1, -5, 0, 0, 0.5f}; /* a zero atom */
    ra_backend *backend = backend_of("cpu", 2);
    double value;
    ra_ok(ra_metric_plausibility(backend, atoms, 3, 2, directions, 3, &value, &err));
    ck_assert_double_eq_tol(value, (sqrt(0.5) + 0 + 1) / 3, 1e-6);
    fails_at_each_allocation(ra_metric_plausibility(backend, atoms, 3, 2, directions, 3, &value, &err));
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_cosines_and_ranks_do_not_depend_on_the_scale) {
    static const float scales[] = {1e-18f, 1e-6f, 1, 1e18f};
    ra_backend *backend = backend_of("cpu", 1);
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        float a = scales[s], atoms[] = {a, 0, a, a};
        double value;
        ra_ok(ra_metric_coherence(backend, atoms, 2, 2, &value, &err));
        ck_assert_double_eq_tol(value, sqrt(0.5), 1e-6);
        ra_ok(ra_metric_collinearity(backend, atoms, 2, 2, &value, &err));
        ck_assert_double_eq_tol(value, sqrt(0.5), 1e-6);
        ra_ok(ra_metric_stable_rank(backend, atoms, 2, 2, &value, &err));
        ck_assert_double_eq_tol(value, 6 / (3 + sqrt(5)), 1e-5);
        ra_ok(ra_metric_effective_rank(backend, atoms, 2, 2, &value, &err));
        double p = (1 + sqrt(5)) / (2 * sqrt(5));
        ck_assert_double_eq_tol(value, exp(-p * log(p) - (1 - p) * log(1 - p)), 1e-5);
    }
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_covariances_do_not_depend_on_the_calls) {
    enum { ROWS = 700, D = 6 };
    static float x[ROWS * D];
    static const size_t steps[] = {ROWS, 1, 255, 256, 257};
    double mean[D], covariance[D * D], first[D * D], exact[D] = {0};
    test_fill(x, ROWS * D, 1);
    for (size_t i = 0; i < ROWS * D; i++) x[i] += 1000;
    for (size_t i = 0; i < ROWS * D; i++) exact[i % D] += (double)x[i] / ROWS;
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        ra_covariance sums;
        ra_ok(ra_covariance_init(&sums, NULL, D, &err));
        for (size_t from = 0; from < ROWS; from += steps[s])
            ra_covariance_add(&sums, x + from * D, ROWS - from < steps[s] ? ROWS - from : steps[s]);
        for (int again = 0; again < 2; again++) ra_ok(ra_covariance_measure(&sums, mean, covariance, &err));
        ra_covariance_release(&sums);
        if (s > 0) ck_assert_mem_eq(covariance, first, sizeof first);
        memcpy(first, covariance, sizeof first);
    }
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j < D; j++) {
            double sum = 0;
            for (size_t b = 0; b < ROWS; b++)
                sum += ((double)x[b * D + i] - exact[i]) * ((double)x[b * D + j] - exact[j]) / (ROWS - 1);
            ck_assert_double_eq_tol(covariance[i * D + j], sum, 1e-9);
        }
}
END_TEST

/* Covariances of rank 2 in 20 dimensions: the roots of rounding errors must not add up. */
START_TEST(test_frechet_of_singular_covariances_is_exact) {
    enum { ROWS = 3, D = 20 };
    float x[ROWS * D], y[ROWS * D];
    ra_backend *backend = backend_of("cpu", 1);
    double value, between = 0, squares = 0;
    test_fill(x, ROWS * D, 1);
    for (size_t i = 0; i < ROWS * D; i++) x[i] *= 100;
    for (size_t b = 0; b < ROWS; b++)
        for (size_t j = 0; j < D; j++) y[b * D + j] = x[b * D + j] + (float)j; /* the same, moved */
    for (size_t j = 0; j < D; j++) between += (double)(j * j);
    for (size_t i = 0; i < ROWS * D; i++) squares += (double)x[i] * (double)x[i];
    ra_ok(ra_metric_frechet_distance(backend, x, y, ROWS, D, &value, &err));
    ck_assert_double_eq_tol(value, between, 1e-6 * squares);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_a_sample_is_all_rows_or_as_many_as_fit) {
    enum { ROWS = 5000, D = 2, MOST = 700 };
    static float x[ROWS * D], x_hat[ROWS * D];
    ra_sample whole, some, again;
    for (size_t i = 0; i < ROWS * D; i++) {
        x[i] = (float)(i / D);
        x_hat[i] = -x[i];
    }
    ra_sample_init(&whole, D, 1 << 20);
    ra_sample_init(&some, D, MOST * 2 * D * sizeof(float));
    ra_sample_init(&again, D, MOST * 2 * D * sizeof(float));
    ra_ok(ra_sample_add(&whole, x, x_hat, ROWS, &err));
    ra_ok(ra_sample_add(&some, x, x_hat, ROWS, &err));
    for (size_t from = 0; from < ROWS; from += 50)
        ra_ok(ra_sample_add(&again, x + from * D, x_hat + from * D, 50, &err));
    ck_assert_uint_eq(whole.kept, ROWS);
    ck_assert_mem_eq(whole.x, x, sizeof x);
    ck_assert_uint_eq(some.kept, MOST);
    ck_assert_mem_eq(some.x, again.x, MOST * D * sizeof(float));
    double mean = 0;
    for (size_t i = 0; i < MOST; i++) {
        ck_assert_float_eq(some.x[i * D], -some.x_hat[i * D]); /* a row stays with its reconstruction */
        ck_assert_float_eq(some.x[i * D], some.x[i * D + 1]);
        mean += (double)some.x[i * D] / MOST;
    }
    ck_assert_double_eq_tol(mean, ROWS / 2.0, 4 * ROWS / sqrt(12.0 * MOST)); /* four standard errors */
    ra_sample_release(&whole);
    ra_sample_release(&some);
    ra_sample_release(&again);
}
END_TEST

static double wasserstein_by_counting(const float *x, const float *y, size_t rows, size_t d) {
    double sum = 0;
    for (size_t j = 0; j < d; j++)
        for (size_t i = 0; i < rows; i++) { /* the i-th smallest of each, found by its rank */
            float a = 0, b = 0;
            for (size_t r = 0; r < rows; r++) {
                size_t below_x = 0, below_y = 0;
                for (size_t s = 0; s < rows; s++) {
                    below_x += x[s * d + j] < x[r * d + j] || (x[s * d + j] == x[r * d + j] && s < r);
                    below_y += y[s * d + j] < y[r * d + j] || (y[s * d + j] == y[r * d + j] && s < r);
                }
                if (below_x == i) a = x[r * d + j];
                if (below_y == i) b = y[r * d + j];
            }
            sum += fabs((double)a - (double)b);
        }
    return sum / (double)(rows * d);
}

START_TEST(test_wasserstein_of_values_of_any_size_and_sign) {
    enum { ROWS = 40, D = 19 }; /* more columns than are sorted at a time */
    float x[ROWS * D], y[ROWS * D];
    double value, again;
    test_fill(x, ROWS * D, 1);
    test_fill(y, ROWS * D, 2);
    for (size_t i = 0; i < ROWS * D; i++) {
        x[i] = i % 7 == 0 ? 0 : i % 11 == 0 ? -0.0f : x[i] * powf(10, (float)(i % 9) - 4);
        y[i] *= powf(10, (float)(i % 8) - 4);
    }
    ra_backend *backend = NULL, *three = NULL;
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &backend, &err));
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 3}, &three, &err));
    ra_ok(ra_metric_wasserstein_1d(backend, x, y, ROWS, D, &value, &err));
    ck_assert_double_eq_tol(value / wasserstein_by_counting(x, y, ROWS, D), 1, 1e-12);
    ra_ok(ra_metric_wasserstein_1d(three, x, y, ROWS, D, &again, &err));
    ck_assert_double_eq(value, again);
    fails_at_each_allocation(ra_metric_wasserstein_1d(backend, x, y, ROWS, D, &value, &err));
    ra_backend_release(three);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES(ranks, test_effective_rank_of_known_matrices, test_plausibility_is_the_mean_of_the_best_cosines,
           test_cosines_and_ranks_do_not_depend_on_the_scale, test_covariances_do_not_depend_on_the_calls,
           test_frechet_of_singular_covariances_is_exact, test_a_sample_is_all_rows_or_as_many_as_fit,
           test_wasserstein_of_values_of_any_size_and_sign)
