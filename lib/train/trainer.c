/* One step of training: forward, loss, backward, clipping, Adam (the same numbers as overcomplete 0.3.0,
 * sae/train.py). The dictionary is computed once per step; the loss reads the same D. */
#include "train/batches.h"
#include "train/fit.h"
#include "train/moments.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ra_trainer {
    ra_sae *sae; /* not owned */
    ra_train_settings settings;
    double penalty; /* now: with a target it moves */
    ra_schedule_options schedule;
    size_t dimensions, concepts;
    size_t steps, steps_per_epoch, done;
    ra_moments moments;
    int64_t *last_active; /* [K] the step at which a latent was last active; 0: never */
    ra_sae_pass pass;
    ra_loss_gradients gradients;
    ra_buffer x; /* the batch on a device, if it comes from the host */
};

static const char last_active_name[] = "train.last_active", step_key[] = "train.step",
                  penalty_key[] = "train.penalty";

static const double PENALTY_SPEED = 0.02, PENALTY_LEAST = 1e-12, PENALTY_MOST = 1e6;

size_t ra_train_batch_rows(const ra_train_settings *settings, size_t rows) {
    return settings->batch_size < rows ? settings->batch_size : rows;
}

size_t ra_train_steps_per_epoch(const ra_train_settings *settings, size_t rows) {
    size_t batch = ra_train_batch_rows(settings, rows);
    return (rows + batch - 1) / batch;
}

static ra_status count_steps(ra_trainer *trainer, size_t rows, ra_error *err) {
    ra_train_settings *settings = &trainer->settings;
    settings->batch_size = ra_train_batch_rows(settings, rows);
    trainer->steps_per_epoch = ra_train_steps_per_epoch(settings, rows);
    trainer->steps = settings->steps;
    if (!ra_setting_known(settings, RA_TRAIN_STEPS) &&
        __builtin_mul_overflow(settings->epochs, trainer->steps_per_epoch, &trainer->steps))
        RA_FAIL(err, RA_ERR_ARGUMENT, "%zu epochs of %zu steps are too many", settings->epochs,
                trainer->steps_per_epoch);
    trainer->schedule = (ra_schedule_options){.schedule = (ra_schedule)settings->schedule,
                                              .base = settings->lr,
                                              .final = settings->lr_final,
                                              .total = trainer->steps,
                                              .warmup = settings->warmup};
    if (settings->warmup > trainer->steps)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "a warm-up of %zu steps is longer than the run of %zu; take a shorter --warmup",
                settings->warmup, trainer->steps);
    return RA_OK;
}

/* What codes take that stay on a device, with the gradient of each. Their number is known where k is; where it is not,
 * it is what a selection by threshold begins with. */
static double bytes_of_codes(const ra_trainer *trainer) {
    const ra_sae_settings *settings = ra_sae_get_settings(trainer->sae);
    const ra_backend *backend = ra_sae_backend(trainer->sae);
    size_t K = trainer->concepts, B = trainer->settings.batch_size, entries = B * settings->top_k;
    if (ra_backend_host_memory(backend) || settings->sae == RA_SAE_MP || !trainer->pass.keeps_codes) return 0;
    if (settings->sae == RA_SAE_BATCHTOPK) entries += entries / 2; /* room grows by half */
    size_t by_number = ra_backend_codes_bytes(backend, B, K, entries) + entries * sizeof(float),
           by_share = ra_backend_codes_bytes(backend, B, K, 0);
    return (double)(settings->sae == RA_SAE_TOPK                                ? by_number
                    : settings->sae == RA_SAE_BATCHTOPK && by_number > by_share ? by_number
                                                                                : by_share);
}

/* Of the largest product in bf16, at most: one of matrices of a batch, of the atoms and of the parameters. */
static double bytes_of_factors(const ra_trainer *trainer) {
    size_t count, K = trainer->concepts, d = trainer->dimensions, B = trainer->settings.batch_size;
    const ra_parameter *parameters = ra_sae_parameters(trainer->sae, &count);
    double numbers = (double)B * (double)(K + d) + (double)K * (double)d;
    if (trainer->settings.precision != RA_PRECISION_BF16) return 0;
    for (size_t i = 0; i < count; i++) /* a dense W and its points, and a batch in terms of them */
        if (parameters[i].rank == 2 && parameters[i].dtype == RA_F32)
            numbers += (double)ra_parameter_size(&parameters[i]) + (double)B * (double)parameters[i].shape[1];
    return numbers * sizeof(uint16_t);
}

