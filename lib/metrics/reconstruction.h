/* reconstruction.h - the running sums of an evaluation: inputs, their reconstructions, their codes.
 *
 * Row follows row in float64, so that the same rows give the same sums however they are cut into calls.
 */
#ifndef RA_METRICS_RECONSTRUCTION_H
#define RA_METRICS_RECONSTRUCTION_H

#include "ra_metrics.h"

typedef struct ra_reconstruction {
    size_t rows, dimensions, concepts; /* so far; d, K */
    /* sums over rows */
    double squares;                  /* ||x - x_hat||^2 */
    double l1, l2;                   /* ||x - x_hat|| */
    double relative_l1, relative_l2; /* ||x - x_hat|| / (||x|| + 1e-6) */
    double active, hoyer, kappa_4, l1_l2;
    double codes_l1, codes_l2, codes_lp; /* ||z||, the last with p = 1/2 */
    /* of each dimension [d], about the first row: a large mean does not cancel the variance away */
    double *origin, *sum, *square;
    bool *used; /* [K] active at least once */
} ra_reconstruction;

ra_status ra_reconstruction_init(ra_reconstruction *sums, size_t dimensions, size_t concepts, ra_error *err);
void ra_reconstruction_release(ra_reconstruction *sums); /* leaves {0} */

/* x, x_hat [B,d], codes [B,K]. */
void ra_reconstruction_add(ra_reconstruction *sums, const float *x, const float *x_hat,
                           const ra_codes *codes);

/* The figures of at least one row; those of the dictionary are left alone. */
void ra_reconstruction_result(const ra_reconstruction *sums, ra_evaluation_result *result);

#endif
