/* by_latent.h - the entries of codes in the order of their latents, as a transposed matrix has them. */
#ifndef RA_TENSOR_BY_LATENT_H
#define RA_TENSOR_BY_LATENT_H

#include "ra_tensor.h"

/* A counting sort: start [K+1] <- where each latent's entries begin; row, sorted [entries] <- their rows,
 * ascending, and their values. value [entries]: codes->value, or others in its order. Fewer than 2^32 rows.
 * Thread safety: a plain function of its arguments. */
void ra_codes_by_latent(const ra_codes *codes, const float *value, size_t *start, uint32_t *row,
                        float *sorted);

#endif
