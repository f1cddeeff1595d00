/* The loop: batches from the data, each to every trainer. */
#include "ra_train.h"
#include "base/error.h"
#include "train/order.h"

#include <stdio.h>
#include <string.h>

typedef struct loop {
    const ra_data *data;
    const ra_group *group;
    size_t rows, batch, steps_per_epoch;
    ra_order order;
    uint64_t *numbers; /* [batch] the rows of this member's slice */
    uint64_t *ahead;   /* [batch] those to fetch */
    float *x;          /* [batch, d] */
    size_t count;      /* rows of the slice */
} loop;

static ra_status prepare(loop *l, ra_trainer *const *trainers, size_t count, ra_error *err) {
    const ra_train_settings *first = ra_trainer_settings(trainers[0]);
    size_t d = ra_dictionary_dimensions(ra_sae_dictionary(ra_trainer_sae(trainers[0])));
    l->group = ra_sae_group(ra_trainer_sae(trainers[0]));
    l->rows = ra_data_rows(l->data);
    l->batch = first->batch_size < l->rows ? first->batch_size : l->rows;
    l->steps_per_epoch = (l->rows + l->batch - 1) / l->batch;
    if (d != ra_data_dimensions(l->data))
        RA_FAIL(err, RA_ERR_SHAPE, "the data has %zu dimensions, but the autoencoder has %zu",
                ra_data_dimensions(l->data), d);
    for (size_t i = 1; i < count; i++) {
        const ra_train_settings *other = ra_trainer_settings(trainers[i]);
        if (other->batch_size != first->batch_size || other->shuffle != first->shuffle ||
            other->shuffle_seed != first->shuffle_seed)
            RA_FAIL(
                err, RA_ERR_ARGUMENT,
                "runs that share a pass over the data need the same batch_size, shuffle and shuffle_seed");
    }
    l->x = ra_malloc(l->batch * d, sizeof *l->x);
    l->numbers = ra_malloc(l->batch, sizeof *l->numbers);
    l->ahead = ra_malloc(l->batch, sizeof *l->ahead);
    if (!l->x || !l->numbers || !l->ahead)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a batch of %zu x %zu numbers and its bookkeeping",
                l->batch, d);
    return ra_order_init(&l->order, l->rows, first->shuffle, first->shuffle_seed, 0, err);
}

static void release(loop *l) {
    ra_free(l->x);
    ra_free(l->numbers);
    ra_free(l->ahead);
    ra_order_release(&l->order);
}

/* x <- this member's slice of the batch of step 0, 1, ... What comes next is fetched while that is computed
 * with. */
static void read_batch(loop *l, size_t step) {
    size_t position = step % l->steps_per_epoch * l->batch, first;
    size_t total = l->rows - position < l->batch ? l->rows - position : l->batch;
    l->count = ra_group_slice(l->group, total, &first);
    ra_order_rows(&l->order, step / l->steps_per_epoch, position + first, l->count, l->numbers);
    ra_data_gather(l->data, l->numbers, l->count, l->x);
    ra_data_will_need(l->data, l->ahead, ra_order_ahead(&l->order, position + first, l->count, l->ahead));
}

/* Adds to the sentence which rows were at work. */
static ra_status name_batch(const loop *l, size_t step, ra_status status, ra_error *err) {
    enum { NAMED = 8 };
    char rows[NAMED * 24 + 8] = "";
    size_t used = 0;
    if (!err) return status;
    for (size_t i = 0; i < l->count && i < NAMED; i++) {
        int wrote = snprintf(rows + used, sizeof rows - used, "%s%llu", i ? ", " : "",
                             (unsigned long long)l->numbers[i]);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    ra_error said = *err;
    return ra_error_set(err, status, "%s; the batch was rows %s%s of the data (batch %zu of epoch %zu)",
                        said.message, rows, l->count > NAMED ? ", ..." : "", step % l->steps_per_epoch + 1,
                        step / l->steps_per_epoch + 1);
}

static ra_status run(loop *l, ra_trainer *const *trainers, size_t count, ra_train_callback *callback,
                     void *context, ra_error *err) {
    size_t step = SIZE_MAX, last = 0;
    RA_TRY(prepare(l, trainers, count, err));
    for (size_t i = 0; i < count; i++) {
        if (ra_trainer_done(trainers[i]) < step) step = ra_trainer_done(trainers[i]);
        if (ra_trainer_steps(trainers[i]) > last) last = ra_trainer_steps(trainers[i]);
    }
    for (; step < last; step++) {
        bool wanted = true;
        read_batch(l, step);
        for (size_t i = 0; i < count; i++) {
            ra_train_progress progress;
            if (ra_trainer_done(trainers[i]) != step || step >= ra_trainer_steps(trainers[i])) continue;
            ra_status status = ra_trainer_step(trainers[i], l->x, l->count, &progress, err);
            if (status == RA_ERR_NOT_FINITE) return name_batch(l, step, status, err);
            if (status != RA_OK) return status;
            if (callback && !callback(context, i, &progress)) wanted = false;
        }
        if (!wanted)
            RA_FAIL(err, RA_ERR_CANCELLED, "training was stopped at step %zu of %zu", step + 1, last);
    }
    return RA_OK;
}

ra_status ra_train_all(ra_trainer *const *trainers, size_t count, const ra_data *data,
                       ra_train_callback *callback, void *context, ra_error *err) {
    loop l = {.data = data};
    if (count == 0) RA_FAIL(err, RA_ERR_ARGUMENT, "there is nothing to train; expected at least one trainer");
    ra_status status = run(&l, trainers, count, callback, context, err);
    release(&l);
    return status;
}

ra_status ra_train(ra_sae *sae, const ra_data *data, const ra_train_settings *settings,
                   ra_train_callback *callback, void *context, ra_error *err) {
    ra_trainer *trainer = NULL;
    RA_TRY(ra_trainer_new(sae, settings, ra_data_rows(data), &trainer, err));
    ra_status status = ra_train_all(&trainer, 1, data, callback, context, err);
    ra_trainer_free(trainer);
    return status == RA_OK ? ra_dictionary_project(ra_sae_dictionary(sae), err) : status;
}