/* The backend memory of training, without the autoencoder itself. A step needs the batch, its reconstruction
 * and the gradient of that; the pre-codes, their gradient and as much scratch memory; the codes. Some losses need as
 * much again for all codes, and the atoms. */
static double bytes_to_train(const ra_trainer *trainer) {
    size_t count, K = trainer->concepts, d = trainer->dimensions, B = trainer->settings.batch_size;
    const ra_parameter *parameters = ra_sae_parameters(trainer->sae, &count);
    double numbers = 3 * (double)B * (double)(K + d);
    if (!ra_backend_host_memory(ra_sae_backend(trainer->sae)))
        numbers += (double)B * (double)d; /* the next batch (batches.c) */
    if (trainer->pass.all_atoms) numbers += 3 * (double)B * (double)K + (double)K * (double)d;
    for (size_t i = 0; i < count; i++)
        if (parameters[i].gradient) numbers += 2 * (double)ra_parameter_size(&parameters[i]);
    return numbers * sizeof(float) + bytes_of_codes(trainer) + bytes_of_factors(trainer);
}

static ra_status check_memory(const ra_trainer *trainer, ra_error *err) {
    ra_backend *backend = ra_sae_backend(trainer->sae);
    size_t available, total;
    double needed = bytes_to_train(trainer);
    RA_TRY(ra_backend_memory(backend, &available, &total, err));
    if (needed <= (double)available) return RA_OK;
    RA_FAIL(err, RA_ERR_MEMORY,
            "training needs %.0f MiB more on the device %s, but only %.0f of its %.0f MiB are free; try a "
            "smaller "
            "--batch-size (now %zu)",
            needed / 0x1p20, ra_backend_name(backend), (double)available / 0x1p20, (double)total / 0x1p20,
            trainer->settings.batch_size);
}

static ra_status make(ra_trainer *trainer, size_t rows, ra_error *err) {
    RA_TRY(ra_train_settings_check(&trainer->settings, ra_sae_get_settings(trainer->sae), err));
    RA_TRY(ra_train_check_precision(&trainer->settings, ra_sae_backend(trainer->sae), err));
    RA_TRY(count_steps(trainer, rows, err));
    RA_TRY(check_memory(trainer, err));
    RA_TRY(ra_moments_init(&trainer->moments, trainer->sae, &trainer->settings, err));
    trainer->last_active = ra_calloc(trainer->concepts, sizeof *trainer->last_active);
    if (!trainer->last_active)
        RA_FAIL_MEMORY(err, "the latents' last steps", trainer->concepts * sizeof *trainer->last_active);
    return ra_sae_set_training(trainer->sae, true, err);
}

ra_status ra_trainer_new(ra_sae *sae, const ra_train_settings *settings, size_t rows, ra_trainer **out,
                         ra_error *err) {
    if (rows == 0) RA_FAIL(err, RA_ERR_ARGUMENT, "the data have no rows to train on");
    ra_trainer *trainer = ra_calloc(1, sizeof *trainer);
    if (!trainer) RA_FAIL_MEMORY(err, "a trainer", sizeof *trainer);
    trainer->sae = sae;
    trainer->settings = *settings;
    ra_train_settings_defaults(&trainer->settings);
    trainer->dimensions = ra_dictionary_dimensions(ra_sae_dictionary(sae));
    trainer->concepts = ra_dictionary_concepts(ra_sae_dictionary(sae));
    trainer->pass.keeps_codes = !ra_loss_reads_codes((ra_loss)trainer->settings.loss);
    trainer->pass.all_atoms = ra_loss_needs_all_atoms((ra_loss)trainer->settings.loss);
    trainer->penalty = trainer->settings.penalty;
    ra_sae_set_threshold_rate(sae, trainer->settings.threshold_rate);
    ra_status status = make(trainer, rows, err);
    if (status != RA_OK) {
        ra_trainer_free(trainer);
        return status;
    }
    *out = trainer;
    return RA_OK;
}

void ra_trainer_free(ra_trainer *trainer) {
    if (!trainer) return;
    ra_moments_release(&trainer->moments);
    ra_free(trainer->last_active);
    ra_buffer_release(&trainer->x);
    ra_sae_pass_release(&trainer->pass);
    ra_loss_gradients_release(&trainer->gradients);
    ra_free(trainer);
}

ra_sae *ra_trainer_sae(const ra_trainer *trainer) {
    return trainer->sae;
}

const ra_train_settings *ra_trainer_settings(const ra_trainer *trainer) {
    return &trainer->settings;
}

