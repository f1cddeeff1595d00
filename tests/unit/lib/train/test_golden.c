/* Whole training runs against the reference
 * (lib/sae/{activation,backward,batchtopk,checkpoint,encoder,encoder_train,forward,jumprelu,sae}.c,
 * lib/train/loop.c): first pass, gradients, the loss of every step, every final parameter. */
#include "devices.h"
#include "golden.h"
#include "ra_memory.h"
#include "ra_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const cases[] = {"relu-mse_l1",       "topk-mse",          "batchtopk-mse",
                                    "jumprelu-mse_l1",   "topk-auxk",         "topk-mse-mlp_ln_1",
                                    "topk-mse-mlp_bn_1", "topk-mse-tied",     "mp-mse",
                                    "jumprelu-l0",       "topk-elastic-adamw"};
enum { CASES = sizeof cases / sizeof *cases, RUNS = DEVICES * CASES };

typedef struct fixture {
    ra_backend *backend;
    ra_safetensors *init, *expected;
    ra_data *data;
    ra_sae *sae;
    ra_train_settings settings;
    size_t batch, K, d;
    bool batch_norm;
    size_t step;
    double losses[1000];
} fixture;

static fixture *open_case(int run) {
    static fixture f;
    char name[128], path[256];
    f = (fixture){0};
    f.backend = device_open(run / CASES, 2);
    f.init = golden_open(cases[run % CASES], ".init.safetensors");
    f.expected = golden_open(cases[run % CASES], ".expected.safetensors");
    snprintf(name, sizeof name, "%s.x.npy", cases[run % CASES]);
    snprintf(path, sizeof path, "%s", test_golden(name));
    ra_ok(ra_data_open(&(const char *){path}, 1, NULL, &f.data, &err));
    ra_ok(ra_sae_open(ra_safetensors_path(f.init), NULL, f.backend, &f.sae, &err));
    ra_ok(ra_train_settings_read(f.init, &f.settings, &err));
    ra_train_settings_defaults(&f.settings);
    f.settings.shuffle = false;
    f.batch = f.settings.batch_size;
    f.K = golden_rows(f.init, "dictionary.W");
    f.d = golden_cols(f.init, "dictionary.C");
    f.batch_norm = strstr(cases[run % CASES], "mlp_bn_1") != NULL;
    return &f;
}

static void close_case(fixture *f) {
    ra_sae_free(f->sae);
    ra_data_free(f->data);
    ra_safetensors_free(f->init);
    ra_safetensors_free(f->expected);
    ra_backend_release(f->backend);
}

/* The first batch, in backend memory. */
static float *first_batch(const fixture *f, ra_buffer *block) {
    float *x = ra_malloc(f->batch * f->d, sizeof *x);
    ra_data_read(f->data, 0, f->batch, x);
    float *on_x = device_put(block, f->backend, x, f->batch * f->d);
    ra_free(x);
    return on_x;
}

static void dense(const ra_codes *codes, const fixture *f, const char *name, double tolerance) {
    float *z = ra_malloc(codes->rows * f->K, sizeof *z);
    ra_codes_to_dense(codes, z);
    golden_close(z, f->expected, name, tolerance);
    ra_free(z);
}

START_TEST(test_first_pass_and_gradients) {
    fixture *f = open_case(_i);
    ra_buffer block = {0};
    float *x = first_batch(f, &block);
    double value;
    ra_sae_pass pass = {0};
    ra_loss_gradients g = {0};
    pass.all_atoms = ra_loss_needs_all_atoms((ra_loss)f->settings.loss);
    ra_ok(ra_sae_forward(f->sae, x, f->batch, &pass, &err));
    golden_close_on(f->backend, pass.pre, f->expected, "first.pre_codes", 1e-5);
    dense(&pass.codes, f, "first.codes", 1e-5);
    golden_close_on(f->backend, pass.x_hat, f->expected, "first.x_hat", 1e-5);
    ra_loss_batch batch = {.backend = f->backend,
                           .rows = f->batch,
                           .dimensions = f->d,
                           .concepts = f->K,
                           .x = x,
                           .x_hat = pass.x_hat,
                           .pre = pass.pre,
                           .codes = &pass.codes,
                           .D = pass.D,
                           .penalty = f->settings.penalty};
    ra_ok(ra_loss_evaluate((ra_loss)f->settings.loss, &batch, &value, &g, &err));
    ra_sae_gradients gradients = ra_loss_sae_gradients(&g);
    ra_ok(ra_sae_backward(f->sae, x, &pass, &gradients, &err));
    size_t count;
    const ra_parameter *p = ra_sae_parameters(f->sae, &count);
    for (size_t i = 0; i < count; i++) {
        char name[128];
        snprintf(name, sizeof name, "first.grad.%s", p[i].name);
        if (!p[i].gradient) continue;
        float *gradient = ra_malloc(ra_parameter_size(&p[i]), sizeof *gradient);
        ra_ok(ra_sae_gradient(f->sae, &pass, i, gradient, &err));
        /* before a BatchNorm the bias has no gradient; overcomplete's is rounding noise */
        if (f->batch_norm && strcmp(p[i].name, "encoder.final_block.0.bias") == 0)
            for (size_t k = 0; k < f->K; k++) ck_assert_float_eq(gradient[k], 0);
        else
            golden_close(gradient, f->expected, name, 1e-5);
        ra_free(gradient);
    }
    ra_sae_pass_release(&pass);
    ra_loss_gradients_release(&g);
    ra_buffer_release(&block);
    close_case(f);
}
END_TEST

