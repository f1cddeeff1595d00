/* The metrics of codes, reconstructions and dictionaries against overcomplete and plain loops
 * (lib/metrics/{codes,cosines,distribution,reconstruction}.c, lib/backend/cpu/lapack.c). */
#include "golden.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include "data_files.h"
#include "metrics/reconstruction.h"
#include "backend/cpu/lapack.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static ra_codes codes_of(const float *z, size_t rows, size_t latents) {
    ra_codes codes = {0};
    ra_ok(ra_codes_from_dense(&codes, z, rows, latents, &err));
    return codes;
}

/* ---- the reference's values --------------------------------------------------------------------------- */

typedef void of_rows(const ra_codes *codes, double *values);

START_TEST(test_codes_match_the_reference) {
    static const struct {
        of_rows *metric;
        const char *name;
    } cases[] = {
        {ra_metric_l1_l2_ratio, "l1_l2_ratio"}, {ra_metric_hoyer, "hoyer"}, {ra_metric_kappa_4, "kappa_4"}};
    ra_safetensors *golden = golden_open("metrics", ".safetensors");
    size_t rows = golden_rows(golden, "codes"), K = golden_cols(golden, "codes");
    size_t d = golden_cols(golden, "dictionary");
    ra_codes codes = codes_of(golden_values(golden, "codes", NULL), rows, K);
    double values[64], value;
    float rounded[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cases[i].metric(&codes, values);
        for (size_t b = 0; b < rows; b++) rounded[b] = (float)values[b];
        golden_close(rounded, golden, cases[i].name,
                     1e-5); /* its 1e-6 in denominators shows in small codes */
    }
    ra_metric_energy(&codes, golden_values(golden, "dictionary", NULL), d, values);
    for (size_t k = 0; k < K; k++) rounded[k] = (float)values[k];
    golden_close(rounded, golden, "energy_of_codes", 1e-6);
    ra_ok(ra_metric_max_correlation(&codes, &value, &err));
    golden_close(&(float){(float)value}, golden, "max_correlation", 2e-5); /* the same 1e-6 */
    ra_codes_release(&codes);
    ra_safetensors_free(golden);
}
END_TEST

START_TEST(test_matrices_match_the_reference) {
    static const char *const devices[] = {"cpu", "reference"};
    ra_safetensors *golden = golden_open("metrics", ".safetensors");
    const float *x = golden_values(golden, "x", NULL), *x_hat = golden_values(golden, "x_hat", NULL);
    const float *D = golden_values(golden, "dictionary", NULL);
    size_t rows = golden_rows(golden, "x"), d = golden_cols(golden, "x");
    double value;
    for (size_t i = 0; i < 2; i++) {
        ra_backend *backend = backend_of(devices[i], 2);
        ra_ok(ra_metric_collinearity(backend, D, golden_rows(golden, "dictionary"), d, &value, &err));
        golden_close(&(float){(float)value}, golden, "collinearity", 1e-6);
        ra_ok(ra_metric_frechet_distance(backend, x, x_hat, rows, d, &value, &err));
        /* overcomplete subtracts 23.73 from 24.07 in float32, so its fifth digit is rounding error: 1e-5
         * holds for the terms, not for their difference. The second number is its formula in float64
         * (numpy). */
        ck_assert_double_eq_tol(value, (double)golden_scalar(golden, "frechet_distance"), 24.07e-5);
        ck_assert_double_eq_tol(value, 0.33758888835387424, 1e-6);
        ra_ok(ra_metric_wasserstein_1d(backend, x, x_hat, rows, d, &value, &err));
        golden_close(&(float){(float)value}, golden, "wasserstein_1d", 1e-6);
        ra_backend_release(backend);
    }
    ra_safetensors_free(golden);
}
END_TEST

