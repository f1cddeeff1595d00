/* batches.h - the batches of trainers that run side by side, in the order in which they need them. While the
 * trainers compute with one batch, another thread reads the next and, if they compute on a device, copies it there.
 *
 *     ra_batches *batches;
 *     const ra_batch *batch;
 *     RA_TRY(ra_batches_open(data, trainers, count, &batches, err));
 *     while ((batch = ra_batches_next(batches)))
 *         for (size_t i = batch->first; i < batch->end; i++)
 *             if (ra_batches_has(batches, i, batch->step))
 *                 RA_TRY(ra_trainer_step_at(trainers[i], batch->x, batch->device, batch->count, &progress, err));
 *     ra_status status = ra_batches_failure(batches, err);
 *     ra_batches_close(batches);
 *
 * The rows of a batch follow from the trainers' settings, the data and the step, never from timing.
 * Thread safety: one thread at a time.
 */
#ifndef RA_TRAIN_BATCHES_H
#define RA_TRAIN_BATCHES_H

#include "ra_train.h"

typedef struct ra_batches ra_batches;

typedef struct ra_batch {
    size_t first, end; /* it is for the trainers first .. end-1, as far as they have its step */
    size_t step;       /* 0, 1, ... */
    size_t count;      /* rows of this member's slice of the batch */
    uint64_t *numbers; /* [count] of the rows in the data */
    float *x;          /* [count,d] */
    float *device;     /* the same in the memory of the trainers' device; NULL: they compute with x */
} ra_batch;

/* The first step is the next one of the trainer that has done the fewest; the last is that of the longest
 * run. RA_ERR_ARGUMENT for trainers of different batch sizes, RA_ERR_SHAPE for data of other dimensions. */
ra_status ra_batches_open(const ra_data *data, ra_trainer *const *trainers, size_t count,
                          ra_batches **batches, ra_error *err);
void ra_batches_close(ra_batches *batches); /* NULL is fine */

/* The next batch, valid until the next call, when no step may still read it; NULL at the end. */
const ra_batch *ra_batches_next(ra_batches *batches);

/* Why there is no next batch, if it is not the end. */
ra_status ra_batches_failure(ra_batches *batches, ra_error *err);

/* Whether a trainer has this step. */
bool ra_batches_has(const ra_batches *batches, size_t trainer, size_t step);

size_t ra_batches_steps_per_epoch(const ra_batches *batches);

/* A step (ra_trainer_step()) on x, of which there is a copy in backend memory already; NULL: there is none. When it ends, it
 * has read both. */
ra_status ra_trainer_step_at(ra_trainer *trainer, const float *x, const float *device, size_t rows,
                             ra_train_progress *progress, ra_error *err);

#endif
