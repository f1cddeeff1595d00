/* point_set.h - points to search among, prepared: about the data's mean, with their norms and bounds.
 *
 * A set holds all N points of an array, or some of them: then `index` says which. Searching for the nearest
 * (nearest.h) costs one product a pair, so a smaller set is a cheaper search.
 *
 * Symbols: N points, d dimensions.
 * Thread safety: one thread at a time.
 */
#ifndef RA_POINTS_POINT_SET_H
#define RA_POINTS_POINT_SET_H

#include "ra_status.h"
#include "base/pool.h"
#include "points/products.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ra_point_set {
    size_t capacity, count, dimensions;
    const float *vector; /* [N,d] the points as they are, the caller's */
    int32_t *index;      /* [count] which points, rising; NULL: all, in order */
    int32_t *place;      /* [N] of each point in the set, -1: not in it; NULL: all are */
    float *centered;     /* [count,d] less the mean */
    double *norm;        /* [count] squared, of `centered` */
    float *low, *high;   /* [count] bounds that stand for the norm in a score: filter.h */
    ra_held held;        /* `centered`, where products are computed; see ra_point_set_hold() */
    bool is_held;        /* it is as `centered` is */
    bool wild;           /* some norm is beyond bounds: no lower bounds can be given */
} ra_point_set;

/* capacity: how many points at most; of: N when it is to hold some of them, 0 for a set of all. On failure
 * nothing is left behind. */
ra_status ra_point_set_init(ra_point_set *set, size_t capacity, size_t d, size_t of, ra_error *err);
void ra_point_set_release(ra_point_set *set); /* leaves {0} */

/* All `count` points of vectors [count,d], which must stay while the set is searched. */
void ra_point_set_fill(ra_point_set *set, ra_pool *pool, const float *vectors, size_t count,
                       const float *mean);

/* Some of the points that `all` holds: index [count], rising. */
void ra_point_set_select(ra_point_set *set, const ra_point_set *all, const int32_t *index, size_t count);

/* *vectors [count,d] <- the centered points in backend memory, until they change. */
ra_status ra_point_set_hold(ra_point_set *set, ra_backend *backend, const float **vectors, ra_error *err);

/* Where a point stands in the set; -1: it is not in it. */
static inline int32_t ra_point_set_place(const ra_point_set *set, int32_t point) {
    return set->place && point >= 0 ? set->place[point] : point;
}

#endif