/* The golden rows, added in calls of `step` rows. */
static ra_evaluation_result reconstruction_of(const ra_safetensors *golden, size_t step, float offset) {
    size_t n, rows = golden_rows(golden, "x"), d = golden_cols(golden, "x"), K = golden_cols(golden, "codes");
    const float *z = golden_values(golden, "codes", NULL), *source = golden_values(golden, "x", &n);
    const float *source_hat = golden_values(golden, "x_hat", NULL);
    float *x = ra_malloc(n, sizeof *x), *x_hat = ra_malloc(n, sizeof *x_hat);
    ck_assert(x && x_hat);
    for (size_t i = 0; i < n; i++) {
        x[i] = source[i] + offset;
        x_hat[i] = source_hat[i] + offset;
    }
    ra_reconstruction sums;
    ra_evaluation_result result = {0};
    ra_ok(ra_reconstruction_init(&sums, d, K, &err));
    for (size_t from = 0; from < rows; from += step) {
        ra_codes codes = codes_of(z + from * K, rows - from < step ? rows - from : step, K);
        ra_reconstruction_add(&sums, x + from * d, x_hat + from * d, &codes);
        ra_codes_release(&codes);
    }
    ra_reconstruction_result(&sums, &result);
    ra_reconstruction_release(&sums);
    ra_free(x);
    ra_free(x_hat);
    return result;
}

START_TEST(test_reconstructions_match_the_reference) {
    ra_safetensors *golden = golden_open("metrics", ".safetensors");
    size_t K, rows = golden_rows(golden, "x");
    const float *dead = golden_values(golden, "dead_codes", &K);
    ra_evaluation_result r = reconstruction_of(golden, rows, 0);
    double dead_ratio = 0;
    for (size_t k = 0; k < K; k++) dead_ratio += (double)dead[k] / (double)K;
    const struct {
        double value;
        const char *name;
    } cases[] = {{r.r2, "r2"},
                 {r.average_l1, "avg_l1"},
                 {r.average_l2, "avg_l2"},
                 {r.relative_l1, "relative_l1"},
                 {r.relative_l2, "relative_l2"},
                 {r.l0 / (double)K, "l0"}}; /* overcomplete's is the share of the latents */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        golden_close(&(float){(float)cases[i].value}, golden, cases[i].name, 1e-6);
    ck_assert_uint_eq(r.rows, rows);
    ck_assert_double_eq(r.dead_ratio, dead_ratio);
    ra_safetensors_free(golden);
}
END_TEST

START_TEST(test_any_number_of_calls_gives_the_same_result) {
    ra_safetensors *golden = golden_open("metrics", ".safetensors");
    ra_evaluation_result whole = reconstruction_of(golden, 24, 0);
    for (size_t step = 1; step < 24; step++) {
        ra_evaluation_result pieces = reconstruction_of(golden, step, 0);
        ck_assert_mem_eq(&pieces, &whole, sizeof whole);
    }
    ra_safetensors_free(golden);
}
END_TEST

START_TEST(test_a_large_mean_does_not_cancel) {
    ra_safetensors *golden = golden_open("metrics", ".safetensors");
    ra_evaluation_result plain = reconstruction_of(golden, 5, 0), moved = reconstruction_of(golden, 5, 4096);
    /* the offset 4096 costs the inputs twelve bits; the sums may not lose more */
    ck_assert_double_eq_tol(moved.r2, plain.r2, 2e-5);
    ck_assert_double_eq_tol(moved.r2_per_dimension, plain.r2_per_dimension, 2e-5);
    ra_safetensors_free(golden);
}
END_TEST

START_TEST(test_two_kinds_of_r2) {
    /* two dimensions far apart, each with variance 1: about one mean nearly everything is explained */
    static const float x[] = {9, -9, 11, -11, 9, -9, 11, -11}, x_hat[] = {10, -10, 10, -10, 10, -10, 10, -10};
    ra_codes codes = codes_of((float[]){1, 0, 0, 0}, 4, 1);
    ra_reconstruction sums;
    ra_evaluation_result result = {0};
    ra_ok(ra_reconstruction_init(&sums, 2, 1, &err));
    ra_reconstruction_add(&sums, x, x_hat, &codes);
    ra_reconstruction_result(&sums, &result);
    ck_assert_double_eq_tol(result.mse, 1, 1e-12);
    ck_assert_double_eq_tol(result.r2, 1 - 1 / 101.0, 1e-6);
    ck_assert_double_eq_tol(result.r2_per_dimension, 0, 2e-6);
    ck_assert_double_eq(result.l0, 0.25);
    ra_reconstruction_release(&sums);
    ra_codes_release(&codes);
}
END_TEST

/* ---- codes -------------------------------------------------------------------------------------------- */

