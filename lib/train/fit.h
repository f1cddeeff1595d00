/* fit.h - the share of a batch's variance that its reconstruction explains. Thread safety: one thread. */
#ifndef RA_TRAIN_FIT_H
#define RA_TRAIN_FIT_H

#include "ra_group.h"

typedef struct ra_fit {
    double r2_per_dimension; /* 1 - residual / sum of squares about each dimension's mean */
    double r2;               /* the same about one mean of all numbers, as in overcomplete */
} ra_fit;                    /* NaN where there is no variance */

/* x [rows,d]: this member's slice of a batch of total_rows rows, in host memory; residual: ||x - x_hat||^2 of the
 * whole batch. */
ra_status ra_fit_measure(const ra_group *group, const float *x, size_t rows, size_t d, size_t total_rows,
                         double residual, ra_fit *fit, ra_error *err);

#endif
