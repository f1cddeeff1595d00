/* The operations on dense memory that return nothing to the host: each is one launch (rows.cu, elementwise.cu,
 * adam.cu) or, a matrix product, one call of cuBLAS. */
#include "backend/cuda/operations.h"

#include <limits.h>
#include <math.h>

_Static_assert((int)RA_CUDA_ROW_STILL == (int)RA_ROW_STILL, "launch.h repeats it for C++");
_Static_assert((int)CUDA_PROJECT_UNIT_L1 == (int)RA_PROJECT_UNIT_L1, "launch.h repeats it for C++");

cuda_width cuda_width_of(ra_dtype dtype) {
    return dtype == RA_F32 ? CUDA_WIDTH_F32 : dtype == RA_F16 ? CUDA_WIDTH_F16 : CUDA_WIDTH_BF16;
}

ra_status cuda_project_simplex(ra_backend_stream *s, float *W, size_t rows, size_t n, ra_error *err) {
    cudaError_t code = ra_cuda_project_rows(s->handle, CUDA_PROJECT_SIMPLEX, 0, W, rows, n);
    return cuda_check(s->context, code, "a projection onto the simplex", err);
}

ra_status cuda_project_ball(ra_backend_stream *s, float *R, size_t rows, size_t n, float radius,
                            ra_error *err) {
    cudaError_t code = ra_cuda_project_rows(s->handle, CUDA_PROJECT_BALL, radius, R, rows, n);
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

ra_status cuda_gather_rows(ra_backend_stream *s, float scale, const float *source, const int32_t *rows,
                           size_t count, size_t n, float *target, ra_error *err) {
    cudaError_t code = ra_cuda_gather_rows(s->handle, scale, source, rows, count, n, target);
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
                                 .keep = (float)(1 - step->lr * step->decay),
                                 .projection = (cuda_projection)step->projection,
                                 .radius = step->radius};
    cudaError_t code =
        ra_cuda_adam(s->handle, factors, parameter, gradient, gradient_row, first, second, rows, n);
    return cuda_check(s->context, code, "a step of Adam", err);
}

/* ---- matrix products ----------------------------------------------------------------------------------- */

/* A factor of a product as it lies in memory: rows of n numbers, `stride` apart. */
typedef struct factor {
    bool transposed;
    const void *data;
    cudaDataType type;
    size_t rows, n, stride;
} factor;

/* C [m,n] <- alpha op(A) op(B) + beta C, with float32 sums. cuBLAS reads matrices by columns, and a matrix by
 * rows is its transpose by columns. So cuBLAS computes C^T = op(B)^T op(A)^T: the operands swap places, and
 * nothing is moved. */
static ra_status multiply(ra_backend_stream *s, const factor *a, const factor *b, size_t m, size_t n,
                          size_t k, float alpha, float beta, float *c, size_t ldc, ra_error *err) {
    cublasComputeType_t sums = a->type == CUDA_R_32F && s->precision == RA_PRECISION_TF32
                                   ? CUBLAS_COMPUTE_32F_FAST_TF32
                                   : CUBLAS_COMPUTE_32F;
    cublasStatus_t code = s->context->blas->gemm(
        s->blas, b->transposed ? CUBLAS_OP_T : CUBLAS_OP_N, a->transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
        (int64_t)n, (int64_t)m, (int64_t)k, &alpha, b->data, b->type, (int64_t)b->stride, a->data, a->type,
        (int64_t)a->stride, &beta, c, CUDA_R_32F, (int64_t)ldc, sums, CUBLAS_GEMM_DEFAULT);
    return cublas_check(s->context, code, "a matrix product", err);
}

static size_t padded(size_t bytes) {
    enum { ALIGNMENT = 256 }; /* the best for a product */
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Both factors, in memory of the stream, rounded to bf16. cuBLAS could round them itself, but it may then take TF32. */
static ra_status narrow(ra_backend_stream *s, factor *a, factor *b, ra_error *err) {
    size_t bytes_a = padded(a->rows * a->n * sizeof(uint16_t)), bytes_b = b->rows * b->n * sizeof(uint16_t);
    void *memory;
    RA_TRY(cuda_narrow_memory(s, bytes_a + bytes_b, &memory, err));
    factor *const both[] = {a, b};
    cuda_narrowed to[2];
    for (int i = 0; i < 2; i++) {
        to[i] = (cuda_narrowed){both[i]->data, (char *)memory + (i ? bytes_a : 0), both[i]->rows, both[i]->n,
                                both[i]->stride};
        *both[i] =
            (factor){both[i]->transposed, to[i].to, CUDA_R_16BF, both[i]->rows, both[i]->n, both[i]->n};
    }
    return cuda_check(s->context, ra_cuda_narrow(s->handle, to[0], to[1]),
                      "rounding the factors of a product", err);
}

/* 2 m n k operations for 4 (m k + k n + 2 m n) bytes: bound by arithmetic once m, n and k are some hundreds.
 * Factors of bf16 are written first: 6 (m k + k n) bytes more, for half the time of the arithmetic in TF32. */
ra_status cuda_gemm(ra_backend_stream *s, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                    float alpha, const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                    size_t ldc, ra_error *err) {
    if (m == 0 || n == 0) return RA_OK;
    if (lda == 0) lda = 1; /* of a matrix with no columns, which cuBLAS refuses */
    if (ldb == 0) ldb = 1;
    if (m > INT64_MAX || n > INT64_MAX || k > INT64_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "a product of [%zu, %zu] and [%zu, %zu] is too large", m, k, k, n);
    factor left = {transpose_a, a, CUDA_R_32F, transpose_a ? k : m, transpose_a ? m : k, lda},
           right = {transpose_b, b, CUDA_R_32F, transpose_b ? n : k, transpose_b ? k : n, ldb};
    if (s->precision == RA_PRECISION_BF16 && k) RA_TRY(narrow(s, &left, &right, err));
    return multiply(s, &left, &right, m, n, k, alpha, beta, c, ldc, err);
}

ra_status cuda_dots(ra_backend_stream *s, const float *a, size_t m, ra_dtype dtype, const void *b, size_t n,
                    size_t k, float *c, size_t ldc, ra_error *err) {
    if (!ra_dtype_is_float(dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "rows of type %s cannot be multiplied: expected F32, F16 or BF16",
                ra_dtype_name(dtype));
    return cuda_check(s->context, ra_cuda_dots(s->handle, a, m, cuda_width_of(dtype), b, n, k, c, ldc),
                      "dot products", err);
}