START_TEST(test_sparsity_of_extreme_rows) {
    static const float z[] = {0, 0, 0, 0, 3, 0, 0, 0, 2, 2, 2, 2};
    ra_codes codes = codes_of(z, 3, 4), single = codes_of((float[]){2, 0}, 2, 1);
    double hoyer[3], kappa[3];
    ra_metric_hoyer(&codes, hoyer);
    ra_metric_kappa_4(&codes, kappa);
    ck_assert_double_eq(hoyer[0], 2); /* sqrt(4) / (sqrt(4) - 1), as in overcomplete */
    ck_assert_double_eq_tol(hoyer[1], 1, 1e-6);
    ck_assert_double_eq_tol(hoyer[2], 0, 1e-6);
    ck_assert_double_eq(kappa[0], 0);
    ck_assert_double_eq_tol(kappa[1], 1, 1e-6);
    ck_assert_double_eq_tol(kappa[2], 0.25, 1e-6);
    ra_metric_hoyer(&single, hoyer);
    ck_assert_double_eq(hoyer[0], 1);
    ck_assert_double_eq(hoyer[1], 1);
    ra_codes_release(&codes);
    ra_codes_release(&single);
}
END_TEST

/* Means of 1e6 deviations: nothing of the correlation is lost. */
START_TEST(test_correlation_of_large_means) {
    enum { ROWS = 500 };
    float z[ROWS * 2];
    double mean[2] = {0}, sums[3] = {0}, value;
    test_fill(z, ROWS * 2, 5);
    for (size_t b = 0; b < ROWS; b++) {
        z[2 * b] = 1e6f + roundf(64 * z[2 * b]) / 16; /* exact in float32 */
        z[2 * b + 1] = 3e6f - 0.25f * (z[2 * b] - 1e6f) + roundf(64 * z[2 * b + 1]) / 4;
        for (size_t k = 0; k < 2; k++) mean[k] += (double)z[2 * b + k] / ROWS;
    }
    for (size_t b = 0; b < ROWS; b++) {
        double u = (double)z[2 * b] - mean[0], v = (double)z[2 * b + 1] - mean[1];
        sums[0] += u * u;
        sums[1] += v * v;
        sums[2] += u * v;
    }
    ra_codes codes = codes_of(z, ROWS, 2);
    ra_ok(ra_metric_max_correlation(&codes, &value, &err));
    ck_assert_double_eq_tol(value, fabs(sums[2]) / sqrt(sums[0] * sums[1]), 1e-9);
    ra_codes_release(&codes);
}
END_TEST

/* Every ratio of the sums has one value from 1e-18 to 1e18. */
START_TEST(test_ratios_do_not_depend_on_the_scale) {
    enum { ROWS = 40, D = 6, K = 5 };
    static const double scales[] = {1, 1e-18, 1e-9, 1e-4, 1e-3, 1e9, 1e18};
    float x[ROWS * D], x_hat[ROWS * D], z[ROWS * K];
    double first[9];
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        test_fill(x, ROWS * D, 1);
        test_fill(x_hat, ROWS * D, 2);
        test_fill(z, ROWS * K, 3);
        for (size_t i = 0; i < ROWS * D; i++) {
            x_hat[i] = (float)(scales[s] * ((double)x[i] + 0.1 * (double)x_hat[i]));
            x[i] = (float)(scales[s] * (double)x[i]);
        }
        for (size_t i = 0; i < ROWS * K; i++) z[i] = z[i] > 0 ? (float)(scales[s] * (double)z[i]) : 0;
        ra_codes codes = codes_of(z, ROWS, K);
        ra_reconstruction sums;
        ra_evaluation_result r = {0};
        ra_ok(ra_reconstruction_init(&sums, D, K, &err));
        ra_reconstruction_add(&sums, x, x_hat, &codes);
        ra_reconstruction_result(&sums, &r);
        double correlation;
        ra_ok(ra_metric_max_correlation(&codes, &correlation, &err));
        const double values[9] = {r.r2,          r.r2_per_dimension, r.hoyer, r.kappa_4,  r.l1_l2_ratio,
                                  r.relative_l1, r.relative_l2,      r.l0,    correlation};
        for (size_t i = 0; i < 9; i++) {
            if (s == 0) first[i] = values[i];
            ck_assert_msg(fabs(values[i] - first[i]) <= 1e-6 * fabs(first[i]),
                          "value %zu at scale %g: %g, not %g", i, scales[s], values[i], first[i]);
        }
        ra_reconstruction_release(&sums);
        ra_codes_release(&codes);
    }
}
END_TEST

