/* cuBLAS by OpenBLAS, in its own order: matrices by columns. Deferred like any work of a stream. */
#include "device.h"

#include "cublas_v2.h"
#include "tensor/half.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_BYTES = CUBLAS_HOPPER_BYTES }; /* its work area, if it is given none */

struct emulation_blas {
    cudaStream_t stream;
    bool has_workspace;
    size_t taken; /* its own memory */
};

static size_t live;

size_t emulation_blas_live(void);
size_t emulation_blas_live(void) {
    return live;
}

const char *cublasGetStatusString(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    }
    return "unknown";
}

static cublasStatus_t blas_end(cudaError_t code) {
    emulation_end_blas();
    return code == cudaSuccess                 ? CUBLAS_STATUS_SUCCESS
           : code == cudaErrorMemoryAllocation ? CUBLAS_STATUS_ALLOC_FAILED
                                               : CUBLAS_STATUS_EXECUTION_FAILED;
}

/* A handle that cannot be made has one status for every reason. */
cublasStatus_t cublasCreate(cublasHandle_t *handle) {
    cudaError_t code = emulation_begin_blas();
    if (code == cudaSuccess) {
        *handle = calloc(1, sizeof **handle);
        if (!*handle) emulation_fault("no memory for a cuBLAS handle");
        live++;
    }
    blas_end(code);
    return code == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    cudaError_t code = emulation_begin_blas();
    if (!handle) emulation_fault("cublasDestroy: no handle");
    emulation_give_back(handle->taken);
    free(handle);
    live--;
    return blas_end(code);
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    cudaError_t code = emulation_begin_blas();
    if (code == cudaSuccess) {
        handle->stream = stream;
        handle->has_workspace = false;
    }
    return blas_end(code);
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes) {
    cudaError_t code = emulation_begin_blas();
    emulation_check_range(workspace, bytes, cudaMemoryTypeDevice, "the work area of cuBLAS");
    if (code == cudaSuccess) handle->has_workspace = true;
    return blas_end(code);
}

cublasStatus_t cublasGetVersion(cublasHandle_t handle, int *version) {
    cudaError_t code = emulation_begin_blas();
    (void)handle;
    *version = CUDART_VERSION / 1000 * 10000;
    return blas_end(code);
}

typedef struct gemm_factor {
    enum CBLAS_TRANSPOSE transpose;
    blasint ld;
    const void *data;
    size_t numbers; /* from the first to the last one */
    cudaDataType type;
} gemm_factor;

typedef struct gemm_task {
    emulation_task task;
    gemm_factor a, b;
    blasint m, n, k, ldc;
    float alpha, beta;
    float *c;
    bool tf32;
} gemm_task;

/* The numbers from the first to the last element of a matrix by columns. */
static size_t extent(int64_t rows, int64_t columns, int64_t ld) {
    return columns ? (size_t)((columns - 1) * ld + rows) : 0;
}

static size_t size_of(cudaDataType type) {
    return type == CUDA_R_32F ? sizeof(float) : sizeof(uint16_t);
}

/* TF32: a float32 with the upper 10 bits of its mantissa, rounded to the nearest. */
static float to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x1000u) & ~0x1fffu;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* What a product multiplies, if these are not the numbers as they are. */
static float *taken(const gemm_factor *factor, bool tf32) {
    if (factor->type == CUDA_R_32F && !tf32) return NULL;
    float *copy = malloc(factor->numbers ? factor->numbers * sizeof *copy : 1);
    if (!copy) emulation_fault("no memory for the factors of a matrix product");
    const float *wide = factor->data;
    const uint16_t *half = factor->data;
    for (size_t i = 0; i < factor->numbers; i++)
        copy[i] = factor->type == CUDA_R_32F   ? to_tf32(wide[i])
                  : factor->type == CUDA_R_16F ? ra_f16_to_f32(half[i])
                                               : ra_bf16_to_f32(half[i]);
    return copy;
}

static void run_gemm(emulation_task *task) {
    gemm_task *g = (gemm_task *)(void *)task;
    if (emulation_is_lost()) {
        free(g);
        return;
    }
    emulation_unlock_memory();
    float *a = taken(&g->a, g->tf32), *b = taken(&g->b, g->tf32);
    cblas_sgemm(CblasColMajor, g->a.transpose, g->b.transpose, g->m, g->n, g->k, g->alpha, a ? a : g->a.data,
                g->a.ld, b ? b : g->b.data, g->b.ld, g->beta, g->c, g->ldc);
    free(a);
    free(b);
    emulation_lock_memory("a matrix product");
    free(g);
}

static gemm_factor factor_of(cublasOperation_t transpose, const void *data, cudaDataType type, int64_t ld,
                             int64_t rows, int64_t columns, const char *what) {
    gemm_factor factor = {transpose == CUBLAS_OP_T ? CblasTrans : CblasNoTrans, (blasint)ld, data,
                          rows && columns ? extent(rows, columns, ld) : 0, type};
    if (factor.numbers)
        emulation_check_range(data, factor.numbers * size_of(type), cudaMemoryTypeDevice, what);
    return factor;
}

cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t transpose_a,
                               cublasOperation_t transpose_b, int64_t m, int64_t n, int64_t k,
                               const void *alpha, const void *a, cudaDataType type_a, int64_t lda,
                               const void *b, cudaDataType type_b, int64_t ldb, const void *beta, void *c,
                               cudaDataType type_c, int64_t ldc, cublasComputeType_t sums,
                               cublasGemmAlgo_t algorithm) {
    cudaError_t code = emulation_begin_blas();
    int64_t rows_a = transpose_a == CUBLAS_OP_T ? k : m, columns_a = transpose_a == CUBLAS_OP_T ? m : k,
            rows_b = transpose_b == CUBLAS_OP_T ? n : k, columns_b = transpose_b == CUBLAS_OP_T ? k : n;
    (void)algorithm;
    if (!handle->stream) emulation_fault("a matrix product on the default stream");
    if (type_a != type_b || type_c != CUDA_R_32F)
        emulation_fault("a matrix product of types that cuBLAS does not multiply");
    if (lda < 1 || ldb < 1 || ldc < 1 || lda < rows_a || ldb < rows_b || ldc < m) {
        emulation_end_blas();
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (code == cudaSuccess && !handle->has_workspace && !handle->taken) {
        if (emulation_take(OWN_BYTES))
            handle->taken = OWN_BYTES;
        else
            code = cudaErrorMemoryAllocation;
    }
    gemm_factor left =
                    factor_of(transpose_a, a, type_a, lda, rows_a, columns_a, "the left matrix of a product"),
                right = factor_of(transpose_b, b, type_b, ldb, rows_b, columns_b,
                                  "the right matrix of a product");
    emulation_check_range(c, extent(m, n, ldc) * sizeof(float), cudaMemoryTypeDevice,
                          "the result of a product");
    if (code != cudaSuccess) return blas_end(code);
    emulation_counted.products++;
    if (type_a != CUDA_R_32F) emulation_counted.half_products++;
    gemm_task *g = malloc(sizeof *g);
    if (!g) emulation_fault("no memory for a matrix product");
    *g = (gemm_task){.task = {NULL, run_gemm},
                     .a = left,
                     .b = right,
                     .m = (blasint)m,
                     .n = (blasint)n,
                     .k = (blasint)k,
                     .ldc = (blasint)ldc,
                     .alpha = *(const float *)alpha,
                     .beta = *(const float *)beta,
                     .c = c,
                     .tf32 = sums == CUBLAS_COMPUTE_32F_FAST_TF32};
    emulation_submit(handle->stream, &g->task);
    return blas_end(cudaSuccess);
}
