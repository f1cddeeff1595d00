/* lanczos.h - the largest eigenvalue of a symmetric operator that is only known by what it does to a vector.
 *
 * Thread safety: plain functions of their arguments.
 */
#ifndef RA_METRICS_LANCZOS_H
#define RA_METRICS_LANCZOS_H

#include "ra_status.h"

#include <stddef.h>

/* product [n] <- A v, v [n]; A symmetric with no eigenvalue that is larger in magnitude but negative. */
typedef void ra_multiply(void *context, const double *v, double *product);

/* *value <- that eigenvalue, to 1e-6 of itself. */
ra_status ra_lanczos_largest(ra_multiply *multiply, void *context, size_t n, double *value, ra_error *err);

#endif
