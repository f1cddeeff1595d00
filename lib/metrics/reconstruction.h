/* reconstruction.h - the sums of an evaluation: inputs, their reconstructions, their codes.
 *
 * Rows are added one by one, in float64, so the sums do not depend on how the rows are divided into calls.
 * Thread safety: one thread at a time.
 */
#ifndef RA_METRICS_RECONSTRUCTION_H
#define RA_METRICS_RECONSTRUCTION_H

#include "ra_metrics.h"

typedef struct ra_reconstruction {
    size_t rows, dimensions, concepts; /* the rows so far; d, K */
    size_t relative_rows;              /* those that are not all zeros */
    /* sums over rows */
    double squares;                  /* ||x - x_hat||^2 */
    double l1, l2;                   /* ||x - x_hat|| */
    double relative_l1, relative_l2; /* ||x - x_hat|| / ||x||, of relative_rows rows */
    double active, hoyer, kappa_4, l1_l2;
    double codes_l1, codes_l2, codes_lp; /* ||z||, the last with p = 1/2 */
    /* of each dimension [d]: sums of differences from the first row, so that a large mean loses no digits */
    double *origin, *sum, *square;
    bool *used; /* [K] the latent was active */
} ra_reconstruction;

ra_status ra_reconstruction_init(ra_reconstruction *sums, size_t dimensions, size_t concepts, ra_error *err);
void ra_reconstruction_release(ra_reconstruction *sums); /* leaves {0} */

/* x, x_hat [B,d], codes [B,K]. */
void ra_reconstruction_add(ra_reconstruction *sums, const float *x, const float *x_hat,
                           const ra_codes *codes);

/* Fills the metrics of the rows, at least one; leaves the others as they are. */
void ra_reconstruction_result(const ra_reconstruction *sums, ra_evaluation_result *result);

#endif