START_TEST(test_constant_data_has_no_r2) {
    float x[] = {2, 3, 2, 3}, x_hat[] = {2, 3, 2, 2};
    ra_codes codes = codes_of((float[]){1, 0}, 2, 1);
    ra_reconstruction sums;
    ra_evaluation_result r = {0};
    ra_ok(ra_reconstruction_init(&sums, 2, 1, &err));
    ra_reconstruction_add(&sums, x, x_hat, &codes);
    ra_reconstruction_result(&sums, &r);
    ck_assert(isnan(r.r2_per_dimension)); /* each dimension is constant */
    ck_assert_double_eq(r.r2, 0);
    ra_reconstruction_release(&sums);
    ra_codes_release(&codes);
}
END_TEST

START_TEST(test_correlation_equals_the_dense_formula) {
    enum { ROWS = 200, K = 30 };
    float z[ROWS * K];
    double mean[K] = {0}, largest = 0, value;
    test_fill(z, ROWS * K, 3);
    for (size_t i = 0; i < ROWS * K; i++) z[i] = z[i] > 0.4f && i % K != 7 ? z[i] + 2 : 0; /* 7 is dead */
    for (size_t i = 0; i < ROWS * K; i++) mean[i % K] += (double)z[i] / ROWS;
    for (size_t i = 0; i < K; i++)
        for (size_t k = i + 1; k < K; k++) {
            double ii = 0, kk = 0, ik = 0;
            for (size_t b = 0; b < ROWS; b++) {
                double x = (double)z[b * K + i] - mean[i], y = (double)z[b * K + k] - mean[k];
                ii += x * x / (ROWS - 1);
                kk += y * y / (ROWS - 1);
                ik += x * y / (ROWS - 1);
            }
            largest = fmax(largest, fabs(ik) / (sqrt(ii) * sqrt(kk)));
        }
    ra_codes codes = codes_of(z, ROWS, K);
    ra_ok(ra_metric_max_correlation(&codes, &value, &err));
    ck_assert_double_eq_tol(value, largest, 1e-12);
    fails_at_each_allocation(ra_metric_max_correlation(&codes, &value, &err));
    ra_codes_release(&codes);
    codes = codes_of(z, 1, K);
    ra_fails(ra_metric_max_correlation(&codes, &value, &err), RA_ERR_ARGUMENT, "2 to 4294967295 rows, got 1");
    ra_codes_release(&codes);
}
END_TEST

/* ---- dictionaries ------------------------------------------------------------------------------------- */

START_TEST(test_collinearity_over_several_tiles) {
    enum { K = 4500, D = 6 };
    static float atoms[K * D];
    ra_backend *backend = backend_of("cpu", 2);
    double value, again;
    test_fill(atoms, K * D, 5);
    for (size_t i = 0; i < K * D; i++) atoms[i] += i % D == 0 ? 20 : 0; /* all similar ... */
    const size_t pairs[][2] = {{0, 1}, {0, 4499}, {2047, 2048}, {3000, 4400}, {4498, 4499}};
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) { /* ... and two opposite ones */
        float kept[D];
        memcpy(kept, atoms + pairs[p][1] * D, sizeof kept);
        for (size_t j = 0; j < D; j++) atoms[pairs[p][1] * D + j] = -3 * atoms[pairs[p][0] * D + j];
        ra_ok(ra_metric_collinearity(backend, atoms, K, D, &value, &err));
        ck_assert_double_eq_tol(value, 1, 1e-6);
        memcpy(atoms + pairs[p][1] * D, kept, sizeof kept);
        ra_ok(ra_metric_collinearity(backend, atoms, K, D, &again, &err));
        ck_assert_double_le(again, value);
    }
    ra_ok(ra_metric_collinearity(backend, atoms, 1, D, &value, &err));
    ck_assert_double_eq(value, 0);
    fails_at_each_allocation(ra_metric_collinearity(backend, atoms, 10, D, &value, &err));
    ra_backend_release(backend);
}
END_TEST

static double stable_rank_of(const float *D, size_t K, size_t d) {
    ra_backend *backend = backend_of("cpu", 2);
    double value;
    ra_ok(ra_metric_stable_rank(backend, D, K, d, &value, &err));
    ra_backend_release(backend);
    return value;
}

