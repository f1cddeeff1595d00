/* nearest.h - exact nearest neighbors between the rows of the data and a set of points.
 *
 * "Exact" means: by the float64 distance of the float32 vectors; of equal distances the lower index wins.
 * Matrix products only exclude pairs from that computation (scores.h).
 *
 *     ra_nearest nearest;
 *     RA_TRY(ra_nearest_init(&nearest, backend, data, NULL, 0, N, err));
 *     ra_nearest_set(&nearest, vectors);
 *     RA_TRY(ra_nearest_rows(&nearest, 5, row, distance, err));
 *     ra_nearest_release(&nearest);
 *
 * Symbols: N points, d dimensions, R rows per point. Thread safety: one thread at a time; inside, it uses the
 * threads of its backend. Their number changes no result.
 */
#ifndef RA_POINTS_NEAREST_H
#define RA_POINTS_NEAREST_H

#include "points/point_set.h"
#include "points/row_reader.h"
#include "tensor/coarse.h"

enum {
    /* of one gemm: at most 8 MiB of scores */
    RA_NEAREST_TILE_ROWS = 1024,
    RA_NEAREST_TILE_POINTS = 2048,
    RA_NEAREST_PART_ROWS = 16,
};

typedef struct ra_nearest {
    ra_backend *backend;  /* not owned */
    ra_row_reader reader; /* the caller loads its chunk for ra_nearest_point() */
    ra_point_set points;  /* all N */
    float *query;         /* the rows of a tile, minus the mean */
    double *query_norm;
    float *query_low;     /* their bounds to add to a score */
    float *score;         /* of a tile; of a device's, the rows that were asked for */
    ra_least *least;      /* of each row of a tile, from a device; NULL: the scores are the host's */
    ra_uploaded uploaded; /* `query` */
    bool coarse;          /* products in 8 bits exclude pairs, until too few */
    ra_coarse rounded;    /* `query`; {0}: it has never been needed */
    uint64_t pairs,
        found; /* of coarse products, and how many of them had to be computed, since this was last judged */
    size_t computed[RA_NEAREST_TILE_ROWS / RA_NEAREST_PART_ROWS]; /* of each part of a tile */
    ra_buffer memory; /* for a device's scores, and the least of each row */
} ra_nearest;

/* sample, count: as for a row reader; points: N. RA_ERR_TOO_LARGE for more than INT32_MAX rows or points. */
ra_status ra_nearest_init(ra_nearest *nearest, ra_backend *backend, const ra_data *data,
                          const uint64_t *sample, size_t count, size_t points, ra_error *err);
void ra_nearest_release(ra_nearest *nearest); /* leaves {0} */

/* vectors [N,d] must stay while they are in use. */
void ra_nearest_set(ra_nearest *nearest, const float *vectors);

/* The rows of the chunk: the nearest point so far, and how near the others can be. */
typedef struct ra_nearest_state {
    int32_t *label;   /* [count] the point; -1: none yet */
    double *distance; /* [count] its squared distance; INFINITY: none yet */
    float *lower;     /* [count] every other point so far is at least this far away (not squared); it starts
                       * as INFINITY. May be NULL */
} ra_nearest_state;

/* Searches `set`, the points of this search or a selection of them, for the rows picked [count] of the chunk
 * (NULL: all). */
ra_status ra_nearest_point(ra_nearest *nearest, ra_point_set *set, const int32_t *picked, size_t count,
                           const ra_nearest_state *state, ra_error *err);

/* row, distance [N,R] <- the R rows nearest to each point, the nearest first, and their Euclidean distances;
 * -1 and 0 if the data have fewer rows. Loads chunks itself. */
ra_status ra_nearest_rows(ra_nearest *nearest, size_t R, int32_t *row, float *distance, ra_error *err);

#endif
