/* Starts of an autoencoder: the encoder along its atoms, and random starts that are independent of each
 * other. */
#include "harness.h"
#include "ra_memory.h"
#include "ra_sae.h"

#include <math.h>
#include <string.h>

enum { K = 6, D = 5, ROWS = 24 };
static const int kinds[] = {RA_SAE_RELU, RA_SAE_TOPK, RA_SAE_BATCHTOPK, RA_SAE_JUMPRELU};

static const float points[K * D] = {3, 0, 0, 0, 1, 0, 2, 0, 1, 0, 0, 0, 4, 0, 0,
                                    1, 1, 0, 3, 0, 0, 0, 0, 0, 5, 2, 0, 2, 0, 0};

static ra_backend *cpu(void) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 2}, &backend, &err));
    return backend;
}

static ra_sae *archetypal(ra_backend *backend, int sae, int encoder, size_t concepts,
                          ra_dictionary **dictionary) {
    ra_sae *made = NULL;
    const ra_tensor C = ra_tensor_2d(RA_F32, (void *)(uintptr_t)points, K, D);
    ra_ok(ra_archetypal_dictionary_new(backend, D, concepts, &C, 1, true, dictionary, &err));
    const ra_sae_settings settings = {.known = 1u << RA_SET_SAE | 1u << RA_SET_ENCODER | 1u << RA_SET_TOP_K,
                                      .sae = sae,
                                      .encoder = encoder,
                                      .top_k = 2};
    ra_ok(ra_sae_new(&settings, *dictionary, 3, &made, &err));
    return made;
}

static const ra_parameter *parameter(ra_sae *sae, const char *name) {
    size_t count;
    const ra_parameter *p = ra_sae_parameters(sae, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(p[i].name, name) == 0) return &p[i];
    ck_abort_msg("no parameter %s", name);
    return NULL;
}

static double length(const float *x) {
    double square = 0;
    for (size_t j = 0; j < D; j++) square += (double)x[j] * (double)x[j];
    return sqrt(square);
}

/* Multiples of single points, times `scale`. */
static void rows_on_points(float *x, float scale) {
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < D; j++) x[i * D + j] = scale * (float)(1 + i % 3) * points[i % K * D + j];
}

static double residual(ra_sae *sae, const float *x, double factor) {
    const ra_parameter *weight = parameter(sae, "encoder.final_block.0.weight");
    ra_sae_pass pass = {0};
    double sum = 0;
    for (size_t i = 0; i < ra_parameter_size(weight); i++) weight->value[i] *= (float)factor;
    ra_ok(ra_sae_forward(sae, x, ROWS, &pass, &err));
    for (size_t i = 0; i < ROWS * D; i++)
        sum += ((double)x[i] - (double)pass.x_hat[i]) * ((double)x[i] - (double)pass.x_hat[i]);
    for (size_t i = 0; i < ra_parameter_size(weight); i++) weight->value[i] /= (float)factor;
    ra_sae_pass_release(&pass);
    return sum;
}

START_TEST(test_rows_lie_along_their_atoms_at_the_length_that_explains_best) {
    ra_backend *backend = cpu();
    ra_dictionary *dictionary;
    ra_sae *sae = archetypal(backend, kinds[_i % 4], RA_ENCODER_LINEAR, K, &dictionary);
    float x[ROWS * D];
    rows_on_points(x, _i < 4 ? 1 : 0.25f);
    ra_ok(ra_sae_start_at_dictionary(sae, x, ROWS, &err));
    const float *E = parameter(sae, "encoder.final_block.0.weight")->value;
    const float *bias = parameter(sae, "encoder.final_block.0.bias")->value;
    for (size_t k = 0; k < K; k++) {
        double dot = 0;
        for (size_t j = 0; j < D; j++) dot += (double)E[k * D + j] * (double)points[k * D + j];
        ck_assert_double_eq_tol(dot, length(E + k * D) * length(points + k * D), 1e-5);
        ck_assert_double_eq_tol(length(E + k * D), length(E), 1e-6);
        ck_assert(bias[k] == 0);
    }
    double here = residual(sae, x, 1);
    ck_assert_double_lt(here, residual(sae, x, 2));
    ck_assert_double_lt(here, residual(sae, x, 0.5));
    ra_sae_free(sae);
    ra_backend_release(backend);
}
END_TEST

