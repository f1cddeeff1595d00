/* pursuit.h - matching pursuit: codes from the input and the dictionary alone (overcomplete 0.3.0,
 * sae/mp_sae.py; Mallat and Zhang 1993).
 *
 *     r <- x;  k times:  j <- argmax r . D_j,  v <- r . D_j,  z_j += v,  r <- r - v D_j
 *
 * The largest dot product counts, not the largest absolute one; an atom may be taken again; atoms are taken
 * as they are, not normalized. v is negative when every dot product is.
 */
#ifndef RA_SAE_PURSUIT_H
#define RA_SAE_PURSUIT_H

#include "ra_sae.h"

/* What a pursuit leaves for its backward pass; reused, grows. {0} is valid. Blocks are backend memory. */
typedef struct ra_pursuit {
    size_t rows, steps; /* B, k */
    ra_buffer atom;     /* int32 [B,k] in the order in which they were taken */
    ra_buffer value;    /* [B,k] */
    ra_buffer residual; /* [B,d] after the last step */
    ra_buffer gram;     /* [K,K] D D^T, when it saves work; training only */
    ra_buffer entry;    /* backward: int32 [B,k], which entry of the codes each step added to */
    ra_buffer gradient; /* backward: [B,k], of that entry */
    ra_buffer push;     /* backward: [rows of a block * k, d] */
    ra_buffer room;     /* backward: [rows of a block, 2, d] */
    ra_codes single;    /* backward: the block's steps as codes of one entry each */
    int32_t *taken;     /* [B,k] the host's copy of atom */
    float *added;       /* [B,k] that of value */
    size_t capacity;    /* of these two */
} ra_pursuit;

void ra_pursuit_release(ra_pursuit *pursuit);

/* codes <- k steps on each row of x [B,d]. scores [B,K] holds x D^T and is overwritten. In training an atom
 * that was taken stays in the codes even when its values sum to 0, so that they name every atom that receives
 * a gradient. */
ra_status ra_pursuit_run(ra_pursuit *pursuit, ra_stream stream, const float *D, size_t concepts,
                         size_t dimensions, const float *x, size_t rows, size_t steps, bool training,
                         float *scores, ra_codes *codes, ra_error *err);

/* dD [K,d] += what reaches D through the choice of codes, from dvalue, the gradient of each entry of the
 * codes (backend memory): that of the whole greedy process, choices held fixed, as autograd gives it. What
 * reaches D through decoding is not in it. */
ra_status ra_pursuit_backward(ra_pursuit *pursuit, ra_backend *backend, const float *D, size_t dimensions,
                              const ra_codes *codes, const float *dvalue, float *dD, ra_error *err);

#endif