size_t ra_trainer_done(const ra_trainer *trainer) {
    return trainer->done;
}

size_t ra_trainer_steps(const ra_trainer *trainer) {
    return trainer->steps;
}

/* ---- numbers that are not finite ----------------------------------------------------------------------- */

/* The square of a float32 cannot overflow a float64, so the norm is finite if all values are. */
static ra_status norm_of(const ra_trainer *trainer, const float *values, size_t n, double *norm,
                         ra_error *err) {
    double sum;
    ra_backend *backend = ra_sae_backend(trainer->sae);
    RA_TRY(ra_backend_dot(backend, values, values, n, &sum, err));
    *norm = sqrt(sum);
    return RA_OK;
}

/* The norms of the parameters show whether a step was too large, or the data. */
static ra_status fail_not_finite(const ra_trainer *trainer, const char *what, double value, double rate,
                                 ra_error *err) {
    char norms[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < trainer->moments.count && used + 1 < sizeof norms; i++) {
        const ra_parameter *p = trainer->moments.slots[i].parameter;
        double norm;
        RA_TRY(norm_of(trainer, p->value, ra_parameter_size(p), &norm, err));
        int wrote = snprintf(norms + used, sizeof norms - used, "%s%s %.4g", i ? ", " : "", p->name, norm);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    RA_FAIL(
        err, RA_ERR_NOT_FINITE,
        "the %s became %g at step %zu with learning rate %g (norms: %s); try a smaller --lr, a --warmup, or "
        "activations scaled to about unit size",
        what, value, trainer->done + 1, rate, norms);
}

/* ---- one step ------------------------------------------------------------------------------------------ */

/* Sums over a batch, which the members of a group add up. */
typedef struct batch_sums {
    double loss, residual, entries;
} batch_sums;

static ra_status sum_batch(const ra_trainer *trainer, const ra_loss_batch *batch, batch_sums *sums,
                           ra_error *err) {
    const ra_sae_pass *pass = &trainer->pass;
    *sums = (batch_sums){.loss = ra_loss_value(batch, &trainer->gradients),
                         .residual = trainer->gradients.residual,
                         .entries = (double)ra_codes_entries(&pass->codes)};
    return ra_group_sum_f64(ra_sae_group(trainer->sae), &sums->loss, sizeof *sums / sizeof(double), err);
}

/* Notes the active latents; returns the share of the latents that were not active for an epoch. */
static double dead_share(ra_trainer *trainer, size_t step) {
    const ra_sae_pass *pass = &trainer->pass;
    size_t dead = 0;
    for (size_t k = 0; k < trainer->concepts; k++) {
        if (pass->active[k]) trainer->last_active[k] = (int64_t)step;
        int64_t last = trainer->last_active[k];
        dead += last == 0 || step - (size_t)last >= trainer->steps_per_epoch;
    }
    return (double)dead / (double)trainer->concepts;
}

static ra_loss_batch loss_batch(const ra_trainer *trainer, const float *x) {
    const ra_sae_pass *pass = &trainer->pass;
    return (ra_loss_batch){.backend = ra_sae_backend(trainer->sae),
                           .group = ra_sae_group(trainer->sae),
                           .rows = pass->rows,
                           .dimensions = trainer->dimensions,
                           .concepts = trainer->concepts,
                           .total_rows = pass->total_rows,
                           .x = x,
                           .x_hat = pass->x_hat,
                           .pre = pass->pre,
                           .codes = &pass->codes,
                           .D = pass->D,
                           .penalty = trainer->penalty};
}

/* The penalty follows the target: up while more latents are active, down while fewer are, by at most PENALTY_SPEED a step.
 * A penalty of l0 or l1 that is too small never ends, so nothing else bounds it. */
static void follow_target(ra_trainer *trainer, double l0) {
    double target = trainer->settings.target_l0;
    if (target <= 0) return;
    double gap = log((l0 + 1e-3) / target);
    trainer->penalty *= exp(PENALTY_SPEED * fmin(fmax(gap, -1), 1));
    trainer->penalty = fmin(fmax(trainer->penalty, PENALTY_LEAST), PENALTY_MOST);
}

/* *x <- the batch in backend memory. A copy to a device may still be in progress: the operations of the step
 * wait for it, and the host's batch stays until the step ends. */
static ra_status take_batch(ra_trainer *trainer, const float *host, const float *device, size_t rows,
                            const float **x, ra_error *err) {
    ra_backend *backend = ra_sae_backend(trainer->sae);
    size_t n = rows * trainer->dimensions;
    *x = device ? device : host;
    if (device || ra_backend_host_memory(backend)) return RA_OK;
    RA_TRY(ra_buffer_reserve(&trainer->x, backend, n, err));
    *x = trainer->x.data;
    return ra_backend_upload(backend, trainer->x.data, host, n * sizeof *host, err);
}

/* A device computes the whole step while the host measures the batch; one wait brings the loss and the norm of the
 * gradient. */
static ra_status run_step(ra_trainer *trainer, const float *host, const float *device, size_t rows,
                          ra_train_progress *progress, ra_error *err) {
    size_t step = trainer->done + 1;
    double rate = ra_schedule_rate(&trainer->schedule, step);
    ra_sae_pass *pass = &trainer->pass;
    batch_sums sums;
    ra_spread spread;
    const float *x;
    RA_TRY(take_batch(trainer, host, device, rows, &x, err));
    RA_TRY(ra_sae_forward(trainer->sae, x, rows, pass, err));
    const ra_loss_batch batch = loss_batch(trainer, x);
    RA_TRY(ra_loss_start((ra_loss)trainer->settings.loss, &batch, &trainer->gradients, err));
    const ra_sae_gradients gradients = ra_loss_sae_gradients(&trainer->gradients);
    RA_TRY(ra_sae_backward(trainer->sae, x, pass, &gradients, err));
    RA_TRY(ra_moments_ask_norm(&trainer->moments, pass, err));
    RA_TRY(ra_spread_measure(ra_sae_group(trainer->sae), host, rows, trainer->dimensions, pass->total_rows,
                             &spread, err));
    RA_TRY(ra_backend_synchronize(ra_sae_backend(trainer->sae), err));
    RA_TRY(sum_batch(trainer, &batch, &sums, err));
    if (!isfinite(sums.loss)) return fail_not_finite(trainer, "loss", sums.loss, rate, err);
    double norm = ra_moments_gradient_norm(&trainer->moments);
    /* in Adam's moments a NaN would stay, and the loss of sparse codes may not show it */
    if (!isfinite(norm)) return fail_not_finite(trainer, "gradient", norm, rate, err);
    RA_TRY(ra_moments_step(&trainer->moments, pass, step, rate, norm, err));
    trainer->done = step;
    ra_fit fit = ra_fit_of(spread, sums.residual);
    follow_target(trainer, sums.entries / (double)pass->total_rows);
    *progress = (ra_train_progress){.step = step,
                                    .steps = trainer->steps,
                                    .epoch = (step - 1) / trainer->steps_per_epoch + 1,
                                    .epochs = (trainer->steps + trainer->steps_per_epoch - 1) /
                                              trainer->steps_per_epoch,
                                    .loss = sums.loss,
                                    .r2_per_dimension = fit.r2_per_dimension,
                                    .r2 = fit.r2,
                                    .l0 = sums.entries / (double)pass->total_rows,
                                    .dead = dead_share(trainer, step),
                                    .lr = rate,
                                    .grad_norm = norm,
                                    .rows = pass->total_rows};
    return RA_OK;
}

/* What the products of a step take. The projection is float32 in any case: it chooses points by their scores, and a
 * checkpoint runs it, too. */
static ra_status begin_rounding(ra_trainer *trainer, ra_error *err) {
    RA_TRY(ra_dictionary_project(ra_sae_dictionary(trainer->sae), err));
    return ra_backend_products(ra_sae_backend(trainer->sae), (ra_precision)trainer->settings.precision, err);
}

/* After a failed step, no copy of the batch is still in progress. */
ra_status ra_trainer_step_at(ra_trainer *trainer, const float *x, const float *device, size_t rows,
                             ra_train_progress *progress, ra_error *err) {
    ra_backend *backend = ra_sae_backend(trainer->sae);
    bool rounds = trainer->settings.precision != RA_PRECISION_FLOAT32;
    ra_status status = rounds ? begin_rounding(trainer, err) : RA_OK;
    if (status == RA_OK) status = run_step(trainer, x, device, rows, progress, err);
    if (rounds) (void)ra_backend_products(backend, RA_PRECISION_FLOAT32, NULL);
    if (status != RA_OK) (void)ra_backend_synchronize(backend, NULL);
    return status;
}

ra_status ra_trainer_step(ra_trainer *trainer, const float *x, size_t rows, ra_train_progress *progress,
                          ra_error *err) {
    return ra_trainer_step_at(trainer, x, NULL, rows, progress, err);
}

ra_status ra_trainer_check(ra_trainer *trainer, ra_error *err) {
    size_t count;
    const float *D;
    const ra_parameter *parameters = ra_sae_parameters(trainer->sae, &count);
    RA_TRY(ra_dictionary_get(ra_sae_dictionary(trainer->sae), &D, err));
    const char *bad = "the dictionary";
    double norm;
    RA_TRY(norm_of(trainer, D, trainer->concepts * trainer->dimensions, &norm, err));
    for (size_t i = 0; i < count && isfinite(norm); i++) {
        if (parameters[i].dtype != RA_F32) continue;
        bad = parameters[i].name;
        RA_TRY(norm_of(trainer, parameters[i].value, ra_parameter_size(&parameters[i]), &norm, err));
    }
    if (isfinite(norm)) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE,
            "%s holds a NaN or an infinity after step %zu with learning rate %g; try a smaller --lr", bad,
            trainer->done, ra_schedule_rate(&trainer->schedule, trainer->done));
}

