/* gram.h - X^T X and X X^T of a float32 matrix, in float64.
 *
 * Thread safety: plain functions of their arguments; the same result for any number of threads.
 */
#ifndef RA_METRICS_GRAM_H
#define RA_METRICS_GRAM_H

#include "base/pool.h"

#include <stddef.h>

/* gram [d,d] <- X^T X for X [rows,d]. */
void ra_gram(ra_pool *pool, const float *X, size_t rows, size_t d, double *gram);

/* The same from the other side: gram [rows,rows] <- X X^T. */
void ra_gram_of_rows(ra_pool *pool, const float *X, size_t rows, size_t d, double *gram);

#endif
