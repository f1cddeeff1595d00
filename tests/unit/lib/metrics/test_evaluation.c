#include "golden.h"
#include "model_files.h"

#include "data_files.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static ra_evaluation_result evaluate(ra_model *model, const float *x, size_t rows, size_t step) {
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result = {0};
    size_t d = ra_model_get_info(model)->dimensions;
    ra_ok(ra_evaluation_new(model, NULL, &evaluation, &err));
    for (size_t from = 0; from < rows; from += step)
        ra_ok(ra_evaluation_add(evaluation, x + from * d, rows - from < step ? rows - from : step, &err));
    ra_ok(ra_evaluation_finish(evaluation, &result, &err));
    ra_evaluation_free(evaluation);
    return result;
}

/* ---- the reference's values --------------------------------------------------------------------------- */

static const char *const runs[] = {"relu-mse_l1", "topk-mse",          "batchtopk-mse",    "jumprelu-mse_l1",
                                   "topk-auxk",   "topk-mse-mlp_ln_1", "topk-mse-mlp_bn_1"};

START_TEST(test_trained_models_match_the_reference) {
    const char *run = runs[_i / MODEL_DEVICES];
    (void)model_on_device(_i);
    char name[64], given[64] = "";
    ra_safetensors *golden = golden_open(run, ".expected.safetensors");
    snprintf(name, sizeof name, "%s.final.safetensors", run);
    if (strstr(run, "batchtopk"))
        snprintf(given, sizeof given, "running_threshold=%.9g",
                 (double)golden_scalar(golden, "final.running_threshold"));
    ra_model *model = model_open_with(test_golden(name), given);
    snprintf(name, sizeof name, "%s.x.npy", run);
    ra_npy *x = NULL;
    ra_ok(ra_npy_open(test_golden(name), &x, &err));
    size_t rows = golden_rows(golden, "eval.codes"); /* of the first batch */
    ra_evaluation_result r = evaluate(model, ra_npy_tensor(x)->data, rows, rows);
    const struct {
        double value;
        const char *name;
    } cases[] = {{r.r2, "metrics.r2"},
                 {r.l0, "metrics.l0"},
                 {r.dead_ratio, "metrics.dead_ratio"},
                 {r.collinearity, "metrics.collinearity"},
                 {r.hoyer, "metrics.hoyer"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        golden_close(&(float){(float)cases[i].value}, golden, cases[i].name, 1e-5);
    ck_assert_uint_eq(r.rows, rows);
    ra_npy_free(x);
    ra_model_release(model);
    ra_safetensors_free(golden);
}
END_TEST

/* ---- against plain loops ------------------------------------------------------------------------------ */

static ra_model *small_model(ra_dtype dtype) {
    model_file file = {0};
    model_file_artifact(&file);
    if (dtype != RA_F32) model_file_convert(&file, "dictionary", dtype);
    ra_model *model = model_open(model_file_write(&file, "model.safetensors"));
    model_file_release(&file);
    return model;
}

static double cosine_of(const float *a, const float *b, size_t d) {
    double aa = 0, bb = 0, ab = 0;
    for (size_t j = 0; j < d; j++) {
        aa += (double)a[j] * (double)a[j];
        bb += (double)b[j] * (double)b[j];
        ab += (double)a[j] * (double)b[j];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

START_TEST(test_dictionary_figures_equal_plain_loops) {
    enum { ROWS = 2500 };
    static const ra_dtype dtypes[] = {RA_F32, RA_F16, RA_BF16};
    static float x[ROWS * FILE_D];
    float D[FILE_K * FILE_D];
    double best_sum = 0, collinearity = 0;
    ra_model *model = small_model(dtypes[_i]);
    test_fill(x, ROWS * FILE_D, 3);
    for (size_t i = 0; i < ROWS; i++) /* few rows near any atom; the best may be in any chunk */
        for (size_t j = 0; j < FILE_D; j++) x[i * FILE_D + j] = fabsf(x[i * FILE_D + j]) - (i % 700 == 3);
    memset(x, 0, FILE_D * sizeof *x); /* a zero row has cosine 0 with everything */
    for (size_t k = 0; k < FILE_K; k++) ra_ok(ra_model_atom(model, k, D + k * FILE_D, &err));
    for (size_t k = 0; k < FILE_K; k++) {
        double best = -1;
        for (size_t i = 0; i < ROWS; i++)
            best = fmax(best, cosine_of(x + i * FILE_D, D + k * FILE_D, FILE_D));
        best_sum += best;
        for (size_t l = 0; l < k; l++)
            collinearity = fmax(collinearity, fabs(cosine_of(D + l * FILE_D, D + k * FILE_D, FILE_D)));
    }
    ra_evaluation_result r = evaluate(model, x, ROWS, 1100);
    ck_assert_double_eq_tol(r.ood, 1 - best_sum / FILE_K, 1e-6);
    ck_assert_double_eq_tol(r.collinearity, collinearity, 1e-5); /* norms + 1e-6 */
    ck_assert(r.stable_rank >= 1 && r.stable_rank <= FILE_D);
    ck_assert_uint_eq(r.rows, ROWS);
    ra_model_release(model);
}
END_TEST

START_TEST(test_any_number_of_calls_gives_the_same_result) {
    enum { ROWS = 2100, FIGURES = 29 };
    static float x[ROWS * FILE_D];
    test_fill(x, ROWS * FILE_D, 3);
    ra_model *model = small_model(RA_F32);
    ra_evaluation_result whole = evaluate(model, x, ROWS, ROWS);
    static const size_t steps[] = {1, 7, 1024, 1025, 2099};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        ra_evaluation_result pieces = evaluate(model, x, ROWS, steps[i]);
        double a[FIGURES], b[FIGURES]; /* all metrics after `rows` */
        memcpy(a, (const char *)&whole + offsetof(ra_evaluation_result, mse), sizeof a);
        memcpy(b, (const char *)&pieces + offsetof(ra_evaluation_result, mse), sizeof b);
        for (size_t f = 0; f < FIGURES; f++)
            ck_assert_double_eq_tol(b[f], a[f], 1e-6 * fmax(1, fabs(a[f]))); /* products are rounded */
        ck_assert_uint_eq(pieces.rows, ROWS);
        ck_assert_double_eq(pieces.dead_ratio, whole.dead_ratio);
    }
    ra_model_release(model);
}
END_TEST

START_TEST(test_more_rows_may_follow_a_result) {
    float x[20 * FILE_D];
    test_fill(x, 20 * FILE_D, 3);
    ra_model *model = small_model(RA_F32);
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result half, both, at_once = evaluate(model, x, 20, 20);
    ra_ok(ra_evaluation_new(model, NULL, &evaluation, &err));
    ra_ok(ra_evaluation_add(evaluation, x, 10, &err));
    ra_ok(ra_evaluation_finish(evaluation, &half, &err));
    ra_ok(ra_evaluation_add(evaluation, x + 10 * FILE_D, 10, &err));
    ra_ok(ra_evaluation_finish(evaluation, &both, &err));
    ck_assert_uint_eq(half.rows, 10);
    ck_assert_uint_eq(both.rows, 20);
    ck_assert_double_eq_tol(both.mse, at_once.mse, 1e-6);
    ra_evaluation_free(evaluation);
    ra_model_release(model);
}
END_TEST

/* ---- pairs, classes, directions ----------------------------------------------------------------------- */

enum { FEW = 90 };

/* With as many passes as it asks for. */
static ra_evaluation_result evaluate_with(ra_model *model, const ra_evaluation_options *options,
                                          const float *x, size_t *passes) {
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result = {0};
    bool again = true;
    ra_ok(ra_evaluation_new(model, options, &evaluation, &err));
    for (*passes = 0; again; ++*passes) {
        ra_ok(ra_evaluation_add(evaluation, x, FEW / 2, &err));
        ra_ok(ra_evaluation_add(evaluation, x + FEW / 2 * FILE_D, FEW - FEW / 2, &err));
        ra_ok(ra_evaluation_next_pass(evaluation, &again, &err));
    }
    ra_ok(ra_evaluation_finish(evaluation, &result, &err));
    ra_evaluation_free(evaluation);
    return result;
}

static const char *reason_of(const ra_evaluation_result *result, const char *metric) {
    for (size_t i = 0; i < result->skip_count; i++)
        if (strcmp(result->skips[i].metric, metric) == 0) return result->skips[i].reason;
    return NULL;
}

START_TEST(test_more_passes_give_what_one_gives) {
    float x[FEW * FILE_D];
    size_t passes;
    test_fill(x, FEW * FILE_D, 3);
    ra_model *model = small_model(RA_F16);
    ra_evaluation_result whole = evaluate_with(model, NULL, x, &passes);
    ck_assert_uint_eq(passes, 1);
    ck_assert_double_gt(whole.connectivity, 0);
    ck_assert_double_gt(whole.negative_interference, 0);
    ck_assert_double_le(whole.negative_interference, whole.negative_interference_frobenius * (1 + 1e-6));
    ck_assert_double_gt(whole.max_correlation, 0);
    ck_assert(whole.effective_rank >= 1 && whole.effective_rank <= FILE_D);
    ck_assert_double_eq(whole.wasserstein_rows, FEW);
    /* of 160 bytes, 60 hold seven numbers; the rows of the triangle have 6, 5, 4, 3, 2 and 1 */
    ra_evaluation_result pieces = evaluate_with(model, &(ra_evaluation_options){.memory = 160}, x, &passes);
    ck_assert_uint_eq(passes, 4);
    ck_assert_double_eq(pieces.connectivity, whole.connectivity);
    ck_assert_double_eq_tol(pieces.max_correlation, whole.max_correlation, 1e-12);
    ck_assert_double_eq_tol(pieces.negative_interference_frobenius, whole.negative_interference_frobenius,
                            1e-9);
    ck_assert_double_eq(pieces.r2, whole.r2);
    ck_assert(isnan(pieces.negative_interference) && isnan(pieces.frechet_distance));
    ck_assert_ptr_nonnull(strstr(reason_of(&pieces, "negative_interference"), "the 21 numbers of Z^T Z"));
    ck_assert_ptr_nonnull(reason_of(&pieces, "frechet_distance"));
    ck_assert_ptr_nonnull(reason_of(&pieces, "effective_rank"));
    ck_assert_double_eq(pieces.wasserstein_rows, 1);
    ra_model_release(model);
}
END_TEST

/* With the codes in memory, the bands of pairs and the lists of partners take no pass over the data. */
START_TEST(test_codes_in_memory_give_what_passes_give) {
    float x[FEW * FILE_D];
    size_t passes;
    test_fill(x, FEW * FILE_D, 3);
    ra_model *model = small_model(RA_F32);
    ra_evaluation_options options = {.memory = 160, .partners = 3, .partners_least = 1, .quantiles = 3};
    ra_evaluation_result many = evaluate_with(model, &options, x, &passes);
    ck_assert_uint_gt(passes, 4);
    options.codes_memory = 1 << 20;
    ra_evaluation_result one = evaluate_with(model, &options, x, &passes);
    ck_assert_uint_eq(passes, 1);
    ck_assert_double_eq(one.connectivity, many.connectivity);
    ck_assert_double_eq(one.max_correlation, many.max_correlation);
    ck_assert_double_eq(one.negative_interference_frobenius, many.negative_interference_frobenius);
    ra_model_release(model);
}
END_TEST

START_TEST(test_partners_and_quantiles_are_those_of_the_codes) {
    enum { K = FILE_K };
    float x[FEW * FILE_D], z[FEW * K];
    test_fill(x, FEW * FILE_D, 3);
    ra_model *model = small_model(RA_F32);
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_encode(model, workspace, x, FEW, &codes, &err));
    ra_codes_to_dense(&codes, z);
    for (int tight = 0; tight < 2; tight++) {
        const ra_evaluation_options options = {.basic = true,
                                               .partners = K,
                                               .partners_least = 1,
                                               .quantiles = 2,
                                               .quantile_rows = FEW < 64 ? FEW : 64,
                                               .codes_memory = tight ? 64 : 1 << 20,
                                               .items = {3, 0}};
        ra_evaluation *evaluation = NULL;
        ra_latent_statistics latents;
        ra_latent_partner partner;
        ra_latent_example example;
        bool again = true;
        ra_ok(ra_evaluation_new(model, &options, &evaluation, &err));
        for (size_t pass = 0; again; pass++) {
            ra_ok(ra_evaluation_add(evaluation, x, FEW, &err));
            if (tight && pass == 0)
                ra_fails(ra_evaluation_statistics(evaluation, NULL, &latents, &err), RA_ERR_STATE,
                         "another pass");
            ra_ok(ra_evaluation_next_pass(evaluation, &again, &err));
        }
        ra_ok(ra_evaluation_statistics(evaluation, NULL, &latents, &err));
        for (size_t i = 0; i < K; i++) {
            size_t pairs = 0, listed = 0, positive = 0, drawn = 0;
            for (size_t j = 0; j < K; j++) {
                size_t together = 0;
                for (size_t b = 0; b < FEW; b++) together += z[b * K + i] != 0 && z[b * K + j] != 0;
                pairs += j != i && together > 0;
                for (size_t t = 0; ra_latent_statistics_partner(&latents, RA_COFIRING_COUNT, i, t, &partner);
                     t++) {
                    listed += j == 0;
                    if (partner.latent == j) ck_assert_uint_eq(partner.count, together);
                }
            }
            ck_assert_uint_eq(listed, pairs);
            for (size_t b = 0; b < FEW; b++) positive += z[b * K + i] > 0;
            for (size_t q = 0; q < 2; q++)
                for (size_t t = 0; ra_latent_statistics_quantile_example(&latents, i, q, t, &example);
                     t++, drawn++) {
                    ck_assert_float_eq(example.value, z[example.row * K + i]);
                    ck_assert(example.item == example.row / 3 && example.position == example.row % 3);
                }
            ck_assert_uint_eq(drawn, positive);
        }
        ra_evaluation_free(evaluation);
    }
    ra_fails(
        ra_evaluation_new(model, &(ra_evaluation_options){.partners = 257}, &(ra_evaluation *){NULL}, &err),
        RA_ERR_ARGUMENT, "257 partners");
    ra_fails(
        ra_evaluation_new(model, &(ra_evaluation_options){.quantiles = 101}, &(ra_evaluation *){NULL}, &err),
        RA_ERR_ARGUMENT, "101 quantiles");
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

START_TEST(test_what_is_left_out_is_said) {
    static const char *const names[] = {"wasserstein_1d",        "frechet_distance", "connectivity",
                                        "negative_interference", "max_correlation",  "effective_rank",
                                        "plausibility",          "identifiability"};
    float x[FEW * FILE_D];
    size_t passes;
    test_fill(x, FEW * FILE_D, 3);
    ra_model *model = small_model(RA_F32);
    ra_evaluation_result r = evaluate_with(model, &(ra_evaluation_options){.basic = true}, x, &passes);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(reason_of(&r, names[i]), "%s", names[i]);
    ck_assert_uint_eq(r.skip_count, sizeof names / sizeof *names);
    ck_assert(isnan(r.connectivity) && isnan(r.wasserstein_1d) && isfinite(r.r2) && isfinite(r.coherence));
    ra_model_release(model);
}
END_TEST

START_TEST(test_classes_and_directions) {
    float x[FEW * FILE_D], directions[2 * FILE_D];
    int32_t row_class[FEW];
    ra_model *model = small_model(RA_F32);
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result;
    ra_class_detector detectors[2];
    test_fill(x, FEW * FILE_D, 3);
    for (size_t i = 0; i < FEW; i++) row_class[i] = x[i * FILE_D] > 0;
    for (size_t c = 0; c < 2; c++) ra_ok(ra_model_atom(model, 3 * c, directions + c * FILE_D, &err));
    ra_evaluation_options options = {.directions = directions,
                                     .direction_count = 2,
                                     .row_class = row_class,
                                     .class_rows = FEW,
                                     .class_count = 2};
    ra_ok(ra_evaluation_new(model, &options, &evaluation, &err));
    ra_fails(ra_evaluation_classes(evaluation, detectors, &err), RA_ERR_STATE, "need rows");
    ra_ok(ra_evaluation_add(evaluation, x, FEW, &err));
    ra_ok(ra_evaluation_finish(evaluation, &result, &err));
    ra_ok(ra_evaluation_classes(evaluation, detectors, &err));
    ck_assert_double_eq_tol(result.plausibility, 1, 1e-6); /* the directions are atoms */
    ck_assert_double_eq_tol(result.identifiability, (detectors[0].accuracy + detectors[1].accuracy) / 2,
                            1e-12);
    ck_assert(detectors[1].accuracy >= 0.5 && detectors[1].accuracy <= 1);
    ra_fails(ra_evaluation_add(evaluation, x, 1, &err), RA_ERR_SHAPE, "classes for 90 rows");
    ra_evaluation_free(evaluation);
    row_class[7] = 2;
    ra_fails(ra_evaluation_new(model, &options, &evaluation, &err), RA_ERR_ARGUMENT, "class of row 7 is 2");
    ra_model_release(model);
}
END_TEST

START_TEST(test_statistics_of_latents_are_those_of_the_codes) {
    float x[FEW * FILE_D], z[FEW * FILE_K];
    ra_model *model = small_model(RA_F32);
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_evaluation *evaluation = NULL;
    ra_latent_statistics latents;
    ra_labels *labels = NULL;
    test_fill(x, FEW * FILE_D, 3);
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_encode(model, workspace, x, FEW, &codes, &err));
    ra_codes_to_dense(&codes, z);
    ra_ok(ra_evaluation_new(model, &(ra_evaluation_options){.examples = 3}, &evaluation, &err));
    ra_fails(ra_evaluation_statistics(evaluation, NULL, &latents, &err), RA_ERR_STATE, "at least one row");
    ra_ok(ra_evaluation_add(evaluation, x, FEW, &err));
    ra_ok(ra_labels_parse("a\nb\n", 4, "labels", &labels, &err));
    ra_fails(ra_evaluation_statistics(evaluation, labels, &latents, &err), RA_ERR_SHAPE,
             "2 labels for 90 rows");
    ra_ok(ra_evaluation_statistics(evaluation, NULL, &latents, &err));
    ck_assert_uint_eq(latents.examples, 3);
    for (size_t k = 0; k < FILE_K; k++) {
        int64_t count = 0;
        double sum = 0;
        for (size_t b = 0; b < FEW; b++) {
            count += z[b * FILE_K + k] != 0;
            sum += (double)z[b * FILE_K + k];
        }
        ck_assert_int_eq(latents.count[k], count);
        ck_assert_double_eq_tol((double)latents.energy[k], sum / FEW * (double)ra_model_atom_norm(model, k),
                                1e-6);
    }
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.statistics = &latents}, test_path("s"), RA_F32,
                             &err));
    ra_model *saved = model_open(test_path("s"));
    ck_assert_mem_eq(ra_model_latent_statistics(saved)->count, latents.count, FILE_K * sizeof *latents.count);
    ra_model_release(saved);
    ra_labels_free(labels);
    ra_evaluation_free(evaluation);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

