/* vectors.h - what the library does with rows of numbers outside a backend: dot products, rows of any float
 * type, standardization, passes over a whole tensor.
 *
 * Sums run in lanes that a compiler keeps in vector registers. Their order is fixed by n alone, so a result
 * does not depend on the machine's vector width beyond the rounding of fused multiply-adds.
 *
 * Thread safety: plain functions of their arguments; the same result for any number of threads.
 */
#ifndef RA_TENSOR_VECTORS_H
#define RA_TENSOR_VECTORS_H

#include "ra_tensor.h"
#include "base/pool.h"

/* ---- dot products of n elements; x and y may be the same ----------------------------------------------- */

float ra_dot_f32(const float *x, const float *y, size_t n);  /* sums in float32 */
double ra_dot_f64(const float *x, const float *y, size_t n); /* exact products, sums in float64 */
double ra_dot_doubles(const double *x, const double *y, size_t n);

/* ---- rows of a float tensor [rows,n] of any type ------------------------------------------------------- */

const void *ra_tensor_row(const ra_tensor *tensor, size_t row);

/* n elements of a row from column `from` on, as float32: in place if they are float32, else widened into
 * chunk. */
const float *ra_row_widen(ra_dtype dtype, const void *row, size_t from, size_t n, float *chunk);

/* ra_dot_f64() with such a row. */
double ra_row_dot(ra_dtype dtype, const void *row, const float *y, size_t n);

/* norm [rows] <- ||row||; a row with a NaN or an infinity has no finite norm. */
void ra_tensor_row_norms(const ra_tensor *tensor, ra_pool *pool, double *norm);

/* Index of the first NaN or infinity; the number of elements if there is none. */
size_t ra_tensor_find_not_finite(const ra_tensor *tensor, ra_pool *pool);

/* ---- standardization ----------------------------------------------------------------------------------- */

/* x [rows,d] <- (x - mean) / scale, and back: x * scale + mean; mean, scale [d]. Training standardizes its
 * data and a model its inputs with the same function, so that both get the same bits. */
void ra_standardize_rows(float *x, size_t rows, size_t d, const float *mean, const float *scale);
void ra_unstandardize_rows(float *x, size_t rows, size_t d, const float *mean, const float *scale);

#endif
