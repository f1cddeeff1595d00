/* pairs.h - Z^T Z of the codes of all rows, and what it says about pairs of latents: which are ever active
 * together, how they correlate, where their atoms cancel each other.
 *
 * Of the K^2 numbers the upper triangle is kept, in float64 (400 MB for K = 10,000). If that is too much
 * memory, a band of its rows is kept at a time, and the data are read again for each band:
 *
 *     ra_pairs pairs;
 *     ra_pairs_init(&pairs, K, bytes);
 *     do {
 *         RA_TRY(ra_pairs_begin(&pairs, err));
 *         RA_TRY(ra_pairs_add(&pairs, pool, &codes, err)); // for the codes of all rows
 *         RA_TRY(ra_pairs_measure(&pairs, backend, sums, D, d, NULL, &result, err));
 *     } while (pairs.end < K);
 *     ra_pairs_release(&pairs);
 *
 * The number of threads changes no result.
 */
#ifndef RA_METRICS_PAIRS_H
#define RA_METRICS_PAIRS_H

#include "ra_backend.h"
#include "base/pool.h"
#include "metrics/shift.h"
#include "metrics/statistics.h"

typedef struct ra_pairs {
    size_t latents;    /* K */
    size_t bytes;      /* the most that a band may take */
    size_t first, end; /* the rows of the present band */
    double *value;     /* each row i of the band from its diagonal on, K - i numbers, one after the other */
    ra_shift shift;    /* the numbers are of codes minus it */
    double *square;    /* [K] their squares, summed */
    size_t capacity;   /* of value */
    /* the codes that are added, sorted by latent */
    size_t *start; /* [K + 1] */
    uint32_t *row; /* [entry_capacity] */
    float *code;   /* [entry_capacity] */
    size_t entry_capacity;
} ra_pairs;

/* Over the bands so far. */
typedef struct ra_pairs_result {
    double together;            /* ordered pairs (i, j), also with i = j, whose sum is not zero */
    double correlation;         /* the largest |correlation| of i and j, i < j */
    double interference_square; /* the squares of relu(-(Z^T Z) * (D D^T)), summed */
} ra_pairs_result;

/* bytes: for a band; it has at least one row in any case. */
void ra_pairs_init(ra_pairs *pairs, size_t latents, size_t bytes);
void ra_pairs_release(ra_pairs *pairs); /* leaves {0} */

/* How many numbers the upper triangle has; SIZE_MAX if that overflows. */
size_t ra_pairs_triangle(size_t latents);

ra_status ra_pairs_begin(ra_pairs *pairs, ra_error *err); /* the next band, of zeros */
ra_status ra_pairs_add(ra_pairs *pairs, ra_pool *pool, const ra_codes *codes, ra_error *err);

/* Adds the band to *result. sums: of all rows. D [K,d]. interference (may be NULL) <- relu(-(Z^T Z) * (D
 * D^T)) in the order of `value`. */
ra_status ra_pairs_measure(const ra_pairs *pairs, ra_backend *backend, const ra_latent_sums *sums,
                           const float *D, size_t d, float *interference, ra_pairs_result *result,
                           ra_error *err);

/* The largest singular value of a symmetric matrix without negative entries, given the rows of its upper
 * triangle. */
ra_status ra_pairs_norm(ra_pool *pool, const float *triangle, size_t n, double *value, ra_error *err);

#endif