static bool note(void *context, size_t which, const ra_train_progress *progress) {
    fixture *f = context;
    ck_assert_uint_eq(which, 0);
    ck_assert_uint_eq(progress->step, ++f->step);
    f->losses[progress->step - 1] = progress->loss;
    return true;
}

/* [K], the caller's to free */
static float *parameter(const fixture *f, const char *name) {
    size_t count;
    const ra_parameter *p = ra_sae_parameters(f->sae, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(p[i].name, name) == 0) return device_numbers(f->backend, p[i].value, f->K);
    ck_abort_msg("no parameter %s", name);
    return NULL;
}

/* overcomplete's bias moves by rounding noise alone, and its running mean follows with a delay; ours stays,
 * because its gradient is zero. The difference of mean and bias must agree. */
static void assert_mean_less_bias(const fixture *f) {
    const float *mean = golden_values(f->expected, "final.encoder.final_block.1.running_mean", NULL);
    const float *bias = golden_values(f->expected, "final.encoder.final_block.0.bias", NULL);
    float *our_mean = parameter(f, "encoder.final_block.1.running_mean");
    float *our_bias = parameter(f, "encoder.final_block.0.bias");
    float a[512], b[512];
    for (size_t k = 0; k < f->K; k++) {
        a[k] = our_mean[k] - our_bias[k];
        b[k] = mean[k] - bias[k];
    }
    assert_close(a, b, f->K, 2e-3);
    ra_free(our_mean);
    ra_free(our_bias);
}

START_TEST(test_whole_runs) {
    fixture *f = open_case(_i);
    ra_ok(ra_train(f->sae, f->data, &f->settings, note, f, &err));
    size_t steps, count;
    const float *losses = golden_values(f->expected, "loss_per_step", &steps);
    ck_assert_uint_eq(f->step, steps);
    for (size_t i = 0; i < steps; i++)
        ck_assert_msg(fabs(f->losses[i] - (double)losses[i]) <= 2e-5 * fabs((double)losses[i]),
                      "step %zu: loss %.9g, expected %.9g", i + 1, f->losses[i], (double)losses[i]);
    const ra_parameter *p = ra_sae_parameters(f->sae, &count);
    for (size_t i = 0; i < count; i++) {
        char name[128];
        snprintf(name, sizeof name, "final.%s", p[i].name);
        bool noise = f->batch_norm && (strcmp(p[i].name, "encoder.final_block.0.bias") == 0 ||
                                       strcmp(p[i].name, "encoder.final_block.1.running_mean") == 0);
        if (!noise) golden_close_on(f->backend, p[i].value, f->expected, name, 2e-5);
    }
    if (f->batch_norm) assert_mean_less_bias(f);
    if (ra_safetensors_find(f->expected, "final.running_threshold"))
        ck_assert_double_eq_tol(ra_sae_get_settings(f->sae)->running_threshold,
                                (double)golden_scalar(f->expected, "final.running_threshold"), 1e-4);
    close_case(f);
}
END_TEST

START_TEST(test_evaluation_of_the_final_parameters) {
    fixture *f = open_case(_i);
    ra_buffer block = {0};
    ra_sae_pass pass = {0};
    const float *D;
    ra_ok(ra_train(f->sae, f->data, &f->settings, NULL, NULL, &err));
    ra_ok(ra_sae_set_training(f->sae, false, &err));
    ra_ok(ra_sae_forward(f->sae, first_batch(f, &block), f->batch, &pass, &err));
    /* after BatchNorm, the bias that moved shows; tests of ra_model evaluate overcomplete's own parameters */
    double tolerance = f->batch_norm ? 5e-3 : 1e-4;
    dense(&pass.codes, f, "eval.codes", tolerance);
    golden_close_on(f->backend, pass.x_hat, f->expected, "eval.x_hat", tolerance);
    ra_ok(ra_dictionary_get(ra_sae_dictionary(f->sae), &D, &err));
    golden_close_on(f->backend, D, f->expected, "fused", 2e-5);
    ra_sae_pass_release(&pass);
    ra_buffer_release(&block);
    close_case(f);
}
END_TEST

TEST_CASES_LOOP(golden_training, 60, RUNS, test_first_pass_and_gradients, test_whole_runs,
                test_evaluation_of_the_final_parameters)
