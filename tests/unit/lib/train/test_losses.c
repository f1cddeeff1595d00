/* The losses and their gradients, the kernels and the schedules (lib/train/{losses,schedule}.c), each alone
 * against overcomplete; and every backward pass of the autoencoder (lib/sae/backward.c) against finite
 * differences. */
#include "devices.h"
#include "golden.h"
#include "ra_memory.h"
#include "ra_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    ra_backend *backend;
    ra_safetensors *file;
    ra_codes codes;
    ra_buffer blocks[4]; /* x, x_hat, pre, D */
    ra_loss_batch batch;
    ra_loss_gradients g;
} fixture;

static const float *put(fixture *f, size_t i, const char *name) {
    size_t n;
    const float *values = golden_values(f->file, name, &n);
    return device_put(&f->blocks[i], f->backend, values, n);
}

static fixture open_case(int device, double penalty) {
    fixture f = {0};
    f.backend = device_open(device, 2);
    f.file = golden_open("losses", ".safetensors");
    size_t B = golden_rows(f.file, "x"), d = golden_cols(f.file, "x"), K = golden_cols(f.file, "codes");
    ra_ok(ra_codes_from_dense(&f.codes, golden_values(f.file, "codes", NULL), B, K, &err));
    f.batch = (ra_loss_batch){.backend = f.backend,
                              .rows = B,
                              .dimensions = d,
                              .concepts = K,
                              .x = put(&f, 0, "x"),
                              .x_hat = put(&f, 1, "x_hat"),
                              .pre = put(&f, 2, "pre_codes"),
                              .D = put(&f, 3, "dictionary"),
                              .penalty = penalty};
    return f;
}

static void close_case(fixture *f) {
    for (size_t i = 0; i < 4; i++) ra_buffer_release(&f->blocks[i]);
    ra_loss_gradients_release(&f->g);
    ra_codes_release(&f->codes);
    ra_safetensors_free(f->file);
    ra_backend_release(f->backend);
}

static double setting(const fixture *f, const char *key) {
    return strtod(ra_safetensors_metadata(f->file, key), NULL);
}

/* The gradient of all codes: that of the active ones plus the dense part. overcomplete's hoyer is NaN for
 * rows without a code, where ours is 0. */
static void assert_code_gradient(const fixture *f, const char *name, double tolerance) {
    size_t n = f->batch.rows * f->batch.concepts;
    float *all = ra_calloc(n, sizeof *all), *expected = ra_calloc(n, sizeof *expected);
    memcpy(expected, golden_values(f->file, name, NULL), n * sizeof *expected);
    for (size_t b = 0; b < f->codes.rows; b++) {
        bool silent = f->codes.start[b] == f->codes.start[b + 1];
        for (size_t k = 0; k < f->codes.latents && silent; k++) {
            float *value = &expected[b * f->codes.latents + k];
            *value = isnan(*value) ? 0 : *value;
        }
    }
    if (f->g.has_value) {
        float *value = device_numbers(f->backend, f->g.value.data, ra_codes_entries(&f->codes));
        for (size_t b = 0; b < f->codes.rows; b++)
            for (size_t e = f->codes.start[b]; e < f->codes.start[b + 1]; e++)
                all[b * f->codes.latents + (size_t)f->codes.index[e]] = value[e];
        ra_free(value);
    }
    if (f->g.has_codes) {
        float *codes = device_numbers(f->backend, f->g.codes.data, n);
        for (size_t i = 0; i < n; i++) all[i] += codes[i];
        ra_free(codes);
    }
    assert_close(all, expected, n, tolerance);
    ra_free(expected);
    ra_free(all);
}

START_TEST(test_golden_mse_l1) {
    fixture f = open_case(_i, 0);
    double value;
    f.batch.codes = &f.codes;
    f.batch.penalty = setting(&f, "mse_l1_penalty");
    ra_ok(ra_loss_evaluate(RA_LOSS_MSE_L1, &f.batch, &value, &f.g, &err));
    ck_assert_double_eq_tol(value, (double)golden_scalar(f.file, "mse_l1.loss"), 1e-6 * value);
    golden_close_on(f.backend, f.g.x_hat.data, f.file, "mse_l1.grad.x_hat", 1e-6);
    assert_code_gradient(&f, "mse_l1.grad.codes", 1e-6);
    ck_assert(!f.g.has_pre && !f.g.has_D);
    close_case(&f);
}
END_TEST

