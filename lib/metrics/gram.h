/* gram.h - X^T X and X X^T in float64.
 *
 * Thread safety: plain functions of their arguments; the same result for any number of threads.
 */
#ifndef RA_METRICS_GRAM_H
#define RA_METRICS_GRAM_H

#include "base/pool.h"

#include <stddef.h>

/* The upper triangle of gram [d,d] += that of X^T X for X [rows,d]. */
void ra_gram_add(ra_pool *pool, const double *X, size_t rows, size_t d, double *gram);

/* gram [d,d] <- X^T X for X [rows,d], both triangles. `block` [RA_GRAM_BLOCK,d] is scratch. */
enum { RA_GRAM_BLOCK = 256 };
void ra_gram(ra_pool *pool, const float *X, size_t rows, size_t d, double *block, double *gram);

/* The same from the other side: gram [rows,rows] <- X X^T. */
void ra_gram_of_rows(ra_pool *pool, const float *X, size_t rows, size_t d, double *gram);

/* The lower triangle from the upper one. */
void ra_gram_mirror(double *gram, size_t n);

#endif
