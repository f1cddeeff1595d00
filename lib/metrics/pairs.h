/* pairs.h - Z^T Z over all rows of codes, and what it says of pairs of latents: which are ever active
 * together, how they correlate, where their atoms cancel each other.
 *
 * The matrix has K^2 numbers, of which the upper triangle is kept, in float64 (400 MB for K = 10,000). Where
 * that is too much, a band of its rows is kept at a time, and the data are read again for the next band:
 *
 *     ra_pairs_init(&pairs, latents, bytes, err)
 *     do {
 *         ra_pairs_begin(&pairs, err);       // the band [pairs.first, pairs.end)
 *         ... ra_pairs_add(&pairs, pool, &codes) for all rows ...
 *         ra_pairs_measure(&pairs, ..., &result, err);
 *     } while (pairs.end < latents);
 *
 * Nothing depends on the number of threads.
 */
#ifndef RA_METRICS_PAIRS_H
#define RA_METRICS_PAIRS_H

#include "ra_backend.h"
#include "base/pool.h"
#include "metrics/statistics.h"

typedef struct ra_pairs {
    size_t latents;    /* K */
    size_t bytes;      /* that a band may take */
    size_t first, end; /* rows of the band at hand */
    double *value;     /* row i of the band from its diagonal on: K - i numbers, row after row */
    size_t capacity;   /* of value, in numbers */
    /* codes of a block, by latent */
    size_t *start; /* [K + 1] */
    uint32_t *row; /* [entry_capacity] */
    float *entry;  /* [entry_capacity] */
    size_t entry_capacity;
} ra_pairs;

/* Sums over the bands so far. */
typedef struct ra_pairs_result {
    double together;            /* ordered pairs (i, j), i = j among them, whose sum is not zero */
    double correlation;         /* largest |correlation| of i and j, i < j */
    double interference_square; /* of all entries of relu(-(Z^T Z) * (D D^T)) */
} ra_pairs_result;

/* bytes: at least one row of the matrix is kept, whatever they say. */
void ra_pairs_init(ra_pairs *pairs, size_t latents, size_t bytes);
void ra_pairs_release(ra_pairs *pairs); /* leaves {0} */

/* Numbers of the whole upper triangle; SIZE_MAX when that overflows. */
size_t ra_pairs_triangle(size_t latents);

ra_status ra_pairs_begin(ra_pairs *pairs, ra_error *err); /* the next band, zeroed */
ra_status ra_pairs_add(ra_pairs *pairs, ra_pool *pool, const ra_codes *codes, ra_error *err);

/* Adds what the band says. sums: of all rows. D [K,d]. interference (may be NULL): the entries of
 * relu(-(Z^T Z) * (D D^T)) in the order of `value`, in float32. */
ra_status ra_pairs_measure(const ra_pairs *pairs, ra_backend *backend, const ra_latent_sums *sums,
                           const float *D, size_t d, float *interference, ra_pairs_result *result,
                           ra_error *err);

/* The largest singular value of a symmetric matrix without negative entries, of which the upper triangle is
 * given row by row. */
ra_status ra_pairs_norm(ra_pool *pool, const float *triangle, size_t n, double *value, ra_error *err);

#endif
