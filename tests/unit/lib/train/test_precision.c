/* The setting `precision` (lib/train/{settings,trainer}.c, lib/backend/cuda/narrow.cu): on the emulated device, a step
 * whose products take TF32 or bf16 has nearly the gradients of one in float32, and keeps float32 parameters. */
#include "devices.h"
#include "emulated.h"
#include "golden.h"
#include "ra_memory.h"
#include "ra_train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The most that a gradient is off, in relative errors of a rounded factor. Where the k largest are taken, a latent may
 * take another one's place, which moves a gradient of so few rows by more. */
static const struct {
    const char *name;
    double most;
} runs[] = {{"relu-mse_l1", 4},
            {"jumprelu-mse_l1", 4},
            {"topk-mse-mlp_ln_1", 4},
            {"topk-mse", 8},
            {"topk-mse-tied", 64}};
enum { RUNS = sizeof runs / sizeof *runs };

/* The relative error of a rounded factor. A gradient is off by some share of it if anything was rounded. */
static const struct {
    ra_precision precision;
    double unit;
} roundings[] = {{RA_PRECISION_TF32, 0x1p-11}, {RA_PRECISION_BF16, 0x1p-8}};

typedef struct opened {
    ra_backend *backend;
    ra_sae *sae;
    ra_train_settings settings;
    ra_safetensors *init;
    float *x;
    size_t rows;
} opened;

static opened open_run(const char *name) {
    opened o = {.init = golden_open(name, ".init.safetensors")};
    ra_data *data = NULL;
    char file[64];
    snprintf(file, sizeof file, "%s.x.npy", name);
    const char *path = test_golden(file);
    ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.threads = 1}, &o.backend, &err));
    ra_ok(ra_data_open(&path, 1, NULL, &data, &err));
    ra_ok(ra_sae_open(ra_safetensors_path(o.init), NULL, o.backend, &o.sae, &err));
    ra_ok(ra_train_settings_read(o.init, &o.settings, &err));
    ra_train_settings_defaults(&o.settings);
    ck_assert_int_eq(o.settings.precision, RA_PRECISION_FLOAT32);
    o.rows = o.settings.batch_size;
    o.x = ra_malloc(o.rows * ra_data_dimensions(data), sizeof *o.x);
    ra_data_read(data, 0, o.rows, o.x);
    ra_data_free(data);
    return o;
}

static void close_run(opened *o) {
    ra_free(o->x);
    ra_sae_free(o->sae);
    ra_safetensors_free(o->init);
    ra_backend_release(o->backend);
}

/* All gradients one behind the other, the caller's to free; *loss <- that of the batch. */
static float *gradients_in(const char *name, ra_precision precision, size_t *n, double *loss) {
    opened o = open_run(name);
    ra_sae_pass pass = {.all_atoms = ra_loss_needs_all_atoms((ra_loss)o.settings.loss)};
    ra_loss_gradients g = {0};
    ra_buffer block = {0};
    size_t count, d = ra_dictionary_dimensions(ra_sae_dictionary(o.sae));
    float *x = device_put(&block, o.backend, o.x, o.rows * d);
    ra_ok(ra_backend_products(o.backend, precision, &err));
    ra_ok(ra_sae_forward(o.sae, x, o.rows, &pass, &err));
    const ra_loss_batch batch = {.backend = o.backend,
                                 .rows = o.rows,
                                 .dimensions = d,
                                 .concepts = ra_dictionary_concepts(ra_sae_dictionary(o.sae)),
                                 .x = x,
                                 .x_hat = pass.x_hat,
                                 .pre = pass.pre,
                                 .codes = &pass.codes,
                                 .D = pass.D,
                                 .penalty = o.settings.penalty};
    ra_ok(ra_loss_evaluate((ra_loss)o.settings.loss, &batch, loss, &g, &err));
    ra_sae_gradients gradients = ra_loss_sae_gradients(&g);
    ra_ok(ra_sae_backward(o.sae, x, &pass, &gradients, &err));
    const ra_parameter *p = ra_sae_parameters(o.sae, &count);
    *n = 0;
    for (size_t i = 0; i < count; i++) *n += p[i].gradient ? ra_parameter_size(&p[i]) : 0;
    float *all = ra_calloc(*n, sizeof *all), *to = all;
    for (size_t i = 0; i < count; i++) {
        if (!p[i].gradient) continue;
        ra_ok(ra_sae_gradient(o.sae, &pass, i, to, &err));
        to += ra_parameter_size(&p[i]);
    }
    ra_sae_pass_release(&pass);
    ra_loss_gradients_release(&g);
    ra_buffer_release(&block);
    close_run(&o);
    return all;
}

START_TEST(test_gradients_are_nearly_those_of_float32) {
    size_t n, same;
    double loss, exact_loss;
    float *exact = gradients_in(runs[_i].name, RA_PRECISION_FLOAT32, &n, &exact_loss);
    for (size_t r = 0; r < sizeof roundings / sizeof *roundings; r++) {
        float *rounded = gradients_in(runs[_i].name, roundings[r].precision, &same, &loss);
        double error = 0, size = 0, unit = roundings[r].unit;
        ck_assert_uint_eq(same, n);
        for (size_t i = 0; i < n; i++) {
            error += pow((double)rounded[i] - (double)exact[i], 2);
            size += pow((double)exact[i], 2);
        }
        error = sqrt(error / size);
        ck_assert_msg(error > unit / 64 && error < runs[_i].most * unit,
                      "%s: the gradient is off by %g units", runs[_i].name, error / unit);
        ck_assert_msg(fabs(loss - exact_loss) < runs[_i].most * unit * fabs(exact_loss),
                      "%s: loss %g, expected %g", runs[_i].name, loss, exact_loss);
        ra_free(rounded);
    }
    ra_free(exact);
}
END_TEST

