/* filter.h - bounds on distances from float32 products: which pairs of vectors can be near at all.
 *
 * The squared distance of x and c is ||x||^2 + ||c||^2 - 2 x.c, and the products x.c of a whole tile of pairs
 * are one gemm. But that form cancels: in float32 two vectors that differ by little have a distance made of
 * rounding errors, equal distances come out different, and which of two is smaller depends on where in the
 * tile they stood. So the products are a filter only. With u = 2^-24 and e = (d + 16) u, about,
 *
 *     | computed - exact | <= e (||x||^2 + ||c||^2)
 *
 * holds whatever the order of the sums in gemm: d u for the sum of d products (and 2 |x||c| <= x^2 + c^2),
 * the rest for the roundings around it. With a score for -2 x.c, `low` = (1 - e) ||c||^2 and `high` = (1 + e)
 * ||c||^2 put the c-part of the bound into the sum, the x-part goes into the limit that the sum is held
 * against. Squared norms that leave float32's range get bounds of infinity, so such vectors are never ruled
 * out. */
#ifndef RA_POINTS_FILTER_H
#define RA_POINTS_FILTER_H

#include <stddef.h>

/* e above, for d dimensions. */
double ra_filter_share(size_t d);

/* Whether vectors of this squared norm are beyond what bounds can be given for. */
int ra_filter_wild(double norm);

/* (1 - e) norm and (1 + e) norm in float32, rounded to the safe side. */
float ra_filter_low(double norm, double share);
float ra_filter_high(double norm, double share);

/* Sums of score and low above this cannot lead to a squared distance below `bar`, for a vector of this
 * squared norm. */
float ra_filter_limit(double bar, double norm, double share);

/* The next i in [from, n) whose score + low may be as small as the limit; n when there is none. */
size_t ra_filter_next(const float *score, const float *low, size_t from, size_t n, float limit);

/* What a row of scores says: the least score + high, and the two smallest score + low (the same twice when
 * two are equal; INFINITY where there are fewer). A NaN, which only wild vectors can make, is left out. */
typedef struct ra_filter_least {
    float high, low, second_low;
} ra_filter_least;

ra_filter_least ra_filter_scan(const float *score, const float *low, const float *high, size_t n);

#endif