START_TEST(test_golden_auxk) {
    fixture f = open_case(_i, 0);
    double value;
    f.batch.codes = &f.codes;
    f.batch.penalty = setting(&f, "auxk_penalty");
    ra_ok(ra_loss_evaluate(RA_LOSS_AUXK, &f.batch, &value, &f.g, &err));
    ck_assert_double_eq_tol(value, (double)golden_scalar(f.file, "auxk.loss"), 1e-6 * value);
    golden_close_on(f.backend, f.g.x_hat.data, f.file, "auxk.grad.x_hat", 1e-6);
    golden_close_on(f.backend, f.g.D.data, f.file, "auxk.grad.dictionary", 1e-6);
    /* Among zeros of relu(pre) - z, overcomplete selects by chance. Compared are the entries that were
     * selected for their value, and everywhere the final gradient of the pre-codes, direct and through an
     * active code. */
    size_t n = f.batch.rows * f.batch.concepts, picked = 0;
    const float *pre = golden_values(f.file, "auxk.grad.pre_codes", NULL),
                *z = golden_values(f.file, "codes", NULL);
    const float *codes = golden_values(f.file, "auxk.grad.codes", NULL);
    float *ours = ra_calloc(2 * n, sizeof *ours), *theirs = ra_calloc(2 * n, sizeof *theirs);
    float *our_pre = device_numbers(f.backend, f.g.pre.data, n),
          *our_codes = device_numbers(f.backend, f.g.codes.data, n);
    const float *at = golden_values(f.file, "pre_codes", NULL);
    for (size_t i = 0; i < n; i++) {
        ours[i] = our_pre[i] + (z[i] > 0 ? our_codes[i] : 0);
        theirs[i] = pre[i] + (z[i] > 0 ? codes[i] : 0);
        if (!(at[i] > 0 && at[i] > z[i])) continue;
        ours[n + i] = our_codes[i];
        theirs[n + i] = codes[i];
        picked++;
    }
    ck_assert_uint_gt(picked, 100);
    assert_close(ours, theirs, 2 * n, 1e-6);
    ra_free(ours);
    ra_free(theirs);
    ra_free(our_pre);
    ra_free(our_codes);
    close_case(&f);
}
END_TEST

START_TEST(test_golden_reanimate) {
    fixture f = open_case(_i, 0);
    double value;
    f.batch.codes = &f.codes;
    f.batch.penalty = setting(&f, "reanimate_penalty");
    ra_ok(ra_loss_reanimation(&f.batch, &value, &f.g, &err));
    ck_assert_double_eq_tol(value, (double)golden_scalar(f.file, "reanimate.loss"), 1e-6 * fabs(value));
    golden_close_on(f.backend, f.g.pre.data, f.file, "reanimate.grad.pre_codes", 1e-6);
    double mse, both;
    ra_ok(ra_loss_evaluate(RA_LOSS_MSE, &f.batch, &mse, &f.g, &err));
    ra_ok(ra_loss_evaluate(RA_LOSS_REANIMATE, &f.batch, &both, &f.g, &err));
    ck_assert_double_eq_tol(both, mse + value, 1e-12);
    close_case(&f);
}
END_TEST

START_TEST(test_golden_elastic) {
    fixture f = open_case(_i, 0);
    double value;
    f.batch.codes = &f.codes;
    f.batch.penalty = setting(&f, "elastic_alpha");
    ra_ok(ra_loss_evaluate(RA_LOSS_ELASTIC, &f.batch, &value, &f.g, &err));
    ck_assert_double_eq_tol(value, (double)golden_scalar(f.file, "elastic.loss"), 1e-6 * value);
    golden_close_on(f.backend, f.g.x_hat.data, f.file, "elastic.grad.x_hat", 1e-6);
    golden_close_on(f.backend, f.g.D.data, f.file, "elastic.grad.dictionary", 1e-6);
    assert_code_gradient(&f, "elastic.grad.codes", 1e-6);
    close_case(&f);
}
END_TEST

