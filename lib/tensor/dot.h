/* dot.h - dot products: of float32 vectors, summed in float32 or in float64, and of float64 vectors.
 *
 * Sums run in lanes that a compiler keeps in vector registers; the order is fixed by n alone, so a result
 * does not depend on the machine's vector width beyond the rounding of fused multiply-adds. */
#ifndef RA_TENSOR_DOT_H
#define RA_TENSOR_DOT_H

#include <stddef.h>

/* x . y of n elements; x and y may be the same. */
float ra_dot_f32(const float *x, const float *y, size_t n);

/* The same with every product exact and every sum in float64. */
double ra_dot_f64(const float *x, const float *y, size_t n);

/* The same of float64 vectors. */
double ra_dot_doubles(const double *x, const double *y, size_t n);

#endif