START_TEST(test_a_pass_needs_all_rows) {
    float x[FEW * FILE_D];
    bool again;
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result;
    test_fill(x, FEW * FILE_D, 3);
    ra_model *model = small_model(RA_F32);
    ra_ok(ra_evaluation_new(model, &(ra_evaluation_options){.memory = 160}, &evaluation, &err));
    ra_fails(ra_evaluation_next_pass(evaluation, &again, &err), RA_ERR_STATE, "at least one row");
    ra_ok(ra_evaluation_add(evaluation, x, FEW, &err));
    ra_fails(ra_evaluation_finish(evaluation, &result, &err), RA_ERR_STATE, "need another pass");
    ra_ok(ra_evaluation_next_pass(evaluation, &again, &err));
    ck_assert(again);
    ra_ok(ra_evaluation_add(evaluation, x, FEW - 1, &err));
    ra_fails(ra_evaluation_next_pass(evaluation, &again, &err), RA_ERR_STATE,
             "pass 2 of an evaluation has 89");
    ra_evaluation_free(evaluation);
    ra_model_release(model);
}
END_TEST

/* ---- refusals ----------------------------------------------------------------------------------------- */

START_TEST(test_needs_an_encoder_and_rows) {
    static const float atoms[] = {1, 0, 0, 1};
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, 2, 2, atoms);
    model_file_text(&file, "format", "rasae.fused.v1");
    model_file_text(&file, "delta", "1");
    ra_model *bare = model_open(model_file_write(&file, "bare.safetensors")), *model = small_model(RA_F32);
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result;
    ra_fails(ra_evaluation_new(bare, NULL, &evaluation, &err), RA_ERR_STATE,
             "bare.safetensors has no encoder");
    ck_assert_ptr_null(evaluation);
    ra_ok(ra_evaluation_new(model, NULL, &evaluation, &err));
    ra_fails(ra_evaluation_finish(evaluation, &result, &err), RA_ERR_STATE, "at least one row");
    ra_fails(ra_evaluation_add(evaluation, (float[]){1, 2, NAN, 4}, 1, &err), RA_ERR_NOT_FINITE, "");
    ra_evaluation_free(evaluation);
    ra_evaluation_free(NULL);
    ra_model_release(model);
    ra_model_release(bare);
    model_file_release(&file);
}
END_TEST

