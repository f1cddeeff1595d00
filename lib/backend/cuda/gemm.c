/* C [m,n] <- alpha op(A) op(B) + beta C by cuBLAS, in float32, or with factors of TF32 if the option asks for
 * it (stream.c).
 *
 * cuBLAS reads matrices by columns, and a matrix by rows is its transpose by columns. So cuBLAS computes C^T
 * = op(B)^T op(A)^T: the operands swap places, and nothing is moved.
 *
 * 2 m n k operations for 4 (m k + k n + 2 m n) bytes: bound by arithmetic once m, n and k are some
 * hundreds. */
#include "backend/cuda/operations.h"

#include <limits.h>

ra_status cuda_gemm(ra_backend_stream *s, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                    float alpha, const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                    size_t ldc, ra_error *err) {
    if (m == 0 || n == 0) return RA_OK;
    if (m > INT64_MAX || n > INT64_MAX || k > INT64_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "a product of [%zu, %zu] and [%zu, %zu] is too large", m, k, k, n);
    cublasStatus_t code = s->context->blas.sgemm(
        s->blas, transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, (int64_t)n,
        (int64_t)m, (int64_t)k, &alpha, b, (int64_t)ldb, a, (int64_t)lda, &beta, c, (int64_t)ldc);
    return cublas_check(s->context, code, "a matrix product", err);
}
