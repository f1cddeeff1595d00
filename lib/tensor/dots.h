/* dots.h - dot products of a few rows with many: A times B transposed where A is small. */
#ifndef RA_TENSOR_DOTS_H
#define RA_TENSOR_DOTS_H

#include "ra_tensor.h"

#include <stddef.h>

/* The rows of A, [m,k], and of B, [n,k], with lda and ldb elements from one row to the next. B is of `type`: RA_F32, RA_F16 or
 * RA_BF16, whose numbers are widened on their way into the registers. */
typedef struct ra_dots {
    const float *a;
    const void *b;
    ra_dtype type;
    size_t m, n, k, lda, ldb;
} ra_dots;

/* c [m,n] <- alpha A Bᵀ + beta c, with ldc elements from one row of c to the next; c is only written when beta is 0.
 *
 * The order in which the products of one element are added depends on k alone: neither on m and n, nor on where the
 * element stands, nor on the machine's vector width. So a row has the same result alone and among others.
 *
 * Thread safety: plain functions of their arguments, on the calling thread. */
void ra_dots_run(const ra_dots *dots, float alpha, float beta, float *c, size_t ldc);

/* The most rows of A, k numbers each, for which this is faster on this machine than OpenBLAS's sgemm at its best
 * settings; measured beside OpenBLAS 0.3.21 on one core. */
size_t ra_dots_most_rows(size_t k);

#endif
