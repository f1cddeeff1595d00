/* vectors.h - dot products in float64 over rows of any float type, and passes over whole tensors. */
#ifndef RA_MODEL_VECTORS_H
#define RA_MODEL_VECTORS_H

#include "ra_tensor.h"
#include "base/pool.h"

/* Row `row` of a float tensor [rows, n]. */
const void *ra_tensor_row(const ra_tensor *tensor, size_t row);

/* n elements of a row from column `from` on, as float32: in place when they are, else widened into chunk. */
const float *ra_vector_widen(ra_dtype dtype, const void *row, size_t from, size_t n, float *chunk);

/* ra_dot_f64() with a row of any float type. */
double ra_vector_dot_row(ra_dtype dtype, const void *row, const float *y, size_t n);

/* norm [rows] <- ||row|| of a float tensor [rows, d]; a row with a NaN or an infinity has no finite norm. */
void ra_tensor_row_norms(const ra_tensor *tensor, ra_pool *pool, double *norm);

/* Index of the first NaN or infinity of a float tensor; the number of elements when there is none. */
size_t ra_tensor_find_not_finite(const ra_tensor *tensor, ra_pool *pool);

#endif
