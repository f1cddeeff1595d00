/* The operations on dense memory that return nothing to the host: each is one launch (rows.cu, elementwise.cu,
 * adam.cu) or, a matrix product, one call of cuBLAS. */
#include "backend/cuda/operations.h"

#include <limits.h>
#include <math.h>

_Static_assert((int)RA_CUDA_ROW_STILL == (int)RA_ROW_STILL, "launch.h repeats it for C++");

cuda_width cuda_width_of(ra_dtype dtype) {
    return dtype == RA_F32 ? CUDA_WIDTH_F32 : dtype == RA_F16 ? CUDA_WIDTH_F16 : CUDA_WIDTH_BF16;
}

ra_status cuda_project_simplex(ra_backend_stream *s, float *W, size_t rows, size_t n, ra_error *err) {
    cudaError_t code = ra_cuda_project_simplex(s->handle, W, rows, n);
    return cuda_check(s->context, code, "a projection onto the simplex", err);
}

ra_status cuda_project_ball(ra_backend_stream *s, float *R, size_t rows, size_t n, float radius,
                            ra_error *err) {
    cudaError_t code = ra_cuda_project_ball(s->handle, R, rows, n, radius);
    return cuda_check(s->context, code, "a projection into the ball", err);
}

ra_status cuda_axpby(ra_backend_stream *s, float alpha, const float *x, float beta, float *y, size_t n,
                     ra_error *err) {
    cudaError_t code = ra_cuda_axpby(s->handle, alpha, x, beta, y, n);
    return cuda_check(s->context, code, "a sum of arrays", err);
}

ra_status cuda_relu(ra_backend_stream *s, const float *x, float *y, size_t n, ra_error *err) {
    return cuda_check(s->context, ra_cuda_relu(s->handle, x, y, n), "a relu", err);
}

ra_status cuda_widen(ra_backend_stream *s, ra_dtype dtype, const void *source, float *target, size_t n,
                     ra_error *err) {
    if (!ra_dtype_is_float(dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "numbers of type %s cannot be widened: expected F32, F16 or BF16",
                ra_dtype_name(dtype));
    cudaError_t code = ra_cuda_widen(s->handle, cuda_width_of(dtype), source, target, n);
    return cuda_check(s->context, code, "a conversion", err);
}

ra_status cuda_broadcast_row(ra_backend_stream *s, const float *row, float *y, size_t rows, size_t n,
                             ra_error *err) {
    return cuda_check(s->context, ra_cuda_broadcast_row(s->handle, row, y, rows, n), "copies of a row", err);
}

ra_status cuda_gather_rows(ra_backend_stream *s, const float *source, const int32_t *rows, size_t count,
                           size_t n, float *target, ra_error *err) {
    cudaError_t code = ra_cuda_gather_rows(s->handle, source, rows, count, n, target);
    return cuda_check(s->context, code, "a copy of rows", err);
}

ra_status cuda_adam(ra_backend_stream *s, const ra_adam_step *step, float *parameter, const float *gradient,
                    const int32_t *gradient_row, float *first, float *second, size_t rows, size_t n,
                    ra_error *err) {
    cuda_adam_factors factors = {.scale = (float)step->grad_scale,
                                 .rest1 = (float)(1 - step->beta1),
                                 .beta2 = (float)step->beta2,
                                 .rest2 = (float)(1 - step->beta2),
                                 .rate = (float)(step->lr / step->bias1),
                                 .root = (float)(1 / sqrt(step->bias2)),
                                 .epsilon = (float)step->epsilon,
                                 .keep = (float)(1 - step->lr * step->decay)};
    cudaError_t code =
        ra_cuda_adam(s->handle, factors, parameter, gradient, gradient_row, first, second, rows, n);
    return cuda_check(s->context, code, "a step of Adam", err);
}

/* ---- matrix products ----------------------------------------------------------------------------------- */

/* C [m,n] <- alpha op(A) op(B) + beta C by cuBLAS, in float32, or with factors of TF32 if the option asks for
 * it (stream.c).
 *
 * cuBLAS reads matrices by columns, and a matrix by rows is its transpose by columns. So cuBLAS computes C^T
 * = op(B)^T op(A)^T: the operands swap places, and nothing is moved.
 *
 * 2 m n k operations for 4 (m k + k n + 2 m n) bytes: bound by arithmetic once m, n and k are some
 * hundreds. */
ra_status cuda_gemm(ra_backend_stream *s, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                    float alpha, const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                    size_t ldc, ra_error *err) {
    if (m == 0 || n == 0) return RA_OK;
    if (lda == 0) lda = 1; /* of a matrix with no columns, which cuBLAS refuses */
    if (ldb == 0) ldb = 1;
    if (m > INT64_MAX || n > INT64_MAX || k > INT64_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "a product of [%zu, %zu] and [%zu, %zu] is too large", m, k, k, n);
    cublasStatus_t code = s->context->blas->sgemm(
        s->blas, transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, (int64_t)n,
        (int64_t)m, (int64_t)k, &alpha, b, (int64_t)ldb, a, (int64_t)lda, &beta, c, (int64_t)ldc);
    return cublas_check(s->context, code, "a matrix product", err);
}

ra_status cuda_dots(ra_backend_stream *s, const float *a, size_t m, ra_dtype dtype, const void *b, size_t n,
                    size_t k, float *c, size_t ldc, ra_error *err) {
    if (!ra_dtype_is_float(dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "rows of type %s cannot be multiplied: expected F32, F16 or BF16",
                ra_dtype_name(dtype));
    return cuda_check(s->context, ra_cuda_dots(s->handle, a, m, cuda_width_of(dtype), b, n, k, c, ldc),
                      "dot products", err);
}
