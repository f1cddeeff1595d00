/* Two dictionaries against each other, by plain loops and by the reference (lib/metrics/{compare,unit}.c). */
#include "golden.h"

#include "data_files.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

static ra_comparison compare(const float *A, const float *B, size_t K, size_t d) {
    ra_backend *backend = backend_of("cpu", 2);
    ra_comparison comparison;
    ra_ok(ra_compare(backend, A, B, K, d, NULL, &comparison, &err));
    ra_backend_release(backend);
    ck_assert_uint_eq(comparison.concepts, K);
    return comparison;
}

START_TEST(test_losses_match_the_reference) {
    ra_safetensors *golden = golden_open("stability", ".safetensors");
    size_t K = golden_rows(golden, "a"), d = golden_cols(golden, "a");
    ra_comparison c = compare(golden_values(golden, "a", NULL), golden_values(golden, "b", NULL), K, d);
    golden_close(&(float){(float)c.cosine_hungarian_loss}, golden, "cosine_hungarian_loss", 1e-6);
    golden_close(&(float){(float)c.hungarian_loss}, golden, "hungarian_loss", 1e-6);
    ck_assert_double_eq_tol(c.stability_without_flips, 1 - c.cosine_hungarian_loss / (double)K, 1e-12);
    ck_assert_double_ge(c.stability_with_flips,
                        c.stability_without_flips); /* more permutations to choose from */
    double sum = 0;
    for (size_t i = 0; i < K; i++) sum += (double)c.match_cosine[i];
    ck_assert_double_eq_tol(sum / (double)K, c.stability_without_flips, 1e-6);
    ra_comparison_release(&c);
    ra_safetensors_free(golden);
}
END_TEST

/* Random directions agree by chance: the same figure each time, and less the more dimensions there are. */
START_TEST(test_random_directions_have_a_floor) {
    ra_backend *backend = backend_of("cpu", 2);
    double low, high, again;
    ra_ok(ra_compare_directions(backend, 40, 16, &low, &err));
    ra_ok(ra_compare_directions(backend, 40, 16, &again, &err));
    ck_assert(low == again && low > 0.3 && low < 0.6);
    ra_ok(ra_compare_directions(backend, 40, 400, &high, &err));
    ck_assert(high > 0 && high < low / 3);
    ra_ok(ra_compare_directions(backend, 5, 1, &low, &err)); /* signs alone */
    ck_assert(low >= -1 && low <= 1);
    ra_backend_release(backend);
}
END_TEST

/* The four metrics against assignments over plain float64 matrices. */
START_TEST(test_figures_equal_plain_loops) {
    enum { K = 50, D = 7 };
    static float A[K * D], B[K * D], cost[4][K * K];
    double mean_a[D] = {0}, mean_b[D] = {0}, best[4];
    int32_t match[K];
    test_fill(A, K * D, (uint64_t)_i);
    test_fill(B, K * D, (uint64_t)_i + 100);
    for (size_t i = 0; i < K * D; i++) A[i] += 0.5f * (float)_i, B[i] += 0.5f * (float)_i;
    for (size_t i = 0; i < K * D; i++) {
        mean_a[i % D] += (double)A[i] / K;
        mean_b[i % D] += (double)B[i] / K;
    }
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            double s[7] = {0};
            for (size_t l = 0; l < D; l++) {
                double a = (double)A[i * D + l], b = (double)B[j * D + l];
                double p = a - mean_a[l], q = b - mean_b[l];
                const double terms[] = {a * b, a * a, b * b, p * q, p * p, q * q, (a - b) * (a - b)};
                for (size_t t = 0; t < 7; t++) s[t] += terms[t];
            }
            double cosine = s[0] / sqrt(s[1] * s[2]);
            cost[0][i * K + j] = (float)(1 - cosine);
            cost[1][i * K + j] = (float)(1 - fabs(cosine));
            cost[2][i * K + j] = (float)(1 - s[3] / sqrt(s[4] * s[5]));
            cost[3][i * K + j] = (float)sqrt(s[6]);
        }
    for (size_t f = 0; f < 4; f++) ra_ok(ra_assignment(cost[f], K, match, &best[f], &err));
    ra_comparison c = compare(A, B, K, D);
    ck_assert_double_eq_tol(c.cosine_hungarian_loss, best[0], 1e-5);
    ck_assert_double_eq_tol(c.stability_with_flips, 1 - best[1] / K, 1e-6);
    ck_assert_double_eq_tol(c.stability_centered, 1 - best[2] / K, 1e-6);
    ck_assert_double_eq_tol(c.hungarian_loss, best[3], 1e-5);
    ra_comparison_release(&c);
}
END_TEST

/* B: the atoms of A in another order and scaled; if `turned`, every second one with the opposite sign. */
static void shuffle(const float *A, float *B, size_t K, size_t d, uint64_t *order, bool turned) {
    ra_random random;
    ra_random_seed(&random, 3);
    ra_random_permutation(&random, order, K);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < d; j++)
            B[(size_t)order[i] * d + j] = A[i * d + j] * (turned && i % 2 ? -2 : 2);
}