/* ---- files --------------------------------------------------------------------------------------------- */

ra_status ra_trainer_store(ra_trainer *trainer, bool state, ra_safetensors_writer *writer, ra_error *err) {
    RA_TRY(ra_sae_store(trainer->sae, writer, err));
    if (!state) return RA_OK;
    const ra_tensor last_active = ra_tensor_1d(RA_I64, trainer->last_active, trainer->concepts);
    char penalty[32];
    RA_TRY(ra_safetensors_writer_count(writer, step_key, trainer->done, err));
    RA_TRY(ra_safetensors_writer_tensor(writer, last_active_name, &last_active, err));
    if (trainer->settings.target_l0 > 0) {
        snprintf(penalty, sizeof penalty, "%.17g", trainer->penalty);
        RA_TRY(ra_safetensors_writer_metadata(writer, penalty_key, penalty, err));
    }
    return ra_moments_store(&trainer->moments, writer, err);
}

static ra_status read_step(const ra_safetensors *file, size_t *step, ra_error *err) {
    const char *text = ra_safetensors_metadata(file, step_key);
    if (!text)
        RA_FAIL(err, RA_ERR_STATE,
                "%s holds no state of training to continue from; --init starts a new run from it",
                ra_safetensors_path(file));
    if (!ra_count_parse(text, step) || *step > INT64_MAX)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: %s is \"%s\"; expected a number of steps", ra_safetensors_path(file),
                step_key, text);
    return RA_OK;
}

