/* fit.h - the share of a batch's variance that its reconstruction explains. Thread safety: one thread. */
#ifndef RA_TRAIN_FIT_H
#define RA_TRAIN_FIT_H

#include "ra_group.h"

typedef struct ra_fit {
    double r2_per_dimension; /* 1 - residual / sum of squares about each dimension's mean */
    double r2;               /* the same about one mean of all numbers, as in overcomplete */
} ra_fit;                    /* NaN where there is no variance */

/* The sums of squares of a batch: about each dimension's mean, and of these about one mean. */
typedef struct ra_spread {
    double within, between;
} ra_spread;

/* x [rows,d]: this member's slice of a batch of total_rows rows, in host memory. */
ra_status ra_spread_measure(const ra_group *group, const float *x, size_t rows, size_t d, size_t total_rows,
                            ra_spread *spread, ra_error *err);

/* residual: ||x - x_hat||^2 of the whole batch */
ra_fit ra_fit_of(ra_spread spread, double residual);

#endif
