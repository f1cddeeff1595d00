/* shift.h - codes about a value near their mean, for latents that hardly vary.
 *
 * A sum of products of codes loses the digits of a covariance when means are many deviations. So a latent that is
 * active on all of the first rows, always with about the same code, is taken about its first one. Its shifted code is
 * not zero where the latent is inactive; there are few such latents, and codes stay sparse.
 *
 * Thread safety: one shift per thread. */
#ifndef RA_METRICS_SHIFT_H
#define RA_METRICS_SHIFT_H

#include "ra_tensor.h"

typedef struct ra_shift {
    float *by;      /* [K] 0: the latent is not shifted; NULL: not chosen yet */
    int32_t *which; /* [count] the shifted latents, ascending */
    size_t count;
    ra_codes codes; /* the last result */
} ra_shift;

void ra_shift_release(ra_shift *shift); /* leaves {0}, which is valid */

/* Chooses from the first rows, once: later calls do nothing. */
ra_status ra_shift_choose(ra_shift *shift, const ra_codes *first, ra_error *err);

/* *shifted <- the codes minus their shifts, which are `codes` if no latent has one; they belong to the shift and hold
 * until the next call. */
ra_status ra_shift_apply(ra_shift *shift, const ra_codes *codes, const ra_codes **shifted, ra_error *err);

#endif
