/* batches.h - the batches of runs side by side, in the order in which their trainers take them. While one is
 * computed with, a thread of its own reads the next.
 *
 *     ra_batches *batches;
 *     RA_TRY(ra_batches_open(data, trainers, count, &batches, err));
 *     while ((batch = ra_batches_next(batches))) ... the trainers of batch->first .. and its step ...
 *     ra_batches_close(batches);
 *
 * Which rows a batch has follows from the trainers' settings, the data and the step, never from timing.
 * Thread safety: one thread at a time.
 */
#ifndef RA_TRAIN_BATCHES_H
#define RA_TRAIN_BATCHES_H

#include "ra_train.h"

typedef struct ra_batches ra_batches;

typedef struct ra_batch {
    size_t first, end; /* trainers that it is for: those of first .. end that are at its step */
    size_t step;       /* 0, 1, ... */
    size_t count;      /* rows of this member's slice */
    uint64_t *numbers; /* [count] which rows of the data */
    float *x;          /* [count,d] */
} ra_batch;

/* Steps go from the least that a trainer has done to the most that one has to do. RA_ERR_ARGUMENT for
 * trainers of different batch sizes, RA_ERR_SHAPE for data of other dimensions. On failure nothing is left
 * behind. */
ra_status ra_batches_open(const ra_data *data, ra_trainer *const *trainers, size_t count,
                          ra_batches **batches, ra_error *err);
void ra_batches_close(ra_batches *batches); /* NULL is fine */

/* The next batch, valid until the call after; NULL at the end. */
const ra_batch *ra_batches_next(ra_batches *batches);

/* Whether trainer i takes part in this step. */
bool ra_batches_has(const ra_batches *batches, size_t trainer, size_t step);

size_t ra_batches_steps_per_epoch(const ra_batches *batches);

#endif
