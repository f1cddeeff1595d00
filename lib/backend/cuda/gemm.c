/* Matrix products: cuBLAS, in float32 or with rounded factors, and a kernel of our own for a few rows (dots.cu).
 *
 * A bias is added as a product is written, by cuBLASLt, which cuBLAS is built on and loads; that needs a bias that is aligned to
 * 16 bytes. Where it has no such product, the bias is written into all rows first, and the product is added to them: 8 bytes
 * more per number of the result, and a launch. Both round once, so the bits are the same if cuBLAS adds up in the same order. */
#include "backend/cuda/operations.h"

#include <limits.h>

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

/* ---- with a bias ---------------------------------------------------------------------------------------- */

/* A product as cuBLASLt wants it told: it computes C^T = B A^T, as multiply() does, whose rows the bias belongs to. */
typedef struct described {
    cublasLtMatmulDescOpaque_t product;
    cublasLtMatrixLayoutOpaque_t left, right, result;
    cublasLtMatmulPreferenceOpaque_t preference;
} described;

/* The largest power of two up to 256 that divides an address. */
static uint32_t alignment_of(const void *address) {
    uint32_t alignment = 256;
    while ((uintptr_t)address % alignment) alignment /= 2;
    return alignment;
}

#define SUCCESS(call) ((call) == CUBLAS_STATUS_SUCCESS)

static bool describe(const ra_backend_stream *s, const factor *a, const factor *b, size_t m, size_t n,
                     const float *bias, const float *c, size_t ldc, described *d) {
    const cublas_library *blas = s->context->blas;
    bool tf32 = a->type == CUDA_R_32F && s->precision == RA_PRECISION_TF32;
    cublasComputeType_t sums = tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const int32_t transposed = CUBLAS_OP_T;
    const uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const uint64_t bytes = s->blas_bytes;
    const struct {
        cublasLtMatmulDescAttributes_t attribute;
        const void *value;
        size_t size;
    } attributes[] = {{CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed},
                      {CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue},
                      {CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias}};
    const uint32_t alignments[] = {alignment_of(b->data), alignment_of(a->data), alignment_of(c),
                                   alignment_of(c)};
    bool good =
        SUCCESS(blas->matmul_init(&d->product, sizeof d->product, sums, CUDA_R_32F)) &&
        SUCCESS(blas->layout_init(&d->left, sizeof d->left, b->type, b->n, b->rows, (int64_t)b->stride)) &&
        SUCCESS(blas->layout_init(&d->right, sizeof d->right, a->type, a->n, a->rows, (int64_t)a->stride)) &&
        SUCCESS(blas->layout_init(&d->result, sizeof d->result, CUDA_R_32F, n, m, (int64_t)ldc)) &&
        SUCCESS(blas->preference_init(&d->preference, sizeof d->preference)) &&
        SUCCESS(blas->preference_set(&d->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                     sizeof bytes));
    for (size_t i = 0; good && i < sizeof attributes / sizeof *attributes; i++)
        good = SUCCESS(
            blas->matmul_set(&d->product, attributes[i].attribute, attributes[i].value, attributes[i].size));
    for (size_t i = 0; good && i < sizeof alignments / sizeof *alignments;
         i++) /* of A, B, C, D, in this order */
        good = SUCCESS(blas->preference_set(
            &d->preference,
            (cublasLtMatmulPreferenceAttributes_t)(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i),
            &alignments[i], sizeof alignments[i]));
    return good;
}

/* *done: false where cuBLASLt has no such product, and nothing was started. */
static ra_status multiply_at_once(ra_backend_stream *s, const factor *a, const factor *b, size_t m, size_t n,
                                  const float *bias, float *c, size_t ldc, bool *done, ra_error *err) {
    enum { BIAS_ALIGNMENT = 16 }; /* what its kernels load at a time; no preference tells them of less */
    const cublas_library *blas = s->context->blas;
    cublasLtHandle_t light = (cublasLtHandle_t)(void *)s->blas; /* a handle of cuBLAS is one of cuBLASLt */
    cublasLtMatmulHeuristicResult_t way;
    int ways = 0;
    described d;
    const float one = 1, zero = 0;
    *done = false;
    if (alignment_of(bias) < BIAS_ALIGNMENT || !describe(s, a, b, m, n, bias, c, ldc, &d)) return RA_OK;
    if (!SUCCESS(blas->heuristic(light, &d.product, &d.left, &d.right, &d.result, &d.result, &d.preference, 1,
                                 &way, &ways)) ||
        ways == 0 || way.state != CUBLAS_STATUS_SUCCESS)
        return RA_OK;
    cublasStatus_t code =
        blas->matmul(light, &d.product, &one, b->data, &d.left, a->data, &d.right, &zero, c, &d.result, c,
                     &d.result, &way.algo, s->blas_memory, way.workspaceSize, s->handle);
    if (code == CUBLAS_STATUS_NOT_SUPPORTED || code == CUBLAS_STATUS_ARCH_MISMATCH) return RA_OK;
    *done = true;
    return cublas_check(s->context, code, "a matrix product with a bias", err);
}

/* The bytes of a product, and no more: 4 (m k + k n + n + m n). */
ra_status cuda_gemm_bias(ra_backend_stream *s, const float *a, size_t m, const float *b, size_t n, size_t k,
                         const float *bias, float *c, size_t ldc, ra_error *err) {
    bool done = false;
    if (m == 0 || n == 0) return RA_OK;
    factor left = {false, a, CUDA_R_32F, m, k, k}, right = {true, b, CUDA_R_32F, n, k, k};
    if (s->precision == RA_PRECISION_BF16 && k) RA_TRY(narrow(s, &left, &right, err));
    if (k) RA_TRY(multiply_at_once(s, &left, &right, m, n, bias, c, ldc, &done, err));
    if (done) return RA_OK;
    RA_TRY(cuda_check(s->context, ra_cuda_broadcast_row(s->handle, bias, c, m, n, ldc), "copies of a bias",
                      err));
    return k ? multiply(s, &left, &right, m, n, k, 1, 1, c, ldc, err) : RA_OK;
}

/* ---- a few rows ----------------------------------------------------------------------------------------- */

ra_status cuda_dots(ra_backend_stream *s, const float *a, size_t m, ra_dtype dtype, const void *b, size_t n,
                    size_t k, const float *bias, float *c, size_t ldc, ra_error *err) {
    if (!ra_dtype_is_float(dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "rows of type %s cannot be multiplied: expected F32, F16 or BF16",
                ra_dtype_name(dtype));
    return cuda_check(s->context, ra_cuda_dots(s->handle, a, m, cuda_width_of(dtype), b, n, k, bias, c, ldc),
                      "dot products", err);
}
