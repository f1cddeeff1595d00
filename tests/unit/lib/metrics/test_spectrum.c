#include "data_files.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include <math.h>
#include <string.h>

enum { MOST = 90 };

static void values_of(const float *D, size_t K, size_t d, size_t threads, double *values) {
    ra_backend *backend = backend_of("cpu", threads);
    ra_ok(ra_metric_singular_values(backend, D, K, d, values, &err));
    ra_backend_release(backend);
}

/* D = (I - 2 u u^T / u.u) S (I - 2 v v^T / v.v) has the entries of the diagonal S as singular values. */
static void known_matrix(size_t K, size_t d, float *D) {
    double u[MOST], v[MOST], uu = 0, vv = 0;
    size_t n = K < d ? K : d;
    for (size_t i = 0; i < K; i++) {
        u[i] = sin((double)(3 * i + 1));
        uu += u[i] * u[i];
    }
    for (size_t j = 0; j < d; j++) {
        v[j] = cos((double)(2 * j + 1));
        vv += v[j] * v[j];
    }
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < d; j++) {
            double sum = 0;
            for (size_t s = 0; s < n; s++)
                sum += ((double)(i == s) - 2 * u[i] * u[s] / uu) / (double)(s + 1) *
                       ((double)(s == j) - 2 * v[s] * v[j] / vv);
            D[i * d + j] = (float)sum;
        }
}

START_TEST(test_a_known_spectrum_tall_and_wide) {
    const size_t shapes[][2] = {{90, 40}, {40, 90}, {70, 70}, {1, 5}, {5, 1}, {1, 1}};
    static float D[MOST * MOST];
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t K = shapes[s][0], d = shapes[s][1];
        double values[MOST];
        known_matrix(K, d, D);
        values_of(D, K, d, 1, values);
        for (size_t i = 0; i < (K < d ? K : d); i++)
            ck_assert_double_eq_tol(values[i], 1 / (double)(i + 1), 1e-6);
    }
}
END_TEST

START_TEST(test_nothing_is_above_the_rank) {
    enum { K = 60, D = 50 };
    static float matrix[K * D];
    double values[D];
    values_of(matrix, K, D, 2, values);
    for (size_t i = 0; i < D; i++) ck_assert_double_eq(values[i], 0);
    double u = 0, v = 0;
    for (size_t k = 0; k < K; k++) u += (double)((k + 1) * (k + 1));
    for (size_t j = 0; j < D; j++) v += (double)((j + 3) * (j + 3));
    for (size_t i = 0; i < K * D; i++) matrix[i] = (float)(i / D + 1) * (float)(i % D + 3); /* rank one */
    values_of(matrix, K, D, 2, values);
    ck_assert_double_eq_tol(values[0], sqrt(u * v), 1e-9 * sqrt(u * v));
    for (size_t i = 1; i < D; i++) ck_assert_double_le(values[i], 1e-7 * values[0]);
}
END_TEST

START_TEST(test_squares_sum_to_the_norm_with_any_number_of_threads) {
    enum { K = 85, D = 70 };
    static float matrix[K * D];
    double one[D], three[D], squares = 0, norm = 0;
    test_fill(matrix, K * D, 3);
    values_of(matrix, K, D, 1, one);
    values_of(matrix, K, D, 3, three);
    ck_assert_mem_eq(one, three, sizeof one);
    for (size_t i = 0; i < K * D; i++) norm += (double)matrix[i] * (double)matrix[i];
    for (size_t i = 0; i < D; i++) {
        squares += one[i] * one[i];
        if (i > 0) ck_assert_double_le(one[i], one[i - 1]);
    }
    ck_assert_double_eq_tol(squares, norm, 1e-10 * norm);
}
END_TEST

START_TEST(test_what_it_needs) {
    float matrix[6] = {1, 2, 3, 4, 5, 6};
    double values[2];
    ra_backend *backend = backend_of("cpu", 1);
    fails_at_each_allocation(ra_metric_singular_values(backend, matrix, 3, 2, values, &err));
    ra_backend_release(backend);
}
END_TEST

TEST_CASES(singular, test_a_known_spectrum_tall_and_wide, test_nothing_is_above_the_rank,
           test_squares_sum_to_the_norm_with_any_number_of_threads, test_what_it_needs)
