/* cuBLAS by OpenBLAS, in its own order: matrices by columns. Deferred like any work of a stream. */
#include "cublas_v2.h"
#include "device.h"

#include <cblas.h>
#include <stdlib.h>

struct emulation_blas {
    cudaStream_t stream;
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
    emulation_end(code);
    return code == cudaSuccess                 ? CUBLAS_STATUS_SUCCESS
           : code == cudaErrorMemoryAllocation ? CUBLAS_STATUS_ALLOC_FAILED
                                               : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t cublasCreate(cublasHandle_t *handle) {
    cudaError_t code = emulation_begin();
    if (code == cudaSuccess) {
        *handle = calloc(1, sizeof **handle);
        if (!*handle) emulation_fault("no memory for a cuBLAS handle");
        live++;
    }
    return blas_end(code);
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    cudaError_t code = emulation_begin();
    if (!handle) emulation_fault("cublasDestroy: no handle");
    free(handle);
    live--;
    return blas_end(code);
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    cudaError_t code = emulation_begin();
    if (code == cudaSuccess) handle->stream = stream;
    return blas_end(code);
}

typedef struct gemm_task {
    emulation_task task;
    enum CBLAS_TRANSPOSE transpose_a, transpose_b;
    blasint m, n, k, lda, ldb, ldc;
    float alpha, beta;
    const float *a, *b;
    float *c;
} gemm_task;

static void run_gemm(emulation_task *task) {
    gemm_task *g = (gemm_task *)(void *)task;
    emulation_unlock_memory();
    cblas_sgemm(CblasColMajor, g->transpose_a, g->transpose_b, g->m, g->n, g->k, g->alpha, g->a, g->lda, g->b,
                g->ldb, g->beta, g->c, g->ldc);
    emulation_lock_memory("a matrix product");
    free(g);
}

/* The bytes from the first to the last element of a matrix by columns. */
static size_t extent(int64_t rows, int64_t columns, int64_t ld) {
    return columns ? (size_t)((columns - 1) * ld + rows) * sizeof(float) : 0;
}

cublasStatus_t cublasSgemm_64(cublasHandle_t handle, cublasOperation_t transpose_a,
                              cublasOperation_t transpose_b, int64_t m, int64_t n, int64_t k,
                              const float *alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                              const float *beta, float *c, int64_t ldc) {
    cudaError_t code = emulation_begin();
    int64_t rows_a = transpose_a == CUBLAS_OP_T ? k : m, columns_a = transpose_a == CUBLAS_OP_T ? m : k,
            rows_b = transpose_b == CUBLAS_OP_T ? n : k, columns_b = transpose_b == CUBLAS_OP_T ? k : n;
    if (!handle->stream) emulation_fault("a matrix product on the default stream");
    if (lda < rows_a || ldb < rows_b || ldc < m) {
        emulation_end(cudaSuccess);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (k) {
        emulation_check_range(a, extent(rows_a, columns_a, lda), cudaMemoryTypeDevice,
                              "the left matrix of a product");
        emulation_check_range(b, extent(rows_b, columns_b, ldb), cudaMemoryTypeDevice,
                              "the right matrix of a product");
    }
    emulation_check_range(c, extent(m, n, ldc), cudaMemoryTypeDevice, "the result of a product");
    if (code != cudaSuccess) return blas_end(code);
    gemm_task *g = malloc(sizeof *g);
    if (!g) emulation_fault("no memory for a matrix product");
    *g = (gemm_task){.task = {NULL, run_gemm},
                     .transpose_a = transpose_a == CUBLAS_OP_T ? CblasTrans : CblasNoTrans,
                     .transpose_b = transpose_b == CUBLAS_OP_T ? CblasTrans : CblasNoTrans,
                     .m = (blasint)m,
                     .n = (blasint)n,
                     .k = (blasint)k,
                     .lda = (blasint)lda,
                     .ldb = (blasint)ldb,
                     .ldc = (blasint)ldc,
                     .alpha = *alpha,
                     .beta = *beta,
                     .a = a,
                     .b = b,
                     .c = c};
    emulation_submit(handle->stream, &g->task);
    return blas_end(cudaSuccess);
}
