/* cuBLAS by OpenBLAS, in its own order: matrices by columns. Deferred like any work of a stream. */
#include "cublas_v2.h"
#include "device.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_BYTES = CUBLAS_HOPPER_BYTES }; /* its work area, if it is given none */

struct emulation_blas {
    cudaStream_t stream;
    cublasMath_t mode;
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

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    cudaError_t code = emulation_begin_blas();
    if (code == cudaSuccess) handle->mode = mode;
    return blas_end(code);
}

cublasStatus_t cublasGetVersion(cublasHandle_t handle, int *version) {
    cudaError_t code = emulation_begin_blas();
    (void)handle;
    *version = CUDART_VERSION / 1000 * 10000;
    return blas_end(code);
}

typedef struct gemm_task {
    emulation_task task;
    enum CBLAS_TRANSPOSE transpose_a, transpose_b;
    blasint m, n, k, lda, ldb, ldc;
    float alpha, beta;
    const float *a, *b;
    size_t bytes_a, bytes_b;
    float *c;
    bool tf32;
} gemm_task;

/* The bytes from the first to the last element of a matrix by columns. */
static size_t extent(int64_t rows, int64_t columns, int64_t ld) {
    return columns ? (size_t)((columns - 1) * ld + rows) * sizeof(float) : 0;
}

/* TF32: a float32 with the upper 10 bits of its mantissa, rounded to the nearest. */
static float *rounded(const float *x, size_t bytes) {
    uint32_t *copy = malloc(bytes ? bytes : 1);
    if (!copy) emulation_fault("no memory for the factors of a matrix product");
    memcpy(copy, x, bytes);
    for (size_t i = 0; i < bytes / sizeof *copy; i++) copy[i] = (copy[i] + 0x1000u) & ~0x1fffu;
    return (float *)(void *)copy;
}

static void run_gemm(emulation_task *task) {
    gemm_task *g = (gemm_task *)(void *)task;
    if (emulation_is_lost()) {
        free(g);
        return;
    }
    emulation_unlock_memory();
    float *a = g->tf32 ? rounded(g->a, g->bytes_a) : NULL, *b = g->tf32 ? rounded(g->b, g->bytes_b) : NULL;
    cblas_sgemm(CblasColMajor, g->transpose_a, g->transpose_b, g->m, g->n, g->k, g->alpha, a ? a : g->a,
                g->lda, b ? b : g->b, g->ldb, g->beta, g->c, g->ldc);
    free(a);
    free(b);
    emulation_lock_memory("a matrix product");
    free(g);
}

cublasStatus_t cublasSgemm_64(cublasHandle_t handle, cublasOperation_t transpose_a,
                              cublasOperation_t transpose_b, int64_t m, int64_t n, int64_t k,
                              const float *alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                              const float *beta, float *c, int64_t ldc) {
    cudaError_t code = emulation_begin_blas();
    int64_t rows_a = transpose_a == CUBLAS_OP_T ? k : m, columns_a = transpose_a == CUBLAS_OP_T ? m : k,
            rows_b = transpose_b == CUBLAS_OP_T ? n : k, columns_b = transpose_b == CUBLAS_OP_T ? k : n;
    if (!handle->stream) emulation_fault("a matrix product on the default stream");
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
    if (k) {
        emulation_check_range(a, extent(rows_a, columns_a, lda), cudaMemoryTypeDevice,
                              "the left matrix of a product");
        emulation_check_range(b, extent(rows_b, columns_b, ldb), cudaMemoryTypeDevice,
                              "the right matrix of a product");
    }
    emulation_check_range(c, extent(m, n, ldc), cudaMemoryTypeDevice, "the result of a product");
    if (code != cudaSuccess) return blas_end(code);
    emulation_counted.products++;
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
                     .bytes_a = k ? extent(rows_a, columns_a, lda) : 0,
                     .bytes_b = k ? extent(rows_b, columns_b, ldb) : 0,
                     .c = c,
                     .tf32 = handle->mode == CUBLAS_TF32_TENSOR_OP_MATH};
    emulation_submit(handle->stream, &g->task);
    return blas_end(cudaSuccess);
}
