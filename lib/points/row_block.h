/* row_block.h - the rows of a data source, or of a sample of them, a block at a time.
 *
 *     ra_row_block block;
 *     RA_TRY(ra_row_block_init(&block, pool, data, NULL, 0, err));
 *     for (size_t first = 0; first < block.rows; first += block.count) {
 *         ra_row_block_load(&block, first);
 *         ... block.raw ...
 *     }
 *     ra_row_block_release(&block);
 *
 * Rows are numbered within the block's source: with a sample, row i is row sample[i] of the data.
 *
 * Thread safety: one thread at a time; it uses the pool's threads inside. Nothing depends on their number.
 */
#ifndef RA_POINTS_ROW_BLOCK_H
#define RA_POINTS_ROW_BLOCK_H

#include "ra_data.h"
#include "base/pool.h"

typedef struct ra_row_block {
    ra_pool *pool; /* may be NULL */
    const ra_data *data;
    const uint64_t *sample;  /* [rows] rising; NULL: all rows. Not owned */
    size_t rows, dimensions; /* of the source */
    float *mean;             /* [d] of its rows, rounded to float32 */
    double variance;         /* mean squared distance of a row to `mean` */
    size_t capacity;         /* rows of a full block: some MiB */
    /* the block that is loaded */
    size_t first, count;
    float *raw; /* [count, d] */
} ra_row_block;

/* sample NULL: all rows; else `count` rising row numbers that outlive the block. Reads the rows once, for
 * mean and variance. On failure nothing is left behind. */
ra_status ra_row_block_init(ra_row_block *block, ra_pool *pool, const ra_data *data, const uint64_t *sample,
                            size_t count, ra_error *err);
void ra_row_block_release(ra_row_block *block); /* leaves {0} */

/* Loads the rows from `first` on: `capacity` of them, or as many as are left. */
void ra_row_block_load(ra_row_block *block, size_t first);

/* Loads these rows [count], count <= capacity, as a block that starts at 0. */
void ra_row_block_gather(ra_row_block *block, const uint64_t *rows, size_t count);

/* out [n,d] <- single rows, not through the block. */
void ra_row_block_read(const ra_row_block *block, const uint64_t *rows, size_t n, float *out);

/* centered [count,d], norm [count] <- rows of the loaded block less the mean, and their squared norms: those
 * whose places are in picked [from .. from + count), or with NULL the places themselves. */
void ra_row_block_center(const ra_row_block *block, size_t from, const int32_t *picked, size_t count,
                         float *centered, double *norm);

/* sums [groups, d] += raw, each row to the group that its label names, in the order of the rows. */
void ra_row_block_accumulate(const ra_row_block *block, const int32_t *label, double *sums);

/* The squared distance of x [n] and y [n]. Differences of float32 are exact in float64; the only rounding is
 * that of squares and sums. */
double ra_squared_distance(const float *x, const float *y, size_t n);

#endif
