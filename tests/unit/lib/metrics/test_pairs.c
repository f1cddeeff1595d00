/* Z^T Z and the metrics of pairs of latents (lib/metrics/{gram,pairs,lanczos,shift}.c) against dense matrices in
 * float64. */
#include "harness.h"

#include "data_files.h"
#include "metrics/pairs.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include <math.h>
#include <string.h>

enum { ROWS = 240, K = 70, D = 5 };

static float z[ROWS * K], atoms[K * D];

static void fill(void) {
    test_fill(z, ROWS * K, 3);
    test_fill(atoms, K * D, 4);
    for (size_t i = 0; i < ROWS * K; i++) z[i] = z[i] > 0.8f && i % K != 7 ? z[i] + 1 : 0; /* 7 is dead */
}

typedef struct dense {
    double G[K * K], M[K * K];
    ra_pairs_result result;
    double norm;
} dense;

/* Power iteration from a positive start: M has no negative entry. */
static double norm_of(const double *M) {
    double v[K], w[K], length = 0;
    for (size_t i = 0; i < K; i++) v[i] = 1;
    for (int step = 0; step < 3000; step++) {
        double square = 0;
        for (size_t i = 0; i < K; i++) {
            w[i] = 0;
            for (size_t j = 0; j < K; j++) w[i] += M[i * K + j] * v[j];
            square += w[i] * w[i];
        }
        length = sqrt(square);
        for (size_t i = 0; i < K; i++) v[i] = length > 0 ? w[i] / length : 0;
    }
    return length;
}

static dense *measure_dense(void) {
    dense *d = ra_calloc(1, sizeof *d);
    double mean[K] = {0};
    for (size_t i = 0; i < ROWS * K; i++) mean[i % K] += (double)z[i] / ROWS;
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            double product = 0, covariance = 0, ii = 0, jj = 0;
            for (size_t b = 0; b < ROWS; b++) {
                double x = (double)z[b * K + i], y = (double)z[b * K + j];
                d->G[i * K + j] += x * y;
                covariance += (x - mean[i]) * (y - mean[j]) / (ROWS - 1);
                ii += (x - mean[i]) * (x - mean[i]) / (ROWS - 1);
                jj += (y - mean[j]) * (y - mean[j]) / (ROWS - 1);
            }
            for (size_t l = 0; l < D; l++) product += (double)atoms[i * D + l] * (double)atoms[j * D + l];
            d->M[i * K + j] = fmax(0, -d->G[i * K + j] * product);
            d->result.together += d->G[i * K + j] != 0;
            d->result.interference_square += d->M[i * K + j] * d->M[i * K + j];
            if (i != j)
                d->result.correlation = fmax(d->result.correlation, fabs(covariance) / (sqrt(ii) * sqrt(jj)));
        }
    d->norm = norm_of(d->M);
    return d;
}

/* All rows, with bands of `bytes`, in calls of `step` rows. */
static ra_status measure(ra_backend *backend, size_t bytes, size_t step, ra_pairs_result *result,
                         double *norm, size_t *bands, ra_error *err) {
    ra_pairs pairs;
    ra_latent_sums sums = {0};
    ra_codes codes = {0};
    size_t triangle = ra_pairs_triangle(K);
    float *interference = ra_malloc(triangle, sizeof *interference);
    ra_status status = interference ? ra_latent_sums_init(&sums, K, 1, err)
                                    : ra_error_set(err, RA_ERR_MEMORY, "out of memory: the test");
    ra_pairs_init(&pairs, K, bytes);
    *bands = 0;
    *result = (ra_pairs_result){0};
    while (status == RA_OK && pairs.end < K) {
        bool whole;
        status = ra_pairs_begin(&pairs, err);
        whole = pairs.first == 0 && pairs.end == K;
        for (size_t from = 0; from < ROWS && status == RA_OK; from += step) {
            size_t count = ROWS - from < step ? ROWS - from : step;
            status = ra_codes_from_dense(&codes, z + from * K, count, K, err);
            if (status == RA_OK) status = ra_pairs_add(&pairs, ra_backend_pool(backend), &codes, err);
            if (status == RA_OK && *bands == 0) ra_latent_sums_add(&sums, &codes);
        }
        if (status == RA_OK)
            status =
                ra_pairs_measure(&pairs, backend, &sums, atoms, D, whole ? interference : NULL, result, err);
        if (status == RA_OK && whole)
            status = ra_pairs_norm(ra_backend_pool(backend), interference, K, norm, err);
        ++*bands;
    }
    ra_codes_release(&codes);
    ra_latent_sums_release(&sums);
    ra_pairs_release(&pairs);
    ra_free(interference);
    return status;
}

static void check(const ra_pairs_result *found, const ra_pairs_result *wanted) {
    ck_assert_double_eq(found->together, wanted->together);
    ck_assert_double_eq_tol(found->correlation, wanted->correlation, 1e-9);
    ck_assert_double_eq_tol(found->interference_square / wanted->interference_square, 1, 1e-5);
}

