/* The loop: gather a batch, forward, loss, backward, clip, Adam (overcomplete 0.3.0, sae/train.py).
 *
 * The dictionary is composed once a step; the loss reads the same D. Everything that depends on chance is the
 * order of the rows (order.h). */
#include "ra_train.h"
#include "base/error.h"
#include "train/order.h"

#include <math.h>
#include <string.h>

/* Adam's moments of one parameter. */
typedef struct moments {
    const ra_parameter *parameter;
    float *first, *second;
} moments;

typedef struct trainer {
    ra_sae *sae;
    ra_backend *backend;
    const ra_data *data;
    const ra_train_settings *settings;
    size_t rows, dimensions, concepts; /* rows of the data */
    size_t batch, steps, steps_per_epoch;
    moments *moments;
    size_t trained;
    ra_order order;
    uint64_t epoch;        /* 0, 1, ... */
    size_t position;       /* next row in its order */
    size_t *last_active;   /* [K] step at which a latent was active last; 0: never */
    float *x;              /* [batch, d] */
    uint64_t *row_numbers; /* [batch] */
    ra_sae_pass pass;
    ra_loss_gradients gradients;
} trainer;

static void release(trainer *t) {
    const ra_backend_ops *ops = ra_backend_operations(t->backend);
    void *self = ra_backend_self(t->backend);
    for (size_t i = 0; t->moments && i < t->trained; i++) {
        ops->deallocate(self, t->moments[i].first);
        ops->deallocate(self, t->moments[i].second);
    }
    ra_free(t->moments);
    ra_order_release(&t->order);
    ra_free(t->last_active);
    ra_free(t->x);
    ra_free(t->row_numbers);
    ra_sae_pass_release(&t->pass);
    ra_loss_gradients_release(&t->gradients);
}

static ra_status prepare(trainer *t, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(t->backend);
    void *self = ra_backend_self(t->backend);
    size_t count;
    const ra_parameter *parameters = ra_sae_parameters(t->sae, &count);
    if (t->dimensions != ra_data_dimensions(t->data))
        RA_FAIL(err, RA_ERR_SHAPE, "the data has %zu dimensions, but the autoencoder has %zu",
                ra_data_dimensions(t->data), t->dimensions);
    t->batch = t->settings->batch_size < t->rows ? t->settings->batch_size : t->rows;
    t->steps_per_epoch = (t->rows + t->batch - 1) / t->batch;
    bool by_steps =
        ra_setting_known(t->settings, (size_t)ra_setting_by_key(ra_train_settings_table(), "steps"));
    if (!by_steps && __builtin_mul_overflow(t->settings->epochs, t->steps_per_epoch, &t->steps))
        RA_FAIL(err, RA_ERR_ARGUMENT, "%zu epochs of %zu steps are too many", t->settings->epochs,
                t->steps_per_epoch);
    if (by_steps) t->steps = t->settings->steps;
    t->moments = ra_calloc(count, sizeof *t->moments);
    t->last_active = ra_calloc(t->concepts, sizeof *t->last_active);
    t->x = ra_malloc(t->batch * t->dimensions, sizeof *t->x);
    t->row_numbers = ra_malloc(t->batch, sizeof *t->row_numbers);
    if (!t->moments || !t->last_active || !t->x || !t->row_numbers)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a batch of %zu x %zu numbers and its bookkeeping",
                t->batch, t->dimensions);
    for (size_t i = 0; i < count; i++) {
        if (!parameters[i].gradient) continue;
        moments *m = &t->moments[t->trained++];
        m->parameter = &parameters[i];
        size_t bytes = ra_parameter_size(m->parameter) * sizeof(float);
        void *block = NULL;
        RA_TRY(ops->allocate(self, bytes, &block, err));
        m->first = block;
        RA_TRY(ops->allocate(self, bytes, &block, err));
        m->second = block;
    }
    return ra_order_init(&t->order, t->rows, t->settings->shuffle, t->settings->seed, 0, err);
}

/* x <- the next rows; returns how many. Others that will be needed are fetched while these are worked on. */
static size_t next_batch(trainer *t) {
    size_t n = t->rows - t->position < t->batch ? t->rows - t->position : t->batch;
    ra_order_rows(&t->order, t->epoch, t->position, n, t->row_numbers);
    ra_data_gather(t->data, t->row_numbers, n, t->x);
    ra_data_will_need(t->data, t->row_numbers, ra_order_ahead(&t->order, t->position, n, t->row_numbers));
    t->position += n;
    if (t->position == t->rows) {
        t->position = 0;
        t->epoch++;
    }
    return n;
}

/* ---- one step
 * -----------------------------------------------------------------------------------------------------------
 */

static ra_status gradient_norm(const trainer *t, double *norm, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(t->backend);
    double total = 0;
    for (size_t i = 0; i < t->trained; i++) {
        const ra_parameter *p = t->moments[i].parameter;
        double sum;
        RA_TRY(ops->dot(ra_backend_self(t->backend), NULL, p->gradient, p->gradient, ra_parameter_size(p),
                        &sum, err));
        total += sum;
    }
    *norm = sqrt(total);
    return RA_OK;
}

