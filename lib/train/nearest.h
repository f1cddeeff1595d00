/* nearest.h - exact nearest neighbours between the rows of a data source and a set of points.
 *
 * "Exact": by the float64 distance between the float32 vectors as they are; of equal distances the lower
 * index wins. Matrix products only decide which pairs are worth that computation (nearest.c).
 *
 *     ra_nearest nearest;
 *     RA_TRY(ra_nearest_init(&nearest, backend, data, N, err));
 *     ra_nearest_set(&nearest, points, 0, N);
 *     RA_TRY(ra_nearest_rows(&nearest, 5, row, distance, err));
 *     ra_nearest_release(&nearest);
 *
 * Symbols: N points, d dimensions, R rows kept for a point.
 * Thread safety: one thread at a time; it uses the backend's threads inside. Results do not depend on their
 * number.
 */
#ifndef RA_TRAIN_NEAREST_H
#define RA_TRAIN_NEAREST_H

#include "train/row_block.h"

typedef struct ra_nearest {
    ra_backend *backend; /* not owned */
    ra_row_block block;  /* the rows; the caller loads it for ra_nearest_point() */
    size_t points;       /* N */
    const float *vector; /* [N,d] the points, the caller's */
    float *centred;      /* [N,d] the points less the data's mean */
    double *norm;        /* [N] their squared norms */
    float *low, *high;   /* [N] bounds that stand for the norm in a score: see nearest.c */
    float *row_low;      /* [block] the same for rows */
    float *score;        /* [block, points] of one tile */
} ra_nearest;

/* points: how many there will be at most. Needs a CPU backend, else RA_ERR_UNSUPPORTED; at most INT32_MAX
 * rows and points, else RA_ERR_TOO_LARGE. On failure nothing is left behind. */
ra_status ra_nearest_init(ra_nearest *nearest, ra_backend *backend, const ra_data *data, size_t points,
                          ra_error *err);
void ra_nearest_release(ra_nearest *nearest); /* leaves {0} */

/* vectors [N,d]: those from `first` to `first + count` are new. The array must stay while it is searched. */
void ra_nearest_set(ra_nearest *nearest, const float *vectors, size_t first, size_t count);

/* For each row of the loaded block: where a point among `first` .. `first + count` is nearer than distance
 * (squared; start with INFINITY), label and distance take that point. */
ra_status ra_nearest_point(ra_nearest *nearest, size_t first, size_t count, int32_t *label, double *distance,
                           ra_error *err);

/* row, distance [N,R] <- the rows nearest to each point, nearest first, with their Euclidean distance; -1 and
 * 0 where the data have fewer than R rows. Loads blocks of its own. */
ra_status ra_nearest_rows(ra_nearest *nearest, size_t R, int32_t *row, float *distance, ra_error *err);

#endif
