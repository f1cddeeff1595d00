/* row_block.h - the rows of a data source, a block at a time, as they are and about the data's mean.
 *
 *     ra_row_block block;
 *     RA_TRY(ra_row_block_init(&block, pool, data, err));
 *     for (size_t first = 0; first < block.rows; first += block.count) {
 *         ra_row_block_load(&block, first);
 *         ... block.raw, block.centred, block.norm ...
 *     }
 *     ra_row_block_release(&block);
 *
 * Thread safety: one thread at a time; it uses the pool's threads inside. Nothing depends on their number.
 */
#ifndef RA_TRAIN_ROW_BLOCK_H
#define RA_TRAIN_ROW_BLOCK_H

#include "ra_train.h"
#include "base/pool.h"

enum { RA_BLOCK_ROWS = 1024 };

typedef struct ra_row_block {
    ra_pool *pool; /* may be NULL */
    const ra_data *data;
    size_t rows, dimensions; /* of all the data */
    float *mean;             /* [d] of the data, rounded to float32 */
    double variance;         /* mean squared distance of a row to `mean` */
    /* the block that is loaded */
    size_t first, count;
    float *raw;     /* [count, d] */
    float *centred; /* [count, d] raw - mean */
    double *norm;   /* [count] squared norm of each row of `centred` */
} ra_row_block;

/* Reads the data twice, for mean and variance. On failure nothing is left behind. */
ra_status ra_row_block_init(ra_row_block *block, ra_pool *pool, const ra_data *data, ra_error *err);
void ra_row_block_release(ra_row_block *block); /* leaves {0} */

/* Loads the rows from `first` on: RA_BLOCK_ROWS of them, or as many as are left. */
void ra_row_block_load(ra_row_block *block, size_t first);

/* sums [groups, d] += raw, each row to the group that its label names (label NULL: all to group 0), in the
 * order of the rows. */
void ra_row_block_accumulate(const ra_row_block *block, const int32_t *label, double *sums);

/* The squared distance of x [n] and y [n]. Differences of float32 are exact in float64; the only rounding is
 * that of squares and sums. */
double ra_squared_distance(const float *x, const float *y, size_t n);

#endif
