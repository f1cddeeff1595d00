/* assignment.h - ra_assignment() (ra_metrics.h) for callers that tell how far it is.
 *
 * Thread safety: plain functions of their arguments. */
#ifndef RA_METRICS_ASSIGNMENT_H
#define RA_METRICS_ASSIGNMENT_H

#include "ra_metrics.h"

/* Called with the number of rows that have a column, of n; false stops with RA_ERR_CANCELED. */
typedef bool ra_assignment_progress(void *context, size_t settled);

/* progress may be NULL; the last call has all n rows. */
ra_status ra_assignment_watched(const float *cost, size_t n, int32_t *match, double *total,
                                ra_assignment_progress *progress, void *context, ra_error *err);

#endif
