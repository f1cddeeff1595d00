/* spectrum.h - eigenvalues of symmetric matrices, in float64.
 *
 * Thread safety: plain functions of their arguments.
 */
#ifndef RA_METRICS_SPECTRUM_H
#define RA_METRICS_SPECTRUM_H

#include "ra_status.h"

#include <stddef.h>

/* A symmetric tridiagonal matrix: diagonal[i] at (i,i), beside[i] at (i,i+1) and (i+1,i). */
typedef struct ra_tridiagonal {
    double *diagonal; /* [n] */
    double *beside;   /* [n - 1] */
    size_t n;
} ra_tridiagonal;

/* The k-th smallest eigenvalue, k = 0 .. n-1, as exactly as float64 holds it beside the largest. */
double ra_tridiagonal_eigenvalue(const ra_tridiagonal *matrix, size_t k);

/* A [n,n], symmetric and destroyed, becomes a tridiagonal matrix with the same eigenvalues; diagonal and
 * beside have room for n. */
void ra_tridiagonalize(double *A, size_t n, ra_tridiagonal *matrix);

#endif