START_TEST(test_finds_the_same_atoms_in_another_order) {
    enum { K = 300, D = 24 };
    static float A[K * D], B[K * D];
    uint64_t order[K];
    test_fill(A, K * D, 1);
    shuffle(A, B, K, D, order, false);
    ra_comparison c = compare(A, B, K, D);
    for (size_t i = 0; i < K; i++) {
        ck_assert_int_eq(c.match[i], (int32_t)order[i]);
        ck_assert_float_eq_tol(c.match_cosine[i], 1, 1e-6f);
    }
    ck_assert_double_eq_tol(c.stability_with_flips, 1, 1e-12);
    ck_assert_double_eq_tol(c.stability_without_flips, 1, 1e-12);
    ck_assert_double_eq_tol(c.stability_centered, 1, 1e-12);
    ra_comparison_release(&c);

    shuffle(A, B, K, D, order, true);
    c = compare(A, B, K, D);
    ck_assert_double_eq_tol(c.stability_with_flips, 1, 1e-12); /* the only metric that ignores signs */
    ck_assert_double_lt(c.stability_without_flips, 0.9);
    ra_comparison_release(&c);
}
END_TEST

START_TEST(test_a_dictionary_is_at_no_distance_from_itself) {
    enum { K = 120, D = 40 };
    static float A[K * D];
    test_fill(A, K * D, 1);
    ra_comparison c = compare(A, A, K, D);
    ck_assert_double_eq(c.hungarian_loss, 0);
    ck_assert_double_eq_tol(c.cosine_hungarian_loss, 0, 1e-12);
    for (size_t i = 0; i < K; i++) ck_assert_int_eq(c.match[i], (int32_t)i);
    ra_comparison_release(&c);

    for (size_t i = 0; i < K * D; i++) A[i] = A[i] * 0.01f + 30; /* all close to each other, far from zero: */
    c = compare(A, A, K, D);
    ck_assert_double_eq(c.hungarian_loss, 0);
    ck_assert_double_eq_tol(c.stability_centered, 1, 1e-12);
    ck_assert_double_eq_tol(c.stability_without_flips, 1, 1e-7); /* cosines differ by at most this */
    ra_comparison_release(&c);
}
END_TEST

START_TEST(test_centering_tells_atoms_apart_that_share_a_mean) {
    enum { K = 60, D = 30 };
    static float A[K * D], B[K * D];
    test_fill(A, K * D, 1);
    test_fill(B, K * D, 2);
    for (size_t i = 0; i < K * D; i++) A[i] += 20, B[i] += 20;
    ra_comparison c = compare(A, B, K, D);
    ck_assert_double_gt(c.stability_with_flips, 0.99);
    ck_assert_double_lt(c.stability_centered, 0.6);
    ra_comparison_release(&c);
}
END_TEST

START_TEST(test_zero_atoms_have_cosine_zero) {
    static const float A[] = {1, 0, 0, 0, 0, 0}, B[] = {0, 0, 5, 0, 0, 0}; /* [3,2] */
    ra_comparison c = compare(A, B, 3, 2);
    ck_assert_double_eq(c.stability_with_flips, 1); /* of the one atom that each has */
    ck_assert_double_eq(c.cosine_hungarian_loss, 2);
    ck_assert_int_eq(c.match[0], 1);
    ck_assert_float_eq(c.match_cosine[1], 0);
    ck_assert_float_eq(c.match_cosine[2], 0);
    ra_comparison_release(&c);
    static const float same[] = {0.1f, 0.3f, 0.1f,
                                 0.3f, 0.1f, 0.3f}; /* nothing remains after the mean is subtracted */
    c = compare(same, same, 3, 2);
    ck_assert_double_eq_tol(c.stability_with_flips, 1, 1e-12);
    ck_assert(isnan(c.stability_centered));
    ra_comparison_release(&c);
    static const float fewer[] = {1, 0, 0, 0, 0, 0}, more[] = {1, 0, 0, 1, 0, 0};
    c = compare(fewer, more, 3, 2);
    ck_assert_double_eq(c.stability_with_flips, 0.5); /* one of two */
    ra_comparison_release(&c);
    static const float none[6];
    c = compare(none, none, 3, 2);
    ck_assert(isnan(c.stability_with_flips) && isnan(c.stability_without_flips) &&
              isnan(c.stability_centered));
    ra_comparison_release(&c);
}
END_TEST

/* With zero atoms, equal atoms and atoms that differ in the last bits: 1, and each atom matched to itself. */
START_TEST(test_a_dictionary_is_itself_to_the_last_bit) {
    enum { K = 40, D = 7 };
    static float A[K * D];
    test_fill(A, K * D, 9);
    for (size_t k = 10; k < 20; k++)
        for (size_t j = 0; j < D; j++)
            A[k * D + j] = A[j] * (1 + (float)k * 3e-7f) + (j == k % D ? 1e-5f : 0);
    memcpy(A + 21 * D, A + 20 * D, D * sizeof *A);
    memset(A + 5 * D, 0, D * sizeof *A);
    ra_comparison c = compare(A, A, K, D);
    ck_assert_double_eq(c.stability_with_flips, 1);
    ck_assert_double_eq(c.stability_without_flips, 1);
    ck_assert_double_eq(c.stability_centered, 1);
    for (size_t k = 0; k < K; k++) ck_assert_int_eq(c.match[k], (int32_t)k);
    ra_comparison_release(&c);
}
END_TEST