START_TEST(test_stable_rank_of_known_matrices) {
    enum { K = 300, D = 150 };
    static float matrix[K * D];
    ck_assert_double_eq(stable_rank_of(matrix, K, D), 0);
    for (size_t i = 0; i < D; i++) matrix[i * D + i] = -2; /* orthogonal atoms of one length */
    ck_assert_double_eq_tol(stable_rank_of(matrix, K, D), D, 1e-5);
    double squares = 0;
    for (size_t i = 0; i < D; i++) { /* singular values 1, 1/2, 1/3, ... */
        matrix[i * D + i] = 1 / (float)(i + 1);
        squares += 1.0 / (double)((i + 1) * (i + 1));
    }
    ck_assert_double_eq_tol(stable_rank_of(matrix, K, D), squares, 1e-6 * squares);
    for (size_t i = 0; i < K * D; i++) matrix[i] = (float)(i / D + 1) * (float)(i % D + 3); /* rank one */
    ck_assert_double_eq_tol(stable_rank_of(matrix, K, D), 1, 1e-6);
    ck_assert_double_eq_tol(stable_rank_of(matrix, 1, D), 1, 1e-6);
    ck_assert_double_eq_tol(stable_rank_of(matrix, K, 1), 1, 1e-6);
}
END_TEST

/* All eigenvalues of D^T D, instead of the largest alone. */
START_TEST(test_stable_rank_equals_that_of_the_whole_spectrum) {
    enum { K = 120, D = 60 };
    static float matrix[K * D];
    static double gram[D * D], values[D];
    double squares = 0;
    test_fill(matrix, K * D, 17);
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j < D; j++)
            for (size_t k = 0; k < K; k++)
                gram[i * D + j] += (double)matrix[k * D + i] * (double)matrix[k * D + j];
    ra_ok(ra_eigenvalues(gram, D, values, &err));
    for (size_t k = 0; k < D; k++) squares += values[k];
    double expected = squares / values[D - 1];
    ck_assert_double_eq_tol(stable_rank_of(matrix, K, D) / expected, 1, 1e-6);
    ra_backend *backend = backend_of("cpu", 1);
    double value;
    fails_at_each_allocation(ra_metric_stable_rank(backend, matrix, K, D, &value, &err));
    ra_backend_release(backend);
}
END_TEST

/* The matrix of second differences, with eigenvalues 2 - 2 cos(k pi / (n + 1)), after a reflection, which
 * keeps them. */
START_TEST(test_eigenvalues_of_a_known_matrix) {
    enum { N = 40 };
    static double A[N * N], v[N], values[N];
    double square = 0;
    for (size_t i = 0; i < N; i++) {
        v[i] = sin((double)(3 * i + 1));
        square += v[i] * v[i];
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) { /* (I - 2vv^T/v.v) T (I - 2vv^T/v.v), entry by entry */
            double sum = 0;
            for (size_t a = 0; a < N; a++)
                for (size_t b = a > 0 ? a - 1 : 0; b < N && b <= a + 1; b++) {
                    double left = (double)(i == a) - 2 * v[i] * v[a] / square;
                    double right = (double)(b == j) - 2 * v[b] * v[j] / square;
                    sum += left * (a == b ? 2 : -1) * right;
                }
            A[i * N + j] = sum;
        }
    ra_ok(ra_eigenvalues(A, N, values, &err));
    for (size_t k = 0; k < N; k++)
        ck_assert_double_eq_tol(values[k], 2 - 2 * cos((double)(k + 1) * pi / (N + 1)), 1e-12);
}
END_TEST

/* The matrix of second differences itself. */
START_TEST(test_the_largest_eigenvalue_of_a_tridiagonal_matrix) {
    enum { N = 40 };
    double diagonal[N], beside[N - 1], value;
    for (size_t i = 0; i < N; i++) diagonal[i] = 2;
    for (size_t i = 0; i < N - 1; i++) beside[i] = -1;
    for (size_t n = 1; n <= N; n++) {
        ra_ok(ra_tridiagonal_largest(diagonal, beside, n, &value, &err));
        ck_assert_double_eq_tol(value, 2 - 2 * cos((double)n * pi / (double)(n + 1)), 1e-14);
    }
    fails_at_each_allocation(ra_tridiagonal_largest(diagonal, beside, N, &value, &err));
}
END_TEST

