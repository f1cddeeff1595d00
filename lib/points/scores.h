/* scores.h - scores: float32 matrix products that tell which pairs of vectors can be near each other.
 *
 * The squared distance of x and c is ||x||^2 + ||c||^2 - 2 x.c. The score of a pair is -2 x.c; one gemm
 * computes the scores of a tile of pairs. A distance computed from a score suffers from cancellation: in
 * float32 the distance of two vectors that differ little consists of rounding errors, equal distances come
 * out different, and which of two is smaller depends on where the pair was in the tile. So scores only
 * exclude pairs. With u = 2^-24 and e = (d + 16) u, about,
 *
 *     | computed - exact | <= e (||x||^2 + ||c||^2)
 *
 * holds for any order of the sums in gemm: d u is the error of a sum of d terms (with 2 |x||c| <= x^2 + c^2),
 * the rest that of the other operations. Where a backend's products keep 10 bits of each factor (TF32), e is 2^-9 larger. `low` = (1 - e) ||c||^2 and `high` = (1 + e) ||c||^2 are added to
 * the score and hold c's part of the bound; x's part is in the limit that this sum is compared with. Vectors
 * whose squared norm leaves float32's range ("wild") have infinite bounds and are never excluded.
 *
 * On the CPU a product reads the host's vectors and writes the host's scores. A device gets copies of the vectors
 * (ra_uploaded). It looks for the least scores of each row itself, and the host gets those of a row only where they leave
 * several points possible (nearest.c), or where it needs them all.
 *
 * Thread safety: one thread at a time. */
#ifndef RA_POINTS_SCORES_H
#define RA_POINTS_SCORES_H

#include "ra_backend.h"

/* e, for d dimensions and the products of this backend. */
double ra_filter_share(const ra_backend *backend, size_t d);

/* Whether a vector of this squared norm is wild. */
int ra_filter_wild(double norm);

/* (1 - e) norm, rounded down, and (1 + e) norm, rounded up. */
float ra_filter_low(double norm, double share);
float ra_filter_high(double norm, double share);

/* The limit of score + low: above it, the squared distance to a vector of this squared norm is not below
 * `bar`. */
float ra_filter_limit(double bar, double norm, double share);

/* The next i in [from, n) whose score + low does not exceed the limit; n if there is none. */
size_t ra_filter_next(const float *score, const float *low, size_t from, size_t n, float limit);

/* Of a row of scores: the least score + high, and the two least score + low (equal ones count twice; INFINITY
 * if there are fewer than two). NaN, which only wild vectors cause, does not count. */
typedef struct ra_filter_least {
    float high, low, second_low;
} ra_filter_least;

ra_filter_least ra_filter_scan(const float *score, const float *low, const float *high, size_t n);

/* ---- products ------------------------------------------------------------------------------------------ */

/* The host's vectors where the backend can read them: themselves, or a copy on the device. {0} is valid. */
typedef struct ra_uploaded {
    const float *vectors; /* backend memory */
    ra_buffer memory;     /* the copy's; release it with ra_buffer_release() */
} ra_uploaded;

/* *uploaded <- n numbers of the host, which must not change while it is used. */
ra_status ra_uploaded_set(ra_uploaded *uploaded, ra_backend *backend, const float *host, size_t n,
                          ra_error *err);

/* score [m,n], host memory <- -2 a b^T; a [m,d] and b [n,d] are backend memory, `memory` is for a device's
 * scores. */
ra_status ra_scores(ra_buffer *memory, ra_backend *backend, const float *a, size_t m, const float *b,
                    size_t n, size_t d, float *score, ra_error *err);

#endif
