/* codes.h - sums over one row of codes, and its sparsity. Thread safety: plain functions of their arguments. */
#ifndef RA_METRICS_CODES_H
#define RA_METRICS_CODES_H

#include "ra_tensor.h"

/* Sums over the entries of row b. */
typedef struct ra_row_sums {
    size_t active; /* entries that are not 0 */
    double l1;     /* sum |z| */
    double root;   /* sum |z|^(1/2) */
    double square, fourth;
} ra_row_sums;

ra_row_sums ra_codes_row_sums(const ra_codes *codes, size_t b);

double ra_l1_l2_of(const ra_row_sums *sums);
double ra_hoyer_of(const ra_row_sums *sums, size_t latents);
double ra_kappa_4_of(const ra_row_sums *sums);

/* |correlation| from sums over rows of products about the means; 0 for a latent that varies by no more than
 * rounding. */
double ra_correlation_of(double covariance, double variance_a, double variance_b, double rows, double mean_a,
                         double mean_b);

#endif