START_TEST(test_golden_scores_of_rows) {
    static const struct {
        ra_loss loss;
        const char *penalty, *value, *x_hat, *codes;
    } scores[] = {
        {RA_LOSS_HOYER, "hoyer_penalty", "hoyer.loss", "hoyer.grad.x_hat", "hoyer.grad.codes"},
        {RA_LOSS_KAPPA_4, "kappa_4_penalty", "kappa_4.loss", "kappa_4.grad.x_hat", "kappa_4.grad.codes"},
    };
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        fixture f = open_case(_i, 0);
        double value;
        f.batch.codes = &f.codes;
        f.batch.penalty = setting(&f, scores[i].penalty);
        ra_ok(ra_loss_evaluate(scores[i].loss, &f.batch, &value, &f.g, &err));
        ck_assert_double_eq_tol(value, (double)golden_scalar(f.file, scores[i].value), 1e-5 * value);
        golden_close_on(f.backend, f.g.x_hat.data, f.file, scores[i].x_hat, 1e-6);
        assert_code_gradient(&f, scores[i].codes,
                             1e-4); /* the reference's 1e-6 shows in rows of small codes */
        close_case(&f);
    }
}
END_TEST

/* A batch without a code: the scores are those of rows of zeros, and there is no gradient. */
START_TEST(test_scores_of_silent_rows) {
    fixture f = open_case(_i, 0.5);
    ra_codes none = {0};
    double mse, value;
    ra_ok(ra_codes_reserve(&none, f.batch.rows, f.batch.concepts, 0, &err));
    memset(none.start, 0, (f.batch.rows + 1) * sizeof *none.start);
    f.batch.codes = &none;
    ra_ok(ra_loss_evaluate(RA_LOSS_MSE, &f.batch, &mse, &f.g, &err));
    double root = sqrt((double)f.batch.concepts);
    ra_ok(ra_loss_evaluate(RA_LOSS_HOYER, &f.batch, &value, &f.g, &err));
    ck_assert_double_eq_tol(value - mse, 0.5 * root / (root - 1), 1e-12);
    ck_assert(!f.g.has_value);
    ra_ok(ra_loss_evaluate(RA_LOSS_KAPPA_4, &f.batch, &value, &f.g, &err));
    ck_assert_double_eq(value, mse);
    f.batch.concepts = 1;
    ra_fails(ra_loss_evaluate(RA_LOSS_HOYER, &f.batch, &value, &f.g, &err), RA_ERR_ARGUMENT,
             "only one concept");
    ra_codes_release(&none);
    close_case(&f);
}
END_TEST

START_TEST(test_l0_counts_and_reaches_thresholds_alone) {
    fixture f = open_case(_i, 0.25);
    double mse, value;
    f.batch.codes = &f.codes;
    ra_ok(ra_loss_evaluate(RA_LOSS_MSE, &f.batch, &mse, &f.g, &err));
    ck_assert_double_eq(f.g.active, 0);
    ra_ok(ra_loss_evaluate(RA_LOSS_L0, &f.batch, &value, &f.g, &err));
    double rows = (double)f.batch.rows;
    ck_assert_double_eq_tol(value - mse, 0.25 * (double)ra_codes_entries(&f.codes) / rows, 1e-9);
    ck_assert_double_eq(f.g.active, 0.25 / rows);
    ck_assert(!f.g.has_value && !f.g.has_pre && !f.g.has_codes && !f.g.has_D);
    ra_ok(ra_loss_evaluate(RA_LOSS_MSE, &f.batch, &mse, &f.g, &err));
    ck_assert_double_eq(f.g.active, 0);
    close_case(&f);
}
END_TEST

