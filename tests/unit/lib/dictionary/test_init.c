/* Starts of the atoms: on which points, how often, how mixed; the same for the same seed, different for
 * others. */
#include "harness.h"
#include "ra_dictionary.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 12, D_ = 3 };

static float C[N * D_];

static ra_dictionary *archetypal(ra_backend *backend, size_t K) {
    ra_dictionary *dictionary = NULL;
    test_fill(C, N * D_, 5);
    ra_tensor points = ra_tensor_2d(RA_F32, C, N, D_);
    ra_ok(ra_archetypal_dictionary_new(backend, D_, K, &points, 1, true, &dictionary, &err));
    return dictionary;
}

static ra_dictionary *plain(ra_backend *backend, size_t K, ra_dictionary_kind kind) {
    ra_dictionary *dictionary = NULL;
    ra_ok(ra_plain_dictionary_new(backend, D_, K, kind, NULL, true, 1, &dictionary, &err));
    return dictionary;
}

static const float *weights(const ra_dictionary *dictionary) {
    size_t count;
    return ra_dictionary_parameters(dictionary, &count)[0].value;
}

/* How many entries of row k of W are positive; the position of the largest. */
static size_t count_points(const float *W, size_t k, size_t *largest) {
    size_t count = 0;
    *largest = 0;
    for (size_t j = 0; j < N; j++) {
        count += W[k * N + j] > 0;
        if (W[k * N + j] > W[k * N + *largest]) *largest = j;
    }
    return count;
}

static size_t warnings;

static void count_warnings(void *context, ra_log_level level, const char *text) {
    (void)context;
    warnings += level == RA_LOG_WARNING && strstr(text, "the last 3 atoms start at zero");
}

