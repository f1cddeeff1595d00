/* gather.h - weighted sums of some rows of a matrix: a reconstruction from the active latents, the gradient of an atom from the rows
 * in which it was active. */
#ifndef RA_TENSOR_GATHER_H
#define RA_TENSOR_GATHER_H

#include "ra_tensor.h"

#include <stddef.h>
#include <stdint.h>

/* `count` of the rows of a matrix, which are of `type` (RA_F32, RA_F16 or RA_BF16) and `stride` numbers apart, with their
 * weights. `index` goes on for `more` entries, whose rows will be wanted next: some are asked for ahead. */
typedef struct ra_gather {
    const void *rows;
    ra_dtype type;
    size_t stride;
    const uint32_t *index;
    const float *weight;
    size_t count, more;
} ra_gather;

/* y [n] += the weighted sum of the first n numbers of each row, which are added one after the other.
 *
 * Thread safety: a plain function of its arguments, on the calling thread. */
void ra_gather_add(const ra_gather *gather, size_t n, float *y);

#endif
