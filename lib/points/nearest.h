/* nearest.h - exact nearest neighbors between the rows of a data source and a set of points.
 *
 * "Exact": by the float64 distance between the float32 vectors as they are; of equal distances the lower
 * index wins. Matrix products only decide which pairs are worth that computation (filter.h).
 *
 *     ra_nearest nearest;
 *     RA_TRY(ra_nearest_init(&nearest, backend, data, NULL, 0, N, err));
 *     ra_nearest_set(&nearest, points);
 *     RA_TRY(ra_nearest_rows(&nearest, 5, row, distance, err));
 *     ra_nearest_release(&nearest);
 *
 * Symbols: N points, d dimensions, R rows kept for a point.
 * Thread safety: one thread at a time; it uses the backend's threads inside. Results do not depend on their
 * number.
 */
#ifndef RA_POINTS_NEAREST_H
#define RA_POINTS_NEAREST_H

#include "points/point_set.h"
#include "points/row_block.h"

enum {
    RA_NEAREST_TILE_ROWS = 1024,   /* of one gemm, with ... */
    RA_NEAREST_TILE_POINTS = 2048, /* ... as many points: at most 8 MiB of scores */
};

typedef struct ra_nearest {
    ra_backend *backend; /* not owned */
    ra_row_block block;  /* the rows; the caller loads it for ra_nearest_point() */
    ra_point_set points; /* all N */
    float *query;        /* rows that are searched for, less the mean */
    double *query_norm;
    float *query_low; /* bounds that stand for the norms of rows in a score */
    float *score;     /* of one tile of pairs */
    ra_held asked;    /* `query`, where products are computed */
    ra_buffer room;   /* for scores there */
} ra_nearest;

/* sample, count: as for a row block; points: N; at most INT32_MAX rows and points, else
 * RA_ERR_TOO_LARGE. On failure nothing is left behind. */
ra_status ra_nearest_init(ra_nearest *nearest, ra_backend *backend, const ra_data *data,
                          const uint64_t *sample, size_t count, size_t points, ra_error *err);
void ra_nearest_release(ra_nearest *nearest); /* leaves {0} */

/* vectors [N,d], which must stay while they are searched. */
void ra_nearest_set(ra_nearest *nearest, const float *vectors);

/* For rows of the loaded block: the nearest point so far, and how near others can be. */
typedef struct ra_nearest_state {
    int32_t *label;   /* [count] -1 while there is none */
    double *distance; /* [count] squared, to that point; INFINITY while there is none */
    float *lower;     /* [count] no other point that was searched is nearer than this (not squared);
                         start with INFINITY. May be NULL */
} ra_nearest_state;

/* Searches `set` (of this search's points, or some of them) for the rows of the loaded block whose places are
 * in picked [count] (NULL: all). */
ra_status ra_nearest_point(ra_nearest *nearest, ra_point_set *set, const int32_t *picked, size_t count,
                           const ra_nearest_state *state, ra_error *err);

/* row, distance [N,R] <- the rows nearest to each point, nearest first, with their Euclidean distance; -1 and
 * 0 where the data have fewer than R rows. Loads blocks of its own. */
ra_status ra_nearest_rows(ra_nearest *nearest, size_t R, int32_t *row, float *distance, ra_error *err);

#endif