START_TEST(test_what_cannot_be_a_loss_is_refused) {
    ra_sae_settings jumprelu = {.sae = RA_SAE_JUMPRELU}, topk = {.sae = RA_SAE_TOPK};
    ra_ok(ra_loss_check(RA_LOSS_L0, 1e-3, &jumprelu, &err));
    ra_fails(ra_loss_check(RA_LOSS_L0, 1e-3, &topk, &err), RA_ERR_ARGUMENT, "but the sae is topk");
    ra_ok(ra_loss_check(RA_LOSS_ELASTIC, 1, &topk, &err));
    ra_fails(ra_loss_check(RA_LOSS_ELASTIC, 1.5, &topk, &err), RA_ERR_ARGUMENT,
             "the penalty of the loss elastic is 1.5; expected at most 1");
    ra_ok(ra_loss_check(RA_LOSS_HOYER, -1, &topk, &err));
    ra_fails(ra_loss_check(RA_LOSS_MSE_L1, -1, &topk, &err), RA_ERR_ARGUMENT, "expected at least 0");
    ra_train_settings settings = {.loss = RA_LOSS_MSE, .weight_decay = 0.1, .optimizer = RA_OPTIMIZER_ADAMW};
    ra_ok(ra_train_settings_check(&settings, &topk, &err));
    settings.optimizer = RA_OPTIMIZER_ADAM;
    ra_fails(ra_train_settings_check(&settings, &topk, &err), RA_ERR_ARGUMENT, "take adamw");
}
END_TEST

START_TEST(test_golden_kernels) {
    static const char *const names[] = {"rectangle",    "gaussian", "triangular", "cosine",
                                        "epanechnikov", "quartic",  "silverman",  "cauchy"};
    ra_safetensors *file = golden_open("kernels", ".safetensors");
    float bandwidth = strtof(ra_safetensors_metadata(file, "bandwidth"), NULL);
    size_t n;
    const float *x = golden_values(file, "x", &n);
    float *y = ra_malloc(n, sizeof *y);
    for (int kernel = 0; kernel < 8; kernel++) {
        ra_kernel_evaluate((ra_kernel)kernel, bandwidth, x, y, n);
        golden_close(y, file, names[kernel], 1e-6);
    }
    ra_free(y);
    ra_safetensors_free(file);
}
END_TEST

/* Every schedule begins with its warm-up, then has its base rate, and ends at its final rate. */
START_TEST(test_schedules) {
    static const struct {
        ra_schedule schedule;
        double first, base, middle, last;
    } expected[] = {{RA_SCHEDULE_CONSTANT, 0.25, 1, 1, 1},
                    {RA_SCHEDULE_LINEAR, 0.25, 1, 0.55, 0.1},
                    {RA_SCHEDULE_COSINE, 0.25, 1, 0.55, 0.1}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ra_schedule_options options = {
            .schedule = expected[i].schedule, .base = 1, .final = 0.1, .total = 24, .warmup = 4};
        for (size_t step = 1; step <= 4; step++)
            ck_assert_double_eq_tol(ra_schedule_rate(&options, step), (double)step * expected[i].first, 1e-7);
        ck_assert_double_eq_tol(ra_schedule_rate(&options, 5), expected[i].base, 1e-7);
        ck_assert_double_eq_tol(ra_schedule_rate(&options, 15), expected[i].middle, 1e-7);
        ck_assert_double_eq_tol(ra_schedule_rate(&options, 25), expected[i].last, 1e-7);
        options.warmup = 1;
        ck_assert_double_eq_tol(ra_schedule_rate(&options, 1), 1, 1e-7);
        options.warmup = 24; /* warm-up only */
        ck_assert_double_eq_tol(ra_schedule_rate(&options, 24), 1, 1e-7);
        options.warmup = 0;
        ck_assert_double_eq_tol(ra_schedule_rate(&options, 1), 1, 1e-7);
    }
}
END_TEST

