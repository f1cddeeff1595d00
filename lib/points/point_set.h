/* point_set.h - points prepared for a search: minus the mean of the data, with their norms and bounds.
 *
 * A set holds all N points of an array, or a selection; then `index` says which. The search for the nearest
 * point (nearest.h) computes a score for every point of the set, so a smaller set is a cheaper search.
 *
 * Symbols: N points, d dimensions.
 * Thread safety: one thread at a time.
 */
#ifndef RA_POINTS_POINT_SET_H
#define RA_POINTS_POINT_SET_H

#include "ra_status.h"
#include "base/pool.h"
#include "points/scores.h"
#include "tensor/coarse.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ra_point_set {
    size_t capacity, count, dimensions;
    double share;                 /* e of scores.h */
    const float *vector;          /* [N,d] the points themselves, the caller's */
    int32_t *index;               /* [count] which points, ascending; NULL: all */
    int32_t *position;            /* [N] of each point in the set; -1: not in it; NULL: the set holds all */
    float *centered;              /* [count,d] minus the mean */
    double *norm;                 /* [count] squared norms of `centered` */
    float *low, *high;            /* [count] bounds to add to a score: scores.h; one block of [2,capacity] */
    ra_uploaded uploaded, bounds; /* `centered`; `low` and `high`, [2,capacity] */
    bool is_uploaded;             /* these are current */
    ra_coarse rounded;            /* `centered`, as columns */
    bool is_rounded;              /* it is current */
    bool rounds;                  /* all of them can be rounded */
    bool wild;                    /* some point is wild (scores.h): there are no lower bounds */
} ra_point_set;

/* capacity: the most points it can hold; of: N for a set that holds a selection, 0 for a set of all
 * points; backend: what will multiply. */
ra_status ra_point_set_init(ra_point_set *set, const ra_backend *backend, size_t capacity, size_t d,
                            size_t of, ra_error *err);
void ra_point_set_release(ra_point_set *set); /* leaves {0} */

/* All `count` points of vectors [count,d], which must stay while the set is in use. */
void ra_point_set_fill(ra_point_set *set, ra_pool *pool, const float *vectors, size_t count,
                       const float *mean);

/* The points with these ascending numbers [count], out of a set of all points. */
void ra_point_set_select(ra_point_set *set, const ra_point_set *whole, const int32_t *index, size_t count);

/* *vectors [count,d] <- the centered points in backend memory, valid until the set changes; a device gets set->bounds,
 * too. */
ra_status ra_point_set_upload(ra_point_set *set, ra_backend *backend, const float **vectors, ra_error *err);

/* set->rounded <- the centered points, turned or not (tensor/turn.h), valid until the set changes. */
ra_status ra_point_set_round(ra_point_set *set, ra_pool *pool, bool turned, ra_error *err);

/* The position of a point in the set; -1: it is not in it. */
static inline int32_t ra_point_set_position(const ra_point_set *set, int32_t point) {
    return set->position && point >= 0 ? set->position[point] : point;
}

#endif
