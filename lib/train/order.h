/* order.h - the order in which training takes the rows: shuffled over all data, without a list of all rows.
 *
 *     ra_order order;
 *     RA_TRY(ra_order_init(&order, rows, true, seed, 0, err));
 *     ra_order_rows(&order, epoch, position, n, row_numbers);
 *     ra_order_release(&order);
 *
 * The order of an epoch is a function of (rows, seed, window seed, epoch, window) and of nothing else:
 * neither of how it is asked for nor of what was asked before. A run that resumes at a position goes on
 * exactly.
 *
 * Memory: 8 bytes a row of one window and 8 bytes a block of RA_ORDER_BLOCK rows; none without shuffling.
 * Thread safety: one thread at a time (what it holds is a cache of one window).
 */
#ifndef RA_TRAIN_ORDER_H
#define RA_TRAIN_ORDER_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RA_ORDER_BLOCK = 64, RA_ORDER_WINDOW = 1 << 20 };

typedef struct ra_order {
    size_t rows;
    bool shuffle;
    uint64_t seed, window_seed;
    size_t blocks;        /* of RA_ORDER_BLOCK rows, the last one shorter where it has to be */
    size_t window_blocks; /* of one window; the last window has what is left */
    /* the epoch and the window that are drawn; members are valid when `drawn` */
    bool drawn;
    uint64_t epoch;
    size_t window, window_start, window_rows; /* its number, its first position, how many rows it has */
    uint64_t turn;                            /* row 0 of the blocks is this row of the data */
    size_t short_at;                          /* where among the permuted blocks the last one is */
    uint64_t *block;                          /* [blocks] the permuted blocks; NULL when one window has all */
    uint64_t *row;                            /* [window] its permuted rows */
} ra_order;

/* window: rows that are permuted among themselves, rounded up to whole blocks; 0: RA_ORDER_WINDOW. Without
 * shuffle rows follow in their order. On failure nothing is left behind. */
ra_status ra_order_init(ra_order *order, size_t rows, bool shuffle, uint64_t seed, size_t window,
                        ra_error *err);
void ra_order_release(ra_order *order); /* leaves {0} */

/* Another seed for which blocks share a window: orders with the same one read the same windows one after the
 * other, each in its own way, so that the data come from the disk once for all of them. To be called before
 * any row is asked for; without it, it is the seed. */
void ra_order_set_window_seed(ra_order *order, uint64_t window_seed);

/* row [n] <- the rows at `position` .. `position + n` of an epoch; position + n is at most the rows. */
void ra_order_rows(ra_order *order, uint64_t epoch, size_t position, size_t n, uint64_t *row);

/* row [n] <- what to fetch while the rows at `position` .. `position + n` are worked on: as many rows of the
 * window after theirs, in runs of a block. Returns how many there are: less than n, and none, where the epoch
 * or the blocks end. Of the epoch that ra_order_rows() was asked for last. */
size_t ra_order_ahead(const ra_order *order, size_t position, size_t n, uint64_t *row);

#endif