/* Steps in bf16: the losses are those of bf16 and not of float32, the parameters have bits that bf16 lacks, and other
 * products of the backend are as before. */
START_TEST(test_steps_round_and_parameters_do_not) {
    static const float fine = 1 + 0x1p-12f;
    double losses[RA_PRECISION_COUNT];
    for (int precision = 0; precision < RA_PRECISION_COUNT; precision++) {
        opened o = open_run("topk-mse");
        ra_trainer *trainer = NULL;
        ra_train_progress progress;
        size_t count, bits = 0;
        o.settings.precision = precision;
        ra_ok(ra_trainer_new(o.sae, &o.settings, 100 * o.rows, &trainer, &err));
        for (int step = 0; step < 3; step++) ra_ok(ra_trainer_step(trainer, o.x, o.rows, &progress, &err));
        losses[precision] = progress.loss;
        const ra_parameter *p = ra_sae_parameters(o.sae, &count);
        float *values = device_numbers(o.backend, p[0].value, ra_parameter_size(&p[0]));
        for (size_t i = 0; i < ra_parameter_size(&p[0]); i++) {
            uint32_t word;
            memcpy(&word, &values[i], sizeof word);
            bits += (word & 0xffff) != 0;
        }
        ck_assert_uint_gt(bits, 0);
        ra_free(values);
        ra_buffer block = {0};
        float *on_device = device_put(&block, o.backend, (const float[]){fine, 1, 0}, 3), result;
        ra_ok(ra_backend_gemm(o.backend, false, false, 1, 1, 1, 1, on_device, 1, on_device + 1, 1, 0,
                              on_device + 2, 1, &err));
        ra_ok(ra_backend_get(o.backend, &result, on_device + 2, sizeof result, &err));
        ck_assert(result == fine);
        ra_buffer_release(&block);
        ra_trainer_free(trainer);
        close_run(&o);
    }
    for (int precision = RA_PRECISION_TF32; precision < RA_PRECISION_COUNT; precision++) {
        double off = fabs(losses[precision] / losses[RA_PRECISION_FLOAT32] - 1);
        ck_assert_msg(off > 0 && off < 4 * roundings[precision - 1].unit,
                      "precision %d: the loss is off by %g", precision, off);
    }
    ck_assert(losses[RA_PRECISION_TF32] != losses[RA_PRECISION_BF16]);
}
END_TEST

/* The factors of a product in bf16 are counted before anything is allocated. */
START_TEST(test_memory_of_the_factors_is_counted) {
    emulated device = emulated_open();
    opened o = open_run("topk-mse");
    size_t available, total, wanted[2] = {0};
    ra_ok(ra_backend_memory(o.backend, &available, &total, &err));
    for (int rounds = 0; rounds < 2; rounds++)
        for (size_t free_bytes = 64;; free_bytes += 64) {
            ra_trainer *trainer = NULL;
            ra_error reason = {0};
            o.settings.precision = rounds ? RA_PRECISION_BF16 : RA_PRECISION_FLOAT32;
            device.set_memory(total - available + free_bytes);
            ra_status status = ra_trainer_new(o.sae, &o.settings, 100 * o.rows, &trainer, &reason);
            ra_trainer_free(trainer);
            if (status != RA_ERR_MEMORY || !strstr(reason.message, "training needs")) {
                wanted[rounds] = free_bytes;
                break;
            }
        }
    ck_assert_uint_gt(wanted[1], wanted[0]);
    device.set_memory(total);
    close_run(&o);
    emulated_close(&device);
}
END_TEST

START_TEST(test_the_cpu_is_refused) {
    static const struct {
        ra_precision precision;
        const char *message;
    } cases[] = {
        {RA_PRECISION_TF32,
         "--precision tf32 needs a GPU that multiplies such numbers (--device cuda), but the CPU "
         "computes in float32 only; take --precision float32"},
        {RA_PRECISION_BF16,
         "--precision bf16 needs a GPU that multiplies such numbers (--device cuda), but the CPU "
         "computes in float32 only; take --precision float32"},
    };
    for (size_t i = 0; i < 2; i++) {
        ra_backend *backend = NULL;
        ra_sae *sae = NULL;
        ra_trainer *trainer = NULL;
        ra_train_settings settings;
        ra_safetensors *init = golden_open("topk-mse", ".init.safetensors");
        ra_ok(ra_backend_open(i ? "reference" : "cpu", NULL, &backend, &err));
        ra_ok(ra_sae_open(ra_safetensors_path(init), NULL, backend, &sae, &err));
        ra_ok(ra_train_settings_read(init, &settings, &err));
        ra_train_settings_defaults(&settings);
        settings.precision = cases[i].precision;
        ra_fails(ra_trainer_new(sae, &settings, 100, &trainer, &err), RA_ERR_DEVICE, cases[i].message);
        ra_sae_free(sae);
        ra_safetensors_free(init);
        ra_backend_release(backend);
    }
}
END_TEST

TEST_CASES_LOOP(train_precision, 60, RUNS, test_gradients_are_nearly_those_of_float32)
TEST_CASES(train_precision_steps, test_steps_round_and_parameters_do_not,
           test_memory_of_the_factors_is_counted, test_the_cpu_is_refused)