START_TEST(test_golden_schedule) {
    ra_safetensors *file = golden_open("schedule", ".safetensors");
    ra_schedule_options options = {
        .schedule = RA_SCHEDULE_REFERENCE_COSINE,
        .base = strtod(ra_safetensors_metadata(file, "base_value"), NULL),
        .final = strtod(ra_safetensors_metadata(file, "final_value"), NULL),
        .warmup_start = strtod(ra_safetensors_metadata(file, "start_warmup_value"), NULL),
        .total = (size_t)strtoul(ra_safetensors_metadata(file, "total_iters"), NULL, 10),
        .warmup = (size_t)strtoul(ra_safetensors_metadata(file, "warmup_iters"), NULL, 10)};
    size_t n, after;
    const float *entries = golden_values(file, "schedule", &n),
                *rates = golden_values(file, "lr_after_step", &after);
    ck_assert_uint_eq(n, options.total);
    for (size_t i = 0; i < n; i++)
        ck_assert_double_eq_tol(ra_schedule_entry(&options, i), (double)entries[i],
                                1e-6 * (double)entries[i]);
    ck_assert_double_eq(ra_schedule_rate(&options, 1), options.base);
    for (size_t i = 0; i < after; i++) /* the rate after step i + 1 is that of step i + 2 */
        ck_assert_double_eq_tol(ra_schedule_rate(&options, i + 2), (double)rates[i], 1e-6 * (double)rates[i]);
    ck_assert_double_eq(ra_schedule_entry(&options, n), options.final);
    ra_safetensors_free(file);
}
END_TEST

/* ---- finite differences -------------------------------------------------------------------------------- */

/* sae, encoder, loss; the last column: whether the thresholds' gradient, a pseudo-gradient, is left out. */
static const struct {
    ra_sae_kind sae;
    ra_encoder_kind encoder;
    ra_loss loss;
    ra_dictionary_kind dictionary;
} runs[] = {
    {RA_SAE_RELU, RA_ENCODER_LINEAR, RA_LOSS_MSE, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_RELU, RA_ENCODER_LINEAR, RA_LOSS_MSE_L1, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_RELU, RA_ENCODER_MLP_LN_1, RA_LOSS_MSE_L1, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_RELU, RA_ENCODER_MLP_BN_1, RA_LOSS_MSE, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_MSE, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_AUXK, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_REANIMATE, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_BATCHTOPK, RA_ENCODER_LINEAR, RA_LOSS_MSE, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_JUMPRELU, RA_ENCODER_LINEAR, RA_LOSS_MSE_L1, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_MSE, RA_DICTIONARY_IDENTITY},
    {RA_SAE_RELU, RA_ENCODER_TIED, RA_LOSS_MSE_L1, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_TOPK, RA_ENCODER_TIED, RA_LOSS_REANIMATE, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_BATCHTOPK, RA_ENCODER_TIED, RA_LOSS_AUXK, RA_DICTIONARY_IDENTITY},
    {RA_SAE_JUMPRELU, RA_ENCODER_TIED, RA_LOSS_MSE, RA_DICTIONARY_IDENTITY},
    {RA_SAE_MP, RA_ENCODER_IDENTITY, RA_LOSS_MSE, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_MP, RA_ENCODER_IDENTITY, RA_LOSS_MSE_L1, RA_DICTIONARY_IDENTITY},
    {RA_SAE_MP, RA_ENCODER_IDENTITY, RA_LOSS_REANIMATE, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_ELASTIC, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_MP, RA_ENCODER_IDENTITY, RA_LOSS_ELASTIC, RA_DICTIONARY_IDENTITY},
    {RA_SAE_RELU, RA_ENCODER_LINEAR, RA_LOSS_HOYER, RA_DICTIONARY_ARCHETYPAL},
    {RA_SAE_TOPK, RA_ENCODER_TIED, RA_LOSS_KAPPA_4, RA_DICTIONARY_IDENTITY},
};

enum { B = 6, K = 9, N = 12, D_ = 5 };

typedef struct small {
    ra_backend *backend;
    ra_sae *sae;
    ra_sae_pass pass;
    ra_loss_gradients g;
    float x[B * D_];
    ra_loss loss;
} small;

