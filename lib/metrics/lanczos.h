/* lanczos.h - the largest eigenvalue of a symmetric matrix A of which only the product with a vector is
 * given.
 *
 * Thread safety: plain functions of their arguments.
 */
#ifndef RA_METRICS_LANCZOS_H
#define RA_METRICS_LANCZOS_H

#include "ra_status.h"

#include <stddef.h>

/* product [n] <- A v, v [n]. No negative eigenvalue of A has a larger magnitude than the largest. */
typedef void ra_multiply(void *context, const double *v, double *product);

/* *value <- the largest eigenvalue, with a relative error of at most 1e-6. */
ra_status ra_lanczos_largest(ra_multiply *multiply, void *context, size_t n, double *value, ra_error *err);

#endif
