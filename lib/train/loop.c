/* The training loop: each batch goes to its trainers. */
#include "train/batches.h"

#include <stdio.h>

/* Adds the rows of the batch to the message of an error. */
static ra_status name_batch(const ra_batches *batches, const ra_data *data, const ra_batch *batch,
                            ra_status status, ra_error *err) {
    enum { NAMED = 8 };
    char rows[NAMED * 24 + 8] = "";
    size_t used = 0, steps_per_epoch = ra_batches_steps_per_epoch(batches);
    if (!err) return status;
    for (size_t i = 0; i < batch->count && i < NAMED; i++) {
        int wrote = snprintf(rows + used, sizeof rows - used, "%s%llu", i ? ", " : "",
                             (unsigned long long)ra_data_source_row(data, batch->numbers[i]));
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    ra_error cause = *err;
    RA_FAIL(err, status, "%s; the batch was rows %s%s of the data (batch %zu of epoch %zu)", cause.message,
            rows, batch->count > NAMED ? ", ..." : "", batch->step % steps_per_epoch + 1,
            batch->step / steps_per_epoch + 1);
}

static ra_status run(ra_batches *batches, ra_trainer *const *trainers, size_t count, const ra_data *data,
                     ra_train_callback *callback, void *context, ra_error *err) {
    const ra_batch *batch;
    size_t step = 0;
    bool wanted = true;
    while ((batch = ra_batches_next(batches))) {
        if (!wanted && batch->step > step) break; /* all trainers complete the step first */
        step = batch->step;
        for (size_t i = batch->first; i < batch->end; i++) {
            ra_train_progress progress;
            if (!ra_batches_has(batches, i, step)) continue;
            ra_status status =
                ra_trainer_step_at(trainers[i], batch->x, batch->device, batch->count, &progress, err);
            if (status == RA_ERR_NOT_FINITE) return name_batch(batches, data, batch, status, err);
            if (status != RA_OK) return status;
            if (callback && !callback(context, i, &progress)) wanted = false;
        }
    }
    if (wanted) return ra_batches_failure(batches, err);
    size_t last = 0;
    for (size_t i = 0; i < count; i++)
        if (ra_trainer_steps(trainers[i]) > last) last = ra_trainer_steps(trainers[i]);
    RA_FAIL(err, RA_ERR_CANCELED, "training was stopped at step %zu of %zu", step + 1, last);
}

ra_status ra_train_all(ra_trainer *const *trainers, size_t count, const ra_data *data,
                       ra_train_callback *callback, void *context, ra_error *err) {
    ra_batches *batches = NULL;
    RA_TRY(ra_batches_open(data, trainers, count, &batches, err));
    ra_status status = run(batches, trainers, count, data, callback, context, err);
    ra_batches_close(batches);
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
