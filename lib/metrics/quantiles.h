/* quantiles.h - examples from all over the range of a latent: rows of each quantile of its positive codes.
 *
 * The positive codes of a latent in ascending order, equal ones in the order of their rows, are divided into Q
 * parts of the same size: part q has the ranks floor(q n / Q) to floor((q + 1) n / Q) - 1. Of each part S rows are
 * drawn: those with the smallest hash of latent and row, so which they are depends on nothing else, not on threads
 * nor on how the rows are divided into files and calls.
 *
 * A band of latents at a time, like cofiring.h. Memory is that of the results plus, for the band, 8 bytes per positive
 * code.
 */
#ifndef RA_METRICS_QUANTILES_H
#define RA_METRICS_QUANTILES_H

#include "base/pool.h"
#include "metrics/kept_codes.h"
#include "metrics/statistics.h"

typedef struct ra_quantiles {
    size_t latents, quantiles, rows; /* K, Q, S */
    size_t bytes;                    /* the most for a band, which has at least one latent */
    size_t first, end;               /* the latents of the present band */
    size_t *start, *filled; /* [K] where the keys of each latent of the band begin, how many there are */
    uint64_t *key;          /* [key_capacity] code (the bits of the float) and row, in one number */
    size_t key_capacity;
    float *bound;    /* [K,Q+1] the smallest code of each quantile, and the largest of all; 0: none */
    int64_t *row;    /* [K,Q,S] from 0, the largest code first; -1 after the last */
    int64_t *number; /* [K,Q,S] the rows with the numbers that ra_latent_rows.number gives */
    float *value;    /* [K,Q,S] */
    ra_labels *labels;
} ra_quantiles;

ra_status ra_quantiles_init(ra_quantiles *quantiles, size_t latents, size_t count, size_t rows, size_t bytes,
                            ra_error *err);
void ra_quantiles_release(ra_quantiles *quantiles); /* leaves {0}, which is valid */

/* The next band: up to latent `end`, or fewer where memory is short. sums: of all rows. */
ra_status ra_quantiles_begin(ra_quantiles *quantiles, const ra_latent_sums *sums, size_t end, ra_error *err);
void ra_quantiles_add(ra_quantiles *quantiles, ra_pool *pool, const ra_codes_order *order);
void ra_quantiles_choose(ra_quantiles *quantiles, ra_pool *pool, const ra_latent_rows *rows);

ra_status ra_quantiles_view(ra_quantiles *quantiles, const ra_latent_rows *rows, ra_latent_statistics *view,
                            ra_error *err);

#endif