static ra_status update(trainer *t, size_t step, double rate, double *norm, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(t->backend);
    RA_TRY(gradient_norm(t, norm, err));
    if (!isfinite(
            *norm)) /* once in Adam's moments it would stay, and a sparse code may hide it from the loss */
        RA_FAIL(err, RA_ERR_NOT_FINITE,
                "the gradient became infinite or NaN at step %zu with learning rate %g; try a smaller --lr",
                step, rate);
    double clip = t->settings->clip_grad,
           scale = clip > 0 && clip / (*norm + 1e-6) < 1 ? clip / (*norm + 1e-6) : 1;
    ra_adam_step adam = {.lr = rate,
                         .beta1 = 0.9,
                         .beta2 = 0.999,
                         .epsilon = 1e-8,
                         .bias1 = 1 - pow(0.9, (double)step),
                         .bias2 = 1 - pow(0.999, (double)step),
                         .grad_scale = scale};
    for (size_t i = 0; i < t->trained; i++) {
        const moments *m = &t->moments[i];
        RA_TRY(ops->adam(ra_backend_self(t->backend), NULL, &adam, m->parameter->value,
                         m->parameter->gradient, m->first, m->second, ra_parameter_size(m->parameter), err));
    }
    ra_sae_changed(t->sae);
    return RA_OK;
}

static double r2_of(const float *x, const float *x_hat, size_t n) {
    double mean = 0, residual = 0, total = 0;
    for (size_t i = 0; i < n; i++) mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) {
        double gap = (double)x[i] - (double)x_hat[i], spread = (double)x[i] - mean;
        residual += gap * gap;
        total += spread * spread;
    }
    return 1 - residual / (total + 1e-6);
}

/* Marks the active latents; the share of those not seen for an epoch. */
static double dead_share(trainer *t, size_t step) {
    size_t dead = 0;
    for (size_t e = 0; e < ra_codes_entries(&t->pass.codes); e++)
        t->last_active[t->pass.codes.index[e]] = step;
    for (size_t k = 0; k < t->concepts; k++)
        dead += t->last_active[k] == 0 || step - t->last_active[k] >= t->steps_per_epoch;
    return (double)dead / (double)t->concepts;
}

static ra_status run_step(trainer *t, size_t step, double rate, ra_train_progress *progress, ra_error *err) {
    size_t rows = next_batch(t);
    RA_TRY(ra_sae_forward(t->sae, t->x, rows, &t->pass, err));
    ra_loss_batch batch = {.backend = t->backend,
                           .rows = rows,
                           .dimensions = t->dimensions,
                           .concepts = t->concepts,
                           .x = t->x,
                           .x_hat = t->pass.x_hat,
                           .pre = t->pass.pre,
                           .codes = &t->pass.codes,
                           .D = t->pass.D,
                           .penalty = t->settings->penalty};
    double loss, norm;
    ra_loss_gradients *g = &t->gradients;
    RA_TRY(ra_loss_evaluate((ra_loss)t->settings->loss, &batch, &loss, g, err));
    if (!isfinite(loss))
        RA_FAIL(err, RA_ERR_NOT_FINITE,
                "the loss became %g at step %zu with learning rate %g; try a smaller --lr", loss, step, rate);
    ra_sae_gradients gradients = {.x_hat = g->x_hat.data,
                                  .value = g->has_value ? g->value : NULL,
                                  .codes = g->has_codes ? g->codes.data : NULL,
                                  .pre = g->has_pre ? g->pre.data : NULL,
                                  .D = g->has_D ? g->D.data : NULL};
    RA_TRY(ra_sae_backward(t->sae, t->x, &t->pass, &gradients, err));
    RA_TRY(update(t, step, rate, &norm, err));
    *progress = (ra_train_progress){.step = step,
                                    .steps = t->steps,
                                    .epoch = (step - 1) / t->steps_per_epoch + 1,
                                    .epochs = (t->steps + t->steps_per_epoch - 1) / t->steps_per_epoch,
                                    .loss = loss,
                                    .r2 = r2_of(t->x, t->pass.x_hat, rows * t->dimensions),
                                    .l0 = (double)ra_codes_entries(&t->pass.codes) / (double)rows,
                                    .dead = dead_share(t, step),
                                    .lr = rate,
                                    .grad_norm = norm,
                                    .rows = rows};
    return RA_OK;
}

static ra_status run(trainer *t, ra_train_callback *callback, void *context, ra_error *err) {
    RA_TRY(prepare(t, err));
    ra_schedule_options schedule = {.schedule = (ra_schedule)t->settings->schedule,
                                    .base = t->settings->lr,
                                    .final = t->settings->lr_final,
                                    .total = t->steps,
                                    .warmup =
                                        t->settings->warmup < t->steps ? t->settings->warmup : t->steps};
    RA_TRY(ra_sae_set_training(t->sae, true, err));
    for (size_t step = 1; step <= t->steps; step++) {
        ra_train_progress progress;
        RA_TRY(run_step(t, step, ra_schedule_rate(&schedule, step), &progress, err));
        if (callback && !callback(context, &progress))
            RA_FAIL(err, RA_ERR_CANCELLED, "training was stopped at step %zu of %zu", step, t->steps);
    }
    const float *D; /* projects the parameters of the last step */
    return ra_dictionary_get(ra_sae_dictionary(t->sae), &D, err);
}

ra_status ra_train(ra_sae *sae, const ra_data *data, const ra_train_settings *settings,
                   ra_train_callback *callback, void *context, ra_error *err) {
    ra_train_settings complete = *settings;
    ra_train_settings_defaults(&complete);
    trainer t = {.sae = sae,
                 .backend = ra_sae_backend(sae),
                 .data = data,
                 .settings = &complete,
                 .rows = ra_data_rows(data),
                 .dimensions = ra_dictionary_dimensions(ra_sae_dictionary(sae)),
                 .concepts = ra_dictionary_concepts(ra_sae_dictionary(sae))};
    ra_status status = run(&t, callback, context, err);
    release(&t);
    return status;
}