START_TEST(test_eigenvalues_of_a_diagonal_matrix) {
    double A[] = {3, 0, 0, 0, 1, 0, 0, 0, 2}, values[3];
    ra_ok(ra_eigenvalues(A, 3, values, &err));
    for (size_t k = 0; k < 3; k++) ck_assert_double_eq_tol(values[k], (double)k + 1, 1e-14);
}
END_TEST

START_TEST(test_eigenvalues_of_what_is_not_finite) {
    double A[] = {1, NAN, NAN, 1}, values[2] = {0};
    ra_status status = ra_eigenvalues(A, 2, values, NULL);
    ck_assert(status == RA_ERR_NOT_FINITE || !isfinite(values[0]));
    ra_ok(ra_eigenvalues(A, 0, values, &err));
}
END_TEST

/* ---- two samples -------------------------------------------------------------------------------------- */

START_TEST(test_distances_of_a_sample_to_itself_and_to_a_moved_one) {
    enum { ROWS = 400, D = 9 };
    static float x[ROWS * D], y[ROWS * D];
    ra_backend *backend = backend_of("cpu", 1);
    double value;
    test_fill(x, ROWS * D, 1);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < D; j++) y[(ROWS - 1 - i) * D + j] = x[i * D + j] + 0.5f;
    ra_ok(ra_metric_wasserstein_1d(backend, x, x, ROWS, D, &value, &err));
    ck_assert_double_eq(value, 0);
    ra_ok(ra_metric_wasserstein_1d(backend, x, y, ROWS, D, &value, &err));
    ck_assert_double_eq_tol(value, 0.5, 1e-6);
    ra_ok(ra_metric_frechet_distance(backend, x, x, ROWS, D, &value, &err));
    ck_assert_double_eq_tol(value, 0, 1e-9);
    ra_ok(ra_metric_frechet_distance(backend, x, y, ROWS, D, &value, &err));
    ck_assert_double_eq_tol(value, 0.25 * D, 1e-5);
    fails_at_each_allocation(ra_metric_frechet_distance(backend, x, y, ROWS, D, &value, &err));
    fails_at_each_allocation(ra_metric_wasserstein_1d(backend, x, y, ROWS, D, &value, &err));
    ra_fails(ra_metric_frechet_distance(backend, x, y, 1, D, &value, &err), RA_ERR_ARGUMENT, "there are 1");
    ra_backend_release(backend);
}
END_TEST

/* Each sample lies on a line: the covariances have rank one, and the distance has a closed form. */
START_TEST(test_frechet_of_singular_covariances) {
    enum { ROWS = 7, D = 30 };
    float x[ROWS * D], y[ROWS * D], a[D], b[D];
    double aa = 0, bb = 0, ab = 0, value;
    test_fill(a, D, 1);
    test_fill(b, D, 2);
    for (size_t j = 0; j < D; j++) {
        aa += (double)a[j] * (double)a[j];
        bb += (double)b[j] * (double)b[j];
        ab += (double)a[j] * (double)b[j];
    }
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < D; j++) {
            x[i * D + j] = a[j] * (float)((int)i - 3);
            y[i * D + j] = b[j] * (float)((int)i - 3);
        }
    double variance = 28.0 / 6; /* of -3 .. 3 */
    ra_backend *backend = backend_of("cpu", 1);
    ra_ok(ra_metric_frechet_distance(backend, x, y, ROWS, D, &value, &err));
    ck_assert_double_eq_tol(value, variance * (aa + bb - 2 * fabs(ab)), 1e-5 * variance * aa);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES(metrics, test_codes_match_the_reference, test_matrices_match_the_reference,
           test_reconstructions_match_the_reference, test_any_number_of_calls_gives_the_same_result,
           test_correlation_of_large_means, test_ratios_do_not_depend_on_the_scale,
           test_constant_data_has_no_r2, test_a_large_mean_does_not_cancel, test_two_kinds_of_r2,
           test_sparsity_of_extreme_rows, test_correlation_equals_the_dense_formula,
           test_collinearity_over_several_tiles, test_stable_rank_of_known_matrices,
           test_stable_rank_equals_that_of_the_whole_spectrum, test_eigenvalues_of_a_known_matrix,
           test_the_largest_eigenvalue_of_a_tridiagonal_matrix, test_eigenvalues_of_a_diagonal_matrix,
           test_eigenvalues_of_what_is_not_finite, test_distances_of_a_sample_to_itself_and_to_a_moved_one,
           test_frechet_of_singular_covariances)