static double loss_of(small *s) {
    double value;
    ra_sae_changed(s->sae);
    s->pass.all_atoms = ra_loss_needs_all_atoms(s->loss);
    ra_ok(ra_sae_forward(s->sae, s->x, B, &s->pass, &err));
    ra_loss_batch batch = {.backend = s->backend,
                           .rows = B,
                           .dimensions = D_,
                           .concepts = K,
                           .x = s->x,
                           .x_hat = s->pass.x_hat,
                           .pre = s->pass.pre,
                           .codes = &s->pass.codes,
                           .D = s->pass.D,
                           .penalty = 0.05};
    ra_ok(ra_loss_evaluate(s->loss, &batch, &value, &s->g, &err));
    return value;
}

START_TEST(test_backward_matches_finite_differences) {
    small s = {.loss = runs[_i].loss};
    float points[N * D_];
    test_fill(points, N * D_, 11);
    test_fill(s.x, B * D_, 12);
    ra_ok(ra_backend_open("reference", NULL, &s.backend, &err));
    ra_sae_settings settings = {.known = 1u << RA_SET_SAE | 1u << RA_SET_ENCODER | 1u << RA_SET_TOP_K |
                                         1u << RA_SET_BANDWIDTH,
                                .sae = (int)runs[_i].sae,
                                .encoder = (int)runs[_i].encoder,
                                .top_k = 3,
                                .bandwidth = 0.5};
    ra_tensor view = ra_tensor_2d(RA_F32, points, N, D_);
    ra_dictionary *dictionary = NULL;
    if (runs[_i].dictionary == RA_DICTIONARY_ARCHETYPAL)
        ra_ok(ra_archetypal_dictionary_new(s.backend, D_, K, &view, 10, true, &dictionary, &err));
    else
        ra_ok(ra_plain_dictionary_new(s.backend, D_, K, runs[_i].dictionary, NULL, true, 13, &dictionary,
                                      &err));
    ra_ok(ra_sae_new(&settings, dictionary, 14, &s.sae, &err));
    size_t count, checked = 0, outliers = 0;
    const ra_parameter *p = ra_sae_parameters(s.sae, &count);
    for (size_t i = 0; i < count; i++) {
        /* Every read projects W, and no gradient passes through that: test_dictionary.c and the golden cases
         * test it; a threshold's gradient is not a derivative. */
        if (!p[i].gradient || strcmp(p[i].name, "dictionary.W") == 0 || strcmp(p[i].name, "thresholds") == 0)
            continue;
        size_t n = ra_parameter_size(&p[i]);
        float *gradient = ra_malloc(n, sizeof *gradient);
        loss_of(&s);
        ra_sae_gradients gradients = ra_loss_sae_gradients(&s.g);
        ra_ok(ra_sae_backward(s.sae, s.x, &s.pass, &gradients, &err));
        ra_ok(ra_sae_gradient(s.sae, &s.pass, i, gradient, &err));
        for (size_t j = 0; j < n; j++) {
            const float h = 2e-3f, kept = p[i].value[j];
            p[i].value[j] = kept + h;
            double up = loss_of(&s);
            p[i].value[j] = kept - h;
            double down = loss_of(&s);
            p[i].value[j] = kept;
            double slope = (up - down) / (double)(2 * h), gap = fabs(slope - (double)gradient[j]);
            checked++;
            outliers += gap > 2e-3 + 0.02 * fabs(slope); /* a step that changes a selection */
        }
        ra_free(gradient);
    }
    ck_assert_uint_gt(checked, 40);
    ck_assert_msg(outliers * 50 <= checked, "%zu of %zu differences disagree with the gradient", outliers,
                  checked);
    ra_sae_pass_release(&s.pass);
    ra_loss_gradients_release(&s.g);
    ra_sae_free(s.sae);
    ra_backend_release(s.backend);
}
END_TEST

TEST_CASES(losses, test_golden_kernels, test_golden_schedule, test_schedules,
           test_what_cannot_be_a_loss_is_refused)
TEST_CASES_LOOP(losses_golden, 0, DEVICES, test_golden_mse_l1, test_golden_auxk, test_golden_reanimate,
                test_golden_elastic, test_golden_scores_of_rows, test_scores_of_silent_rows,
                test_l0_counts_and_reaches_thresholds_alone)
TEST_CASES_LOOP(losses_finite_differences, 20, sizeof runs / sizeof *runs,
                test_backward_matches_finite_differences)