START_TEST(test_atoms_of_any_size) {
    enum { K = 20, D = 6 };
    static const float scales[] = {1e-30f, 1e-10f, 1e10f, 1e25f};
    float A[K * D], B[K * D];
    test_fill(A, K * D, 1);
    test_fill(B, K * D, 2);
    ra_comparison plain = compare(A, B, K, D);
    for (size_t s = 0; s < 4; s++) {
        float a[K * D], b[K * D];
        for (size_t i = 0; i < K * D; i++) a[i] = A[i] * scales[s], b[i] = B[i] * scales[s];
        ra_comparison c = compare(a, b, K, D);
        ck_assert_double_eq_tol(c.stability_with_flips, plain.stability_with_flips, 1e-6);
        ck_assert_double_eq_tol(c.stability_centered, plain.stability_centered, 1e-6);
        ck_assert_double_eq_tol(c.hungarian_loss / (double)scales[s], plain.hungarian_loss, 1e-4);
        ra_comparison_release(&c);
    }
    ra_comparison_release(&plain);
}
END_TEST

START_TEST(test_refuses_what_cannot_be_compared) {
    float A[] = {1, 2, 3, 4}, B[] = {1, 2, NAN, 4};
    ra_backend *backend = backend_of("cpu", 1);
    ra_comparison c;
    ra_fails(ra_compare(backend, A, B, 2, 2, NULL, &c, &err), RA_ERR_NOT_FINITE,
             "second dictionary holds a NaN or an infinity in atom 1, dimension 0");
    ra_fails(ra_compare(backend, B, A, 2, 2, NULL, &c, &err), RA_ERR_NOT_FINITE, "first dictionary");
    ra_fails(ra_compare(backend, A, B, 0, 2, NULL, &c, &err), RA_ERR_ARGUMENT, "[0, 2]");
    ck_assert_ptr_null(c.match);
    ra_backend_release(backend);
}
END_TEST

typedef struct watch {
    uint64_t done, total, stop_from;
} watch;

static bool on_matches(void *context, uint64_t done, uint64_t total) {
    watch *w = context;
    ck_assert_uint_ge(done, w->done);
    w->done = done;
    w->total = total;
    return !w->stop_from || done < w->stop_from;
}

START_TEST(test_tells_how_far_it_is_and_can_be_stopped) {
    enum { ATOMS = 30 };
    float A[ATOMS * 3], B[ATOMS * 3];
    test_fill(A, ATOMS * 3, 1);
    test_fill(B, ATOMS * 3, 2);
    ra_backend *backend = backend_of("cpu", 1);
    ra_comparison c;
    watch w = {0};
    ra_compare_options options = {on_matches, &w};
    ra_ok(ra_compare(backend, A, B, ATOMS, 3, &options, &c, &err));
    ck_assert_uint_eq(w.done, 4 * ATOMS);
    ck_assert_uint_eq(w.total, 4 * ATOMS);
    ra_comparison_release(&c);
    for (uint64_t from = 1; from <= 4 * ATOMS; from += ATOMS) {
        w = (watch){.stop_from = from};
        ra_fails(ra_compare(backend, A, B, ATOMS, 3, &options, &c, &err), RA_ERR_CANCELED, "canceled");
        ck_assert_ptr_null(c.match);
    }
    ra_backend_release(backend);
}
END_TEST

static ra_status compare_and_release(ra_backend *backend, const float *A, const float *B, ra_error *err) {
    ra_comparison c;
    ra_status status = ra_compare(backend, A, B, 4, 3, NULL, &c, err);
    ra_comparison_release(&c);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    float A[12], B[12];
    test_fill(A, 12, 1);
    test_fill(B, 12, 2);
    ra_backend *backend = backend_of("cpu", 1);
    fails_at_each_allocation(compare_and_release(backend, A, B, &err));
    ra_backend_release(backend);
}
END_TEST

TEST_CASES(compare, test_losses_match_the_reference, test_random_directions_have_a_floor,
           test_finds_the_same_atoms_in_another_order, test_a_dictionary_is_at_no_distance_from_itself,
           test_a_dictionary_is_itself_to_the_last_bit, test_centering_tells_atoms_apart_that_share_a_mean,
           test_zero_atoms_have_cosine_zero, test_atoms_of_any_size, test_refuses_what_cannot_be_compared,
           test_tells_how_far_it_is_and_can_be_stopped, test_every_allocation_may_fail)
TEST_CASES_LOOP(compare_figures, 0, 4, test_figures_equal_plain_loops)
