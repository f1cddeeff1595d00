/* C [m,n] <- alpha op(A) op(B) + beta C by cuBLAS, in float32; with factors of TF32 where the option asks
 * (stream.c).
 *
 * cuBLAS reads matrices by columns; a matrix by rows is its transpose by columns. So it is asked for C^T =
 * op(B)^T op(A)^T, with the operands swapped and nothing moved.
 *
 * 2 m n k operations for 4 (m k + k n + 2 m n) bytes: bound by the arithmetic as soon as all of m, n and k
 * are some hundreds. */
#include "backend/cuda/operations.h"

#include <limits.h>

ra_status cuda_product(ra_backend_stream *s, const cuda_factor *a, const cuda_factor *b, size_t m, size_t n,
                       size_t k, float alpha, float beta, float *c, size_t ldc, ra_error *err) {
    if (m == 0 || n == 0) return RA_OK;
    if (m > INT64_MAX || n > INT64_MAX || k > INT64_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "a product of [%zu, %zu] and [%zu, %zu] is too large", m, k, k, n);
    cublasStatus_t code = s->context->blas.sgemm(s->blas, b->transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                                                 a->transposed ? CUBLAS_OP_T : CUBLAS_OP_N, (int64_t)n,
                                                 (int64_t)m, (int64_t)k, &alpha, b->numbers, (int64_t)b->ld,
                                                 a->numbers, (int64_t)a->ld, &beta, c, (int64_t)ldc);
    return cublas_check(s->context, code, "a matrix product", err);
}

ra_status cuda_gemm(void *self, ra_backend_stream *stream, bool transpose_a, bool transpose_b, size_t m,
                    size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                    float beta, float *c, size_t ldc, ra_error *err) {
    ra_backend_stream *s;
    if (m == 0 || n == 0) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return cuda_leave(s,
                      cuda_product(s, &(cuda_factor){a, lda, transpose_a},
                                   &(cuda_factor){b, ldb, transpose_b}, m, n, k, alpha, beta, c, ldc, err));
}