/* With a target the run goes on from the penalty that it had come to. */
static ra_status read_penalty(ra_trainer *trainer, const ra_safetensors *file, ra_error *err) {
    const char *text = ra_safetensors_metadata(file, penalty_key);
    char *end;
    if (trainer->settings.target_l0 <= 0 || !text) return RA_OK;
    double penalty = strtod(text, &end);
    if (end == text || *end || !(penalty > 0) || !isfinite(penalty))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: %s is \"%s\"; expected a number above 0", ra_safetensors_path(file),
                penalty_key, text);
    trainer->penalty = penalty;
    return RA_OK;
}

ra_status ra_trainer_restore(ra_trainer *trainer, const ra_safetensors *file, ra_error *err) {
    size_t step = 0, K = trainer->concepts;
    char shape[128];
    ra_tensor last_active;
    RA_TRY(read_step(file, &step, err));
    RA_TRY(ra_safetensors_get(file, last_active_name, &last_active, err));
    if (last_active.dtype != RA_I64 || last_active.rank != 1 || last_active.shape[0] != K)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s is %s %s; expected I64 [%zu]", ra_safetensors_path(file),
                last_active_name, ra_dtype_name(last_active.dtype),
                ra_shape_text(last_active.rank, last_active.shape, shape, sizeof shape), K);
    memcpy(trainer->last_active, last_active.data, K * sizeof *trainer->last_active);
    for (size_t k = 0; k < K; k++)
        if (trainer->last_active[k] < 0 || (uint64_t)trainer->last_active[k] > step)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %lld for latent %zu; expected a step from 0 to %zu",
                    ra_safetensors_path(file), last_active_name, (long long)trainer->last_active[k], k, step);
    RA_TRY(read_penalty(trainer, file, err));
    RA_TRY(ra_moments_restore(&trainer->moments, file, err));
    trainer->done = step;
    ra_dictionary_set_projected(ra_sae_dictionary(trainer->sae)); /* a file holds projected parameters */
    return RA_OK;
}
