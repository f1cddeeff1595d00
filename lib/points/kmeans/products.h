/* products.h - the scores (scores.h) of candidates for a center with the rows of the sample.
 *
 * To rank candidates and to find the rows that may be nearer to a new center takes no more than 8 bits
 * (tensor/coarse.h), for which some processors have instructions. On others and on devices the same products of integers
 * are computed in float32: exactly, up to 1,040 dimensions, so that all of them choose the same seeds. Of few dimensions,
 * products are in float32 from the start.
 *
 * Symbols: S rows of the sample, d dimensions.
 * Thread safety: one thread at a time; inside, it uses the threads of its backend. */
#ifndef RA_POINTS_KMEANS_PRODUCTS_H
#define RA_POINTS_KMEANS_PRODUCTS_H

#include "points/scores.h"
#include "tensor/coarse.h"

typedef struct ra_seed_products {
    ra_backend *backend;
    const float *vector;           /* [S,d] the caller's */
    size_t rows, d, capacity;      /* S; candidates at once */
    size_t inner;                  /* d, or the width of rounded rows */
    bool is_rounded;               /* rows have 8 bits ... */
    bool coarse;                   /* ... and instructions for that */
    ra_coarse rounded, candidates; /* `vector`, as columns for these instructions, and `proposed` */
    float *widened;                /* [WIDENED_ROWS,inner] without them, integers of a part as float32 */
    float *proposed;               /* [capacity,inner] */
    ra_uploaded sample, uploaded;  /* `vector`, or its integers, and `proposed` */
    ra_buffer memory;              /* for a device's scores */
    float *none;                   /* [S] zeros, if nothing is rounded */
    const float *lost, *whole;     /* [S] lengths: what rounding loses of a row, and the row */
} ra_seed_products;

/* vector [S,d], which must stay. The products must be released even if this fails. */
ra_status ra_seed_products_init(ra_seed_products *products, ra_backend *backend, const float *vector,
                                size_t rows, size_t d, size_t capacity, ra_error *err);
void ra_seed_products_release(ra_seed_products *products);

/* score [count,rows] <- those of the rows at these positions [count <= capacity] with the first `rows` of the sample. Beside
 * what float32 loses (scores.h), that of i and j is off by at most 2 (lost_i whole_j + whole_i lost_j). */
ra_status ra_seed_scores(ra_seed_products *products, const size_t *positions, size_t count, size_t rows,
                         float *score, ra_error *err);

#endif
