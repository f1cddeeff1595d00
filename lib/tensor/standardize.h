/* standardize.h - rows in and out of standardized space. Training reads its data and a model its inputs
 * through the same function, so that both see the same bits. */
#ifndef RA_TENSOR_STANDARDIZE_H
#define RA_TENSOR_STANDARDIZE_H

#include <stddef.h>

/* x [rows,d] <- (x - mean) / scale, and back: x * scale + mean; mean, scale [d]. */
void ra_standardize_rows(float *x, size_t rows, size_t d, const float *mean, const float *scale);
void ra_unstandardize_rows(float *x, size_t rows, size_t d, const float *mean, const float *scale);

#endif