/* Choosing the length must not set batchtopk's running threshold: the first batch does. */
START_TEST(test_the_running_threshold_stays_unset) {
    ra_backend *backend = cpu();
    ra_dictionary *dictionary;
    ra_sae *sae = archetypal(backend, RA_SAE_BATCHTOPK, RA_ENCODER_LINEAR, K, &dictionary);
    float x[ROWS * D];
    rows_on_points(x, 1);
    ra_ok(ra_sae_start_at_dictionary(sae, x, ROWS, &err));
    ck_assert(!ra_setting_known(ra_sae_get_settings(sae), RA_SET_RUNNING_THRESHOLD));
    ra_sae_free(sae);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_encoders_with_a_norm_have_rows_of_length_one) {
    ra_backend *backend = cpu();
    ra_dictionary *dictionary;
    ra_sae *sae =
        archetypal(backend, RA_SAE_TOPK, _i % 2 ? RA_ENCODER_MLP_LN_1 : RA_ENCODER_MLP_BN_1, K, &dictionary);
    float x[ROWS * D];
    rows_on_points(x, 1);
    ra_ok(ra_sae_start_at_dictionary(sae, x, ROWS, &err));
    const float *E = parameter(sae, "encoder.final_block.0.weight")->value;
    for (size_t k = 0; k < K; k++) ck_assert_double_eq_tol(length(E + k * D), 1, 1e-6);
    ra_sae_free(sae);
    ra_backend_release(backend);
}
END_TEST

/* More atoms than points: the others are zero and have no direction; an encoder row of zeros could never
 * become active. */
START_TEST(test_atoms_of_zero_keep_a_random_row) {
    ra_backend *backend = cpu();
    ra_dictionary *dictionary;
    ra_sae *sae = archetypal(backend, RA_SAE_TOPK, RA_ENCODER_LINEAR, K + 1, &dictionary);
    float x[ROWS * D];
    rows_on_points(x, 1);
    ra_ok(ra_sae_start_at_dictionary(sae, x, ROWS, &err));
    ck_assert_double_gt(length(parameter(sae, "encoder.final_block.0.weight")->value + K * D), 0);
    ra_sae_free(sae);
    ra_backend_release(backend);
}
END_TEST

/* With one seed: if both used the same random numbers, every atom would start along its encoder row. */
START_TEST(test_a_plain_dictionary_starts_apart_from_its_encoder) {
    enum { CONCEPTS = 50, WIDTH = 64 };
    ra_backend *backend = cpu();
    ra_dictionary *dictionary = NULL;
    ra_sae *sae = NULL;
    ra_ok(ra_plain_dictionary_new(backend, WIDTH, CONCEPTS, RA_DICTIONARY_IDENTITY, NULL, false, 7,
                                  &dictionary, &err));
    const ra_sae_settings settings = {
        .known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K, .sae = RA_SAE_TOPK, .top_k = 2};
    ra_ok(ra_sae_new(&settings, dictionary, 7, &sae, &err));
    const float *E = parameter(sae, "encoder.final_block.0.weight")->value;
    const float *atoms = parameter(sae, "dictionary._weights")->value;
    double dot = 0, e = 0, a = 0;
    for (size_t i = 0; i < CONCEPTS * WIDTH; i++) {
        dot += (double)E[i] * (double)atoms[i];
        e += (double)E[i] * (double)E[i];
        a += (double)atoms[i] * (double)atoms[i];
    }
    ck_assert_double_lt(fabs(dot) / sqrt(e * a), 0.1); /* 3200 numbers: the standard deviation is 0.018 */
    ra_sae_free(sae);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(start, 0, 8, test_rows_lie_along_their_atoms_at_the_length_that_explains_best,
                test_encoders_with_a_norm_have_rows_of_length_one, test_the_running_threshold_stays_unset,
                test_atoms_of_zero_keep_a_random_row, test_a_plain_dictionary_starts_apart_from_its_encoder)