static ra_status whole_evaluation(ra_model *model, const float *x, size_t rows, ra_error *err) {
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result;
    ra_status status = ra_evaluation_new(model, NULL, &evaluation, err);
    if (status == RA_OK) status = ra_evaluation_add(evaluation, x, rows, err);
    if (status == RA_OK) status = ra_evaluation_finish(evaluation, &result, err);
    ra_evaluation_free(evaluation);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    float x[20 * FILE_D];
    test_fill(x, 20 * FILE_D, 3);
    ra_model *model = small_model(RA_F16);
    fails_at_each_allocation(whole_evaluation(model, x, 20, &err));
    ra_model_release(model);
}
END_TEST

TEST_CASES(evaluation, test_any_number_of_calls_gives_the_same_result, test_more_rows_may_follow_a_result,
           test_needs_an_encoder_and_rows, test_more_passes_give_what_one_gives,
           test_codes_in_memory_give_what_passes_give, test_partners_and_quantiles_are_those_of_the_codes,
           test_what_is_left_out_is_said, test_classes_and_directions,
           test_statistics_of_latents_are_those_of_the_codes, test_a_pass_needs_all_rows,
           test_every_allocation_may_fail)
TEST_CASES_LOOP(evaluation_golden, 0, MODEL_DEVICES * sizeof runs / sizeof *runs,
                test_trained_models_match_the_reference)
TEST_CASES_LOOP(evaluation_dtypes, 0, 3, test_dictionary_figures_equal_plain_loops)
