/* products.h - dot products between vectors of the host, computed wherever the backend computes.
 *
 * On the CPU the vectors are used where they lie and scores are written where they are wanted. A device gets
 * copies: of vectors that are used in many products once (ra_held), of scores for each product.
 *
 * Thread safety: one thread at a time.
 */
#ifndef RA_POINTS_PRODUCTS_H
#define RA_POINTS_PRODUCTS_H

#include "ra_backend.h"

/* Vectors where the backend can read them. {0} holds nothing. */
typedef struct ra_held {
    const float *vectors; /* backend memory: the host's own, or the block's */
    ra_buffer block;
} ra_held;

/* Holds n numbers of the host's, which must stay as they are while they are held. Released with
 * ra_buffer_release() of its block. */
ra_status ra_held_set(ra_held *held, ra_backend *backend, const float *host, size_t n, ra_error *err);

/* score [m,n], host memory <- -2 a b^T, a [m,d] and b [n,d] backend memory. room: for scores on a device. */
ra_status ra_score_products(ra_buffer *room, ra_backend *backend, const float *a, size_t m, const float *b,
                            size_t n, size_t d, float *score, ra_error *err);

#endif
