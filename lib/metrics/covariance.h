/* covariance.h - mean and covariance of rows that are added in any number of calls.
 *
 * Rows are collected in chunks, so the result does not depend on how they are divided into calls.
 * Thread safety: one thread at a time; inside, it uses the threads of its pool.
 */
#ifndef RA_METRICS_COVARIANCE_H
#define RA_METRICS_COVARIANCE_H

#include "ra_status.h"
#include "base/pool.h"

typedef struct ra_covariance {
    ra_pool *pool;  /* not owned */
    size_t rows, d; /* the rows so far */
    size_t waiting; /* rows in `chunk` that are not in the sums yet */
    double *chunk;  /* [RA_GRAM_ROWS,d] */
    double *origin; /* [d] the mean of the first chunk, which is subtracted from all rows */
    double *sum;    /* [d] */
    double *square; /* [d,d] the upper triangle of X^T X */
} ra_covariance;

ra_status ra_covariance_init(ra_covariance *sums, ra_pool *pool, size_t d, ra_error *err);
void ra_covariance_release(ra_covariance *sums); /* leaves {0} */

/* x [rows,d] */
void ra_covariance_add(ra_covariance *sums, const float *x, size_t rows);

/* mean [d], covariance [d,d] (divided by rows - 1); needs at least two rows. */
ra_status ra_covariance_measure(const ra_covariance *sums, double *mean, double *covariance, ra_error *err);

/* The Frechet distance of two samples of the same shape (distribution.c). It needs five more matrices [d,d]
 * of float64. RA_ERR_ARGUMENT for fewer than two rows. */
ra_status ra_covariance_frechet(const ra_covariance *X, const ra_covariance *Y, double *value, ra_error *err);

#endif
