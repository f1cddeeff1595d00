/* The loop: batches from the data, each to its trainers. */
#include "ra_train.h"
#include "base/error.h"
#include "train/order.h"

#include <stdio.h>

/* What a trainer is given. */
typedef struct batch_lane {
    ra_trainer *trainer;
    ra_order order;
    uint64_t *numbers; /* [batch] the rows of this member's slice; points into the loop's block */
    size_t same_as;    /* the first lane with the same order, whose batch is this one's, too */
} batch_lane;

typedef struct loop {
    const ra_data *data;
    const ra_group *group;
    size_t rows, batch, steps_per_epoch;
    batch_lane *lanes;
    size_t lane_count, drawn; /* orders that are to be released */
    uint64_t *numbers;        /* [lanes + 1, batch]; the last row: those to fetch */
    float *x;                 /* [batch, d] */
    size_t count;             /* rows of the slice */
} loop;

static bool same_order(const ra_train_settings *a, const ra_train_settings *b) {
    if (a->shuffle != b->shuffle) return false;
    return !a->shuffle || (a->shuffle_seed == b->shuffle_seed && a->window_seed == b->window_seed);
}

static ra_status open_lane(loop *l, size_t i, ra_trainer *trainer, ra_error *err) {
    const ra_train_settings *settings = ra_trainer_settings(trainer);
    batch_lane *lane = &l->lanes[i];
    lane->trainer = trainer;
    lane->numbers = l->numbers + i * l->batch;
    lane->same_as = i;
    for (size_t j = 0; j < i && lane->same_as == i; j++)
        if (same_order(settings, ra_trainer_settings(l->lanes[j].trainer))) lane->same_as = j;
    if (ra_trainer_settings(l->lanes[0].trainer)->batch_size != settings->batch_size)
        RA_FAIL(err, RA_ERR_ARGUMENT, "runs side by side need the same batch_size, got %zu and %zu",
                ra_trainer_settings(l->lanes[0].trainer)->batch_size, settings->batch_size);
    RA_TRY(ra_order_init(&lane->order, l->rows, settings->shuffle, settings->shuffle_seed, 0, err));
    l->drawn++;
    ra_order_set_window_seed(&lane->order, settings->window_seed);
    return RA_OK;
}

static ra_status prepare(loop *l, ra_trainer *const *trainers, size_t count, ra_error *err) {
    size_t d = ra_dictionary_dimensions(ra_sae_dictionary(ra_trainer_sae(trainers[0])));
    size_t batch = ra_trainer_settings(trainers[0])->batch_size;
    l->group = ra_sae_group(ra_trainer_sae(trainers[0]));
    l->rows = ra_data_rows(l->data);
    l->batch = batch < l->rows ? batch : l->rows;
    l->steps_per_epoch = (l->rows + l->batch - 1) / l->batch;
    l->lane_count = count;
    if (d != ra_data_dimensions(l->data))
        RA_FAIL(err, RA_ERR_SHAPE, "the data has %zu dimensions, but the autoencoder has %zu",
                ra_data_dimensions(l->data), d);
    l->x = ra_malloc(l->batch * d, sizeof *l->x);
    l->numbers = ra_malloc((count + 1) * l->batch, sizeof *l->numbers);
    l->lanes = ra_calloc(count, sizeof *l->lanes);
    if (!l->x || !l->numbers || !l->lanes)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a batch of %zu x %zu numbers and its bookkeeping",
                l->batch, d);
    for (size_t i = 0; i < count; i++) RA_TRY(open_lane(l, i, trainers[i], err));
    return RA_OK;
}

static void release(loop *l) {
    for (size_t i = 0; i < l->drawn; i++) ra_order_release(&l->lanes[i].order);
    ra_free(l->lanes);
    ra_free(l->x);
    ra_free(l->numbers);
}

/* x <- this member's slice of a lane's batch of step 0, 1, ... What comes next is fetched while that is
 * computed with. */
static void read_batch(loop *l, batch_lane *lane, size_t step) {
    size_t position = step % l->steps_per_epoch * l->batch, first;
    size_t total = l->rows - position < l->batch ? l->rows - position : l->batch;
    uint64_t *ahead = l->numbers + l->lane_count * l->batch;
    l->count = ra_group_slice(l->group, total, &first);
    ra_order_rows(&lane->order, step / l->steps_per_epoch, position + first, l->count, lane->numbers);
    ra_data_gather(l->data, lane->numbers, l->count, l->x);
    ra_data_will_need(l->data, ahead, ra_order_ahead(&lane->order, position + first, l->count, ahead));
}

/* Adds to the sentence which rows were at work. */
static ra_status name_batch(const loop *l, const batch_lane *lane, size_t step, ra_status status,
                            ra_error *err) {
    enum { NAMED = 8 };
    char rows[NAMED * 24 + 8] = "";
    size_t used = 0;
    if (!err) return status;
    for (size_t i = 0; i < l->count && i < NAMED; i++) {
        int wrote = snprintf(rows + used, sizeof rows - used, "%s%llu", i ? ", " : "",
                             (unsigned long long)ra_data_source_row(l->data, lane->numbers[i]));
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    ra_error said = *err;
    return ra_error_set(err, status, "%s; the batch was rows %s%s of the data (batch %zu of epoch %zu)",
                        said.message, rows, l->count > NAMED ? ", ..." : "", step % l->steps_per_epoch + 1,
                        step / l->steps_per_epoch + 1);
}

/* One step of all trainers that are at it. */
static ra_status run_step(loop *l, size_t step, ra_train_callback *callback, void *context, bool *wanted,
                          ra_error *err) {
    size_t held = SIZE_MAX; /* the lane whose batch is in x */
    for (size_t i = 0; i < l->lane_count; i++) {
        batch_lane *lane = &l->lanes[i], *source = &l->lanes[lane->same_as];
        ra_train_progress progress;
        if (ra_trainer_done(lane->trainer) != step || step >= ra_trainer_steps(lane->trainer)) continue;
        if (held != lane->same_as) read_batch(l, source, step);
        held = lane->same_as;
        ra_status status = ra_trainer_step(lane->trainer, l->x, l->count, &progress, err);
        if (status == RA_ERR_NOT_FINITE) return name_batch(l, source, step, status, err);
        if (status != RA_OK) return status;
        if (callback && !callback(context, i, &progress)) *wanted = false;
    }
    return RA_OK;
}

static ra_status run(loop *l, ra_trainer *const *trainers, size_t count, ra_train_callback *callback,
                     void *context, ra_error *err) {
    size_t step = SIZE_MAX, last = 0;
    bool wanted = true;
    RA_TRY(prepare(l, trainers, count, err));
    for (size_t i = 0; i < count; i++) {
        if (ra_trainer_done(trainers[i]) < step) step = ra_trainer_done(trainers[i]);
        if (ra_trainer_steps(trainers[i]) > last) last = ra_trainer_steps(trainers[i]);
    }
    for (; step < last; step++) {
        RA_TRY(run_step(l, step, callback, context, &wanted, err));
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
