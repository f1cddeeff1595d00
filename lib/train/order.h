/* order.h - the order in which training uses the rows: shuffled over all data, without a list of all rows.
 *
 *     ra_order order;
 *     RA_TRY(ra_order_init(&order, rows, true, seed, 0, err));
 *     ra_order_rows(&order, epoch, position, n, row_numbers);
 *     ra_order_release(&order);
 *
 * The order of an epoch is a function of (rows, seed, window seed, epoch, window) alone, not of earlier
 * calls. So a run that is resumed in the middle of an epoch continues with exactly the same rows.
 *
 * Memory: 8 bytes per row of one window, and 8 bytes per block (of RA_ORDER_BLOCK rows); none without
 * shuffling. Thread safety: one thread at a time.
 */
#ifndef RA_TRAIN_ORDER_H
#define RA_TRAIN_ORDER_H

#include "data/window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RA_ORDER_BLOCK = 64, RA_ORDER_WINDOW = 1 << 20 };

typedef struct ra_order {
    size_t rows;
    bool shuffle;
    uint64_t seed, window_seed;
    size_t block_rows; /* of a block */
    size_t unit;   /* the blocks begin at a multiple of it: rows that lie together, as those of an image */
    size_t blocks; /* the last one may be shorter */
    size_t window_blocks; /* of one window; the last one may have fewer */
    /* the present epoch and window; valid if `drawn` */
    bool drawn;
    uint64_t epoch;
    size_t window, window_start, window_rows; /* its number, first position, number of rows */
    uint64_t turn;                            /* the blocks begin at this row of the data */
    size_t short_at; /* the position of the last, shorter block among the permuted ones */
    uint64_t *block; /* [blocks] the permuted blocks; NULL: one window has all */
    uint64_t *row;   /* [window_rows] the permuted rows of the window */
} ra_order;

/* window: rows that are permuted together, rounded up to whole blocks; 0: RA_ORDER_WINDOW. shuffle false: the
 * rows in the order of the data. */
ra_status ra_order_init(ra_order *order, size_t rows, bool shuffle, uint64_t seed, size_t window,
                        ra_error *err);
/* The same with blocks of another size: `block` rows, a multiple of `unit`. */
ra_status ra_order_init_blocks(ra_order *order, size_t rows, bool shuffle, uint64_t seed, size_t window,
                               size_t block, size_t unit, ra_error *err);
void ra_order_release(ra_order *order); /* leaves {0} */

/* The seed that decides which blocks share a window; before this call, it is `seed`. Orders with the same
 * window seed use the same windows at the same time, each with its own permutation, so that the disk is read
 * once for all. Call it before ra_order_rows(). */
void ra_order_set_window_seed(ra_order *order, uint64_t window_seed);

/* row [n] <- the rows at the positions position .. position+n-1 of an epoch; position + n <= rows. */
void ra_order_rows(ra_order *order, uint64_t epoch, size_t position, size_t n, uint64_t *row);

/* The windows of an epoch, and the one with a position; run [2 window_blocks] <- the runs of rows of a window, in no
 * order; returns how many. They move the order to that epoch: ask another ra_order than the one that gives rows. */
size_t ra_order_windows(const ra_order *order);
size_t ra_order_window_at(ra_order *order, uint64_t epoch, size_t position);
size_t ra_order_window_runs(ra_order *order, uint64_t epoch, size_t window, ra_row_run *run);

/* row [n] <- rows to prefetch while those at position .. position+n-1 are in use: rows of the next window, in
 * runs of a block. Returns how many, at most n; 0 at the end of the epoch. It is the epoch of the last
 * ra_order_rows(). */
size_t ra_order_ahead(const ra_order *order, size_t position, size_t n, uint64_t *row);

#endif
