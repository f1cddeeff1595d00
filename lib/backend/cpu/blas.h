/* blas.h - OpenBLAS as a whole: its threads; and its product in float64. */
#ifndef RA_BACKEND_CPU_BLAS_H
#define RA_BACKEND_CPU_BLAS_H

#include <stddef.h>

/* The threads are ours (gemm.c says why). For the whole process; may be called more than once. */
void cpu_blas_use_one_thread(void);

/* c [m,n] += a^T b for a [k,m] and b [k,n] in float64, on the calling thread, after cpu_blas_use_one_thread(). From one
 * row to the next there are `step` numbers, in all three. */
void cpu_blas_add_product(size_t m, size_t n, size_t k, const double *a, const double *b, size_t step,
                          double *c);

#endif
