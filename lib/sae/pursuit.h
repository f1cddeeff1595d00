/* pursuit.h - matching pursuit: codes from the input and the dictionary alone (Mallat and Zhang 1993; the
 * same numbers as overcomplete 0.3.0, sae/mp_sae.py).
 *
 *     r <- x, then k times
 *         j <- argmax r . D_j,  v <- r . D_j,  z_j += v,  r <- r - v D_j
 *
 * Each step takes the atom with the largest dot product, not the largest absolute one; v is negative if all
 * are. An atom may be taken several times. Atoms are not normalized.
 *
 * Thread safety: one thread at a time.
 */
#ifndef RA_SAE_PURSUIT_H
#define RA_SAE_PURSUIT_H

#include "ra_sae.h"

#include <stdatomic.h>

/* A pursuit, and what it leaves for its backward pass. Reuse it; its memory grows. {0} is valid. */
typedef struct ra_pursuit {
    size_t rows, steps;          /* B, k */
    const atomic_bool *canceled; /* by the caller: run() looks at it before each step; NULL: never */
    /* in backend memory */
    ra_buffer atom;     /* int32 [B,k] in the order of the steps */
    ra_buffer value;    /* [B,k] */
    ra_buffer residual; /* [B,d] after the last step */
    ra_buffer gram;     /* [K,K] D D^T; training, if it saves work */
    ra_buffer entry;    /* backward: int32 [B,k], the entry of the codes that each step added to */
    ra_buffer gradient; /* backward: [B,k], of that entry */
    ra_buffer vector;   /* backward: [rows of a chunk * k, d], what each step adds to dD */
    ra_buffer scratch;  /* backward: [rows of a chunk, 2, d] */
    /* in host memory */
    ra_codes single; /* backward: the steps of a chunk as rows of codes with one entry each */
    int32_t *taken;  /* [B,k] a copy of `atom` */
    float *added;    /* [B,k] a copy of `value` */
    size_t capacity; /* of these two */
} ra_pursuit;

void ra_pursuit_release(ra_pursuit *pursuit);

/* codes <- k steps for each row of x [B,d]. scores [B,K] holds x D^T and is overwritten. In training, an atom
 * that was taken is in the codes even if its values sum to 0, so that every atom with a gradient is. */
ra_status ra_pursuit_run(ra_pursuit *pursuit, ra_stream stream, const float *D, size_t concepts,
                         size_t dimensions, const float *x, size_t rows, size_t steps, bool training,
                         float *scores, ra_codes *codes, ra_error *err);

/* dD [K,d] += the gradient that passes through the codes, given dvalue, the gradient of each of their entries
 * (backend memory): that of all steps with the selected atoms held fixed, as autograd computes it. It does
 * not contain the gradient that passes through decoding. */
ra_status ra_pursuit_backward(ra_pursuit *pursuit, ra_backend *backend, const float *D, size_t dimensions,
                              const ra_codes *codes, const float *dvalue, float *dD, ra_error *err);

#endif
