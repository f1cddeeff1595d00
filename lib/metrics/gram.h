/* gram.h - X^T X and X X^T in float64.
 *
 * Thread safety: plain functions of their arguments; the number of threads changes no result.
 */
#ifndef RA_METRICS_GRAM_H
#define RA_METRICS_GRAM_H

#include "ra_status.h"
#include "base/pool.h"

#include <stddef.h>

/* Once before the others, with their pool. */
ra_status ra_gram_prepare(ra_pool *pool, ra_error *err);

/* The upper triangle of gram [d,d] += that of X^T X for X [rows,d]; numbers close below the diagonal also change. */
void ra_gram_add(ra_pool *pool, const double *X, size_t rows, size_t d, double *gram);

/* gram [d,d] <- X^T X for X [rows,d]. chunk [RA_GRAM_ROWS,d] is scratch memory. */
enum { RA_GRAM_ROWS = 256 };
void ra_gram(ra_pool *pool, const float *X, size_t rows, size_t d, double *chunk, double *gram);

/* gram [rows,rows] <- X X^T. */
void ra_gram_of_rows(ra_pool *pool, const float *X, size_t rows, size_t d, double *gram);

/* The lower triangle of gram [n,n] <- the upper one. */
void ra_gram_mirror(double *gram, size_t n);

#endif
