/* lapack.h - eigenvalues of symmetric matrices, in float64, by the LAPACK that OpenBLAS contains.
 *
 * Thread safety: plain functions of their arguments. Each runs on the calling thread, so the result does not
 * depend on a number of threads.
 */
#ifndef RA_BACKEND_CPU_LAPACK_H
#define RA_BACKEND_CPU_LAPACK_H

#include "ra_status.h"

/* values [n] <- the eigenvalues of A [n,n], ascending. A is symmetric and destroyed. */
ra_status ra_eigenvalues(double *A, size_t n, double *values, ra_error *err);

/* *value <- the largest eigenvalue of a symmetric tridiagonal matrix: diagonal [n], and beside [n-1] at
 * (i,i+1) and (i+1,i). n is at least 1. */
ra_status ra_tridiagonal_largest(const double *diagonal, const double *beside, size_t n, double *value,
                                 ra_error *err);

#endif
