/* covariance.h - mean and covariance of rows that come in any number of calls.
 *
 * Rows are gathered to blocks, so that the result does not depend on how they are cut into calls.
 */
#ifndef RA_METRICS_COVARIANCE_H
#define RA_METRICS_COVARIANCE_H

#include "ra_status.h"
#include "base/pool.h"

typedef struct ra_covariance {
    ra_pool *pool;  /* not owned */
    size_t rows, d; /* so far */
    size_t waiting; /* rows in block, not yet in the sums */
    double *block;  /* [RA_GRAM_BLOCK,d] */
    double *origin; /* [d] mean of the first block, which rows are taken about */
    double *sum;    /* [d] */
    double *square; /* [d,d] sum of products, the upper triangle */
} ra_covariance;

/* On failure nothing is left behind. */
ra_status ra_covariance_init(ra_covariance *sums, ra_pool *pool, size_t d, ra_error *err);
void ra_covariance_release(ra_covariance *sums); /* leaves {0} */

/* x [rows,d] */
void ra_covariance_add(ra_covariance *sums, const float *x, size_t rows);

/* mean [d], covariance [d,d] (over rows - 1) of at least two rows. */
ra_status ra_covariance_measure(const ra_covariance *sums, double *mean, double *covariance, ra_error *err);

/* The Frechet distance of two samples with as many rows and dimensions (distribution.c): five more matrices
 * [d,d] of float64. RA_ERR_ARGUMENT for fewer than two rows. */
ra_status ra_covariance_frechet(const ra_covariance *X, const ra_covariance *Y, double *value, ra_error *err);

#endif