START_TEST(test_bands_of_any_size_equal_the_dense_matrices) {
    static const size_t bytes[] = {1 << 20, 8 * 1000, 8 * 71, 0};
    static const size_t bands[] = {1, 3, 45, 70}, steps[] = {ROWS, 100, 1, 37};
    ra_backend *backend = backend_of("cpu", 2);
    fill();
    dense *wanted = measure_dense();
    for (size_t i = 0; i < 4; i++) {
        ra_pairs_result found;
        double norm = 0;
        size_t count;
        ra_ok(measure(backend, bytes[i], steps[i], &found, &norm, &count, &err));
        check(&found, &wanted->result);
        ck_assert_msg(count == bands[i], "%zu bands, not %zu", count, bands[i]);
        if (count == 1) ck_assert_double_eq_tol(norm / wanted->norm, 1, 1e-6);
    }
    ra_free(wanted);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_threads_do_not_change_a_bit) {
    ra_pairs_result first, other;
    double norm, other_norm;
    size_t bands;
    fill();
    for (size_t threads = 1; threads <= 4; threads++) {
        ra_backend *backend = backend_of("cpu", threads);
        ra_ok(measure(backend, 1 << 20, 50, threads == 1 ? &first : &other,
                      threads == 1 ? &norm : &other_norm, &bands, &err));
        ra_backend_release(backend);
        if (threads == 1) continue;
        ck_assert_mem_eq(&first, &other, sizeof first);
        ck_assert(norm == other_norm);
    }
}
END_TEST

START_TEST(test_the_correlation_is_that_of_the_codes_at_hand) {
    ra_backend *backend = backend_of("cpu", 1);
    ra_codes codes = {0};
    ra_pairs_result found;
    double value, norm;
    size_t bands;
    fill();
    ra_ok(ra_codes_from_dense(&codes, z, ROWS, K, &err));
    ra_ok(ra_metric_max_correlation(&codes, &value, &err));
    ra_ok(measure(backend, 1 << 20, ROWS, &found, &norm, &bands, &err));
    ck_assert_double_eq_tol(found.correlation, value, 1e-9);
    ra_codes_release(&codes);
    ra_backend_release(backend);
}
END_TEST

/* Means of a million deviations; one latent is active on few rows only, one pair never together. */
START_TEST(test_latents_that_hardly_vary_keep_their_correlation) {
    ra_backend *backend = backend_of("cpu", 1);
    fill();
    for (size_t b = 0; b < ROWS; b++) {
        float signal = z[b * K + 20], noise = z[b * K + 30];
        z[b * K + 3] = 4096 + 0.005f * signal + 0.001f * noise;
        z[b * K + 50] = b == 200 || b == 201 ? 0 : 4096 - 0.005f * signal;
        z[b * K + 51] = b == 200 ? 2 : 0;
        z[b * K + 60] = -8192 + 0.01f * signal + 0.004f * z[b * K + 40];
        z[b * K + 20] = 0;
    }
    for (size_t variant = 0; variant < 2; variant++) {
        dense *wanted = measure_dense();
        static const size_t bytes[] = {1 << 20, 8 * 1000, 0}, steps[] = {ROWS, 37, 1};
        for (size_t i = 0; i < 3; i++) {
            ra_pairs_result found;
            double norm = 0;
            size_t count;
            ra_ok(measure(backend, bytes[i], steps[i], &found, &norm, &count, &err));
            check(&found, &wanted->result);
        }
        ck_assert_double_gt(wanted->result.correlation, 0.9);
        ck_assert_double_lt(wanted->result.correlation, 0.999);
        ra_free(wanted);
        for (size_t b = 0; b < ROWS; b++) z[b * K + 60] = 0; /* the weaker pair is the strongest now */
        z[200 * K + 50] = z[201 * K + 50] = 4096;
        z[200 * K + 51] = 0;
    }
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_norms_of_known_matrices) {
    double value;
    const float two[] = {0, 3, 0}; /* eigenvalues 3 and -3 */
    ra_ok(ra_pairs_norm(NULL, two, 2, &value, &err));
    ck_assert_double_eq_tol(value, 3, 1e-6);
    const float three[] = {2, 0, 0, 5, 0, 1};
    ra_ok(ra_pairs_norm(NULL, three, 3, &value, &err));
    ck_assert_double_eq_tol(value, 5, 1e-6);
    const float none[] = {0, 0, 0};
    ra_ok(ra_pairs_norm(NULL, none, 2, &value, &err));
    ck_assert_double_eq(value, 0);
    ra_ok(ra_pairs_norm(NULL, (float[]){7}, 1, &value, &err));
    ck_assert_double_eq_tol(value, 7, 1e-6);
    ck_assert_uint_eq(ra_pairs_triangle(3), 6);
    ck_assert_uint_eq(ra_pairs_triangle((size_t)1 << 40), SIZE_MAX);
}
END_TEST

START_TEST(test_every_allocation_may_fail) {
    ra_pairs_result found;
    double norm;
    size_t bands;
    ra_backend *backend = backend_of("cpu", 1);
    fill();
    fails_at_each_allocation(measure(backend, 1 << 20, ROWS, &found, &norm, &bands, &err));
    ra_backend_release(backend);
}
END_TEST

TEST_CASES(pairs, test_bands_of_any_size_equal_the_dense_matrices, test_threads_do_not_change_a_bit,
           test_the_correlation_is_that_of_the_codes_at_hand,
           test_latents_that_hardly_vary_keep_their_correlation, test_norms_of_known_matrices,
           test_every_allocation_may_fail)