START_TEST(test_eye) {
    ra_backend *backend = NULL;
    size_t largest;
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    ra_log_set_sink(count_warnings, NULL);
    ra_dictionary *dictionary = archetypal(backend, N + 3);
    ck_assert_uint_eq(warnings, 0); /* opening a checkpoint causes none */
    ra_ok(ra_archetypal_dictionary_init(dictionary, RA_INIT_EYE, 7, &err));
    ck_assert_uint_eq(warnings, 1);
    for (size_t k = 0; k < N + 3; k++) {
        ck_assert_uint_eq(count_points(weights(dictionary), k, &largest), k < N);
        if (k < N) ck_assert_uint_eq(largest, k);
    }
    ra_log_set_sink(NULL, NULL);
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

/* Every point once before any is taken again; another order in each round. */
START_TEST(test_permuted) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    ra_dictionary *dictionary = archetypal(backend, 2 * N + 5);
    ra_ok(ra_archetypal_dictionary_init(dictionary, RA_INIT_PERMUTED, 7, &err));
    size_t used[N] = {0}, order[2 * N + 5], moved = 0, differ = 0;
    for (size_t k = 0; k < 2 * N + 5; k++) {
        ck_assert_uint_eq(count_points(weights(dictionary), k, &order[k]), 1);
        ck_assert_float_eq(weights(dictionary)[k * N + order[k]], 1);
        used[order[k]]++;
        if (k == N - 1 || k == 2 * N - 1)
            for (size_t j = 0; j < N; j++) ck_assert_uint_eq(used[j], k / N + 1);
    }
    for (size_t k = 0; k < N; k++) {
        moved += order[k] != k;
        differ += order[k] != order[N + k];
    }
    ck_assert_uint_gt(moved, 2);
    ck_assert_uint_gt(differ, 2);
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

/* Mixtures of RA_INIT_RANDOM_POINTS points each (of all, if there are fewer); weights that are uniform on the
 * simplex of n points have a mean square of 2 / (n (n + 1)). */
START_TEST(test_random) {
    enum { K = 4000 };
    ra_backend *backend = NULL;
    size_t largest;
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    ra_dictionary *dictionary = archetypal(backend, K);
    ra_ok(ra_archetypal_dictionary_init(dictionary, RA_INIT_RANDOM, 7, &err));
    double use[N] = {0}, squares = 0;
    for (size_t k = 0; k < K; k++) {
        const float *row = weights(dictionary) + k * N;
        double sum = 0;
        ck_assert_uint_eq(count_points(weights(dictionary), k, &largest), RA_INIT_RANDOM_POINTS);
        for (size_t j = 0; j < N; j++) {
            sum += (double)row[j];
            squares += (double)row[j] * (double)row[j];
            use[j] += (double)row[j] / K;
        }
        ck_assert_double_eq_tol(sum, 1, 1e-5);
    }
    double n = RA_INIT_RANDOM_POINTS;
    ck_assert_double_eq_tol(squares / K, 2 / (n + 1), 0.02); /* n weights per row */
    for (size_t j = 0; j < N; j++) ck_assert_double_eq_tol(use[j], 1.0 / N, 0.01);
    ra_dictionary_free(dictionary);

    ra_tensor two = ra_tensor_2d(RA_F32, C, 2, D_);
    ra_ok(ra_archetypal_dictionary_new(backend, D_, 5, &two, 1, true, &dictionary, &err));
    ra_ok(ra_archetypal_dictionary_init(dictionary, RA_INIT_RANDOM, 7, &err));
    for (size_t k = 0; k < 5; k++)
        ck_assert_float_eq_tol(weights(dictionary)[2 * k] + weights(dictionary)[2 * k + 1], 1, 1e-6f);
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_seeds) {
    static const ra_init inits[] = {RA_INIT_PERMUTED, RA_INIT_RANDOM};
    ra_backend *backend = NULL;
    float W[2][N * N];
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    for (size_t i = 0; i < 2; i++) {
        ra_dictionary *dictionary = archetypal(backend, N);
        const float *D;
        for (uint64_t seed = 1; seed < 3; seed++) {
            ra_ok(ra_archetypal_dictionary_init(dictionary, inits[i], seed, &err));
            memcpy(W[seed - 1], weights(dictionary), sizeof W[0]);
            ra_ok(ra_dictionary_get(dictionary, &D, &err)); /* fresh: D follows each start */
            for (size_t j = 0; j < D_; j++) {
                double sum = 0;
                for (size_t p = 0; p < N; p++) sum += (double)W[seed - 1][p] * (double)C[p * D_ + j];
                ck_assert_double_eq_tol((double)D[j], sum, 1e-5);
            }
        }
        ck_assert_mem_ne(W[0], W[1], sizeof W[0]);
        ra_ok(ra_archetypal_dictionary_init(dictionary, inits[i], 1, &err));
        assert_close(weights(dictionary), W[0], N * N, 1e-6);
        ra_dictionary_free(dictionary);
    }
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_plain_atoms_start_on_points) {
    ra_backend *backend = NULL;
    uint16_t half[N * D_];
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    test_fill(C, N * D_, 5);
    ra_convert_from_f32(RA_F16, C, half, N * D_);
    ra_convert_to_f32(RA_F16, half, C, N * D_);
    const ra_tensor points[] = {ra_tensor_2d(RA_F32, C, N, D_), ra_tensor_2d(RA_F16, half, N, D_)};
    for (size_t i = 0; i < 2; i++) {
        ra_dictionary *dictionary = plain(backend, N + 4, RA_DICTIONARY_IDENTITY);
        size_t used[N] = {0};
        ra_ok(ra_plain_dictionary_init(dictionary, &points[i], 3, &err));
        for (size_t k = 0; k < N + 4; k++) {
            size_t j = 0;
            while (j < N && memcmp(weights(dictionary) + k * D_, C + j * D_, D_ * sizeof *C) != 0) j++;
            ck_assert_uint_lt(j, N);
            used[j]++;
        }
        for (size_t j = 0; j < N; j++) ck_assert(used[j] == 1 || used[j] == 2);
        ra_dictionary_free(dictionary);
    }
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_refusals) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    ra_dictionary *mixed = archetypal(backend, 4), *own = plain(backend, 4, RA_DICTIONARY_L2);
    ra_tensor wide = ra_tensor_2d(RA_F32, C, 3, D_ + 1), points = ra_tensor_2d(RA_F32, C, 3, D_);
    ra_fails(ra_archetypal_dictionary_init(mixed, RA_INIT_XAVIER, 0, &err), RA_ERR_ARGUMENT,
             "eye, permuted or random");
    ra_fails(ra_archetypal_dictionary_init(own, RA_INIT_EYE, 0, &err), RA_ERR_ARGUMENT, "xavier or points");
    ra_fails(ra_plain_dictionary_init(mixed, &points, 0, &err), RA_ERR_ARGUMENT, "starts at its own points");
    ra_fails(ra_plain_dictionary_init(own, &wide, 0, &err), RA_ERR_SHAPE, "expected F32, F16 or BF16 [N, 3]");
    for (size_t n = 1; n <= 2; n++) { /* no leak, and no partial start */
        const float before = weights(own)[0];
        ra_error err = {0};
        (void)ra_memory_fail_at(n);
        ra_status status = ra_plain_dictionary_init(own, &points, 0, &err);
        (void)ra_memory_fail_at(0);
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ck_assert_float_eq(weights(own)[0], before);
    }
    ra_dictionary_free(mixed);
    ra_dictionary_free(own);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_lengths_are_limited_by_the_multiplier_alone) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    ra_dictionary *dictionary = archetypal(backend, N);
    for (size_t round = 0; round < 2; round++) { /* the second finds nothing to do */
        const float *D;
        double largest = 0;
        ra_ok(ra_dictionary_limit_norms(dictionary, 0.5f, &err));
        ra_ok(ra_dictionary_get(dictionary, &D, &err));
        for (size_t k = 0; k < N; k++) {
            double square = 0;
            for (size_t i = 0; i < D_; i++) square += (double)D[k * D_ + i] * (double)D[k * D_ + i];
            largest = square > largest ? square : largest;
        }
        ck_assert_double_eq_tol(sqrt(largest), 0.5, 1e-6);
        ck_assert((D[0] > 0) == (C[0] > 0)); /* W = eye: atom 0 is point 0, shortened */
    }
    ra_ok(ra_dictionary_limit_norms(dictionary, 10, &err));
    const float *D;
    ra_ok(ra_dictionary_get(dictionary, &D, &err));
    ck_assert_float_lt(fabsf(D[0]), 0.51f); /* it shortens, and never lengthens */
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES(dictionary_init, test_eye, test_permuted, test_random, test_seeds,
           test_plain_atoms_start_on_points, test_refusals, test_lengths_are_limited_by_the_multiplier_alone)
