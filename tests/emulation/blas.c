/* cuBLAS and cuBLASLt by OpenBLAS, in its own order: matrices by columns. Deferred like any work of a stream. */
#include "device.h"

#include "cublasLt.h"
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
    case CUBLAS_STATUS_ARCH_MISMATCH:
        return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
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
    const float *bias; /* [m], added to each column; NULL: none */
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
    for (blasint j = 0; g->bias && j < g->n; j++)
        for (blasint i = 0; i < g->m; i++) g->c[(size_t)j * (size_t)g->ldc + (size_t)i] += g->bias[i];
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

/* What both libraries check: memory, and that the work can wait. */
static void submit(cudaStream_t stream, gemm_task task) {
    gemm_task *g = malloc(sizeof *g);
    if (!g) emulation_fault("no memory for a matrix product");
    *g = task;
    g->task = (emulation_task){NULL, run_gemm};
    emulation_counted.products++;
    if (task.a.type != CUDA_R_32F) emulation_counted.half_products++;
    emulation_submit(stream, &g->task);
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
    submit(handle->stream, (gemm_task){.a = left,
                                       .b = right,
                                       .m = (blasint)m,
                                       .n = (blasint)n,
                                       .k = (blasint)k,
                                       .ldc = (blasint)ldc,
                                       .alpha = *(const float *)alpha,
                                       .beta = *(const float *)beta,
                                       .c = c,
                                       .tf32 = sums == CUBLAS_COMPUTE_32F_FAST_TF32});
    return blas_end(cudaSuccess);
}

/* ---- cuBLASLt ------------------------------------------------------------------------------------------- */

/* What the opaque structures hold here. */
typedef struct lt_product {
    cublasComputeType_t sums;
    int32_t transpose_a;
    uint32_t epilogue;
    const float *bias;
} lt_product;
typedef struct lt_layout {
    uint64_t rows, columns;
    int64_t ld;
    cudaDataType type;
} lt_layout;
typedef struct lt_preference {
    uint64_t workspace;
    uint32_t alignment[4]; /* of A, B, C and D */
} lt_preference;
typedef struct lt_way { /* is for a product, and for pointers that are aligned so much */
    lt_product of;
    uint32_t alignment[4];
} lt_way;
_Static_assert(sizeof(lt_product) <= sizeof(cublasLtMatmulDescOpaque_t), "the product has room");
_Static_assert(sizeof(lt_layout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "the layout has room");
_Static_assert(sizeof(lt_preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t), "the preference has room");
_Static_assert(sizeof(lt_way) <= sizeof(cublasLtMatmulAlgo_t), "the way has room");
enum { LT_WORKSPACE = 128, LT_BIAS_ALIGNMENT = 16 };

/* These only write what they are given: they need no device. */
cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t product, size_t size,
                                               cublasComputeType_t sums, cudaDataType scale) {
    const lt_product initial = {sums, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, NULL};
    if (size != sizeof *product || scale != CUDA_R_32F) return CUBLAS_STATUS_ALLOC_FAILED;
    memcpy(product->data, &initial, sizeof initial);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t size,
                                                 cudaDataType type, uint64_t rows, uint64_t columns,
                                                 int64_t ld) {
    const lt_layout initial = {rows, columns, ld, type};
    if (size != sizeof *layout) return CUBLAS_STATUS_ALLOC_FAILED;
    memcpy(layout->data, &initial, sizeof initial);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference, size_t size) {
    const lt_preference initial = {0, {256, 256, 256, 256}};
    if (size != sizeof *preference) return CUBLAS_STATUS_ALLOC_FAILED;
    memcpy(preference->data, &initial, sizeof initial);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t set(void *member, size_t size, const void *value, size_t bytes) {
    if (bytes != size) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(member, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t attribute, const void *value,
                                              size_t bytes) {
    lt_product *p = (lt_product *)(void *)product->data;
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&p->transpose_a, sizeof p->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&p->epilogue, sizeof p->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(&p->bias, sizeof p->bias, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes) {
    lt_preference *p = (lt_preference *)(void *)preference->data;
    unsigned which = (unsigned)attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return set(&p->workspace, sizeof p->workspace, value, bytes);
    if (which > 3) return CUBLAS_STATUS_INVALID_VALUE;
    return set(&p->alignment[which], sizeof p->alignment[which], value, bytes);
}

/* By their members: between these may be anything. */
static bool same_layout(const lt_layout *a, const lt_layout *b) {
    return a->rows == b->rows && a->columns == b->columns && a->ld == b->ld && a->type == b->type;
}

static bool same_product(const lt_product *a, const lt_product *b) {
    return a->sums == b->sums && a->transpose_a == b->transpose_a && a->epilogue == b->epilogue &&
           a->bias == b->bias;
}

/* Only what the backend asks for is emulated. */
static void check_product(const lt_product *p, const lt_layout *a, const lt_layout *b, const lt_layout *c,
                          const lt_layout *d) {
    if (p->transpose_a != CUBLAS_OP_T || p->epilogue != CUBLASLT_EPILOGUE_BIAS || !p->bias)
        emulation_fault("a product of cuBLASLt that is not emulated");
    if (a->type != b->type || c->type != CUDA_R_32F || !same_layout(c, d))
        emulation_fault("a product of types that cuBLASLt does not multiply");
    if (a->rows != b->rows || a->columns != c->rows || b->columns != c->columns)
        emulation_fault("a product of cuBLASLt whose shapes differ");
    if (a->ld < (int64_t)a->rows || b->ld < (int64_t)b->rows || c->ld < (int64_t)c->rows)
        emulation_fault("a product of cuBLASLt whose columns overlap");
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t *ways, int *found) {
    cudaError_t code = emulation_begin_blas();
    const lt_product *p = (const lt_product *)(const void *)product->data;
    const lt_preference *prefer = (const lt_preference *)(const void *)preference->data;
    lt_way way = {.of = *p};
    if (!handle || wanted < 1) emulation_fault("a question to cuBLASLt without a handle");
    check_product(p, (const lt_layout *)(void *)a->data, (const lt_layout *)(void *)b->data,
                  (const lt_layout *)(void *)c->data, (const lt_layout *)(void *)d->data);
    memcpy(way.alignment, prefer->alignment, sizeof way.alignment);
    *found = code == cudaSuccess && prefer->workspace >= LT_WORKSPACE;
    *ways = (cublasLtMatmulHeuristicResult_t){.workspaceSize = LT_WORKSPACE};
    memcpy(&ways->algo, &way, sizeof way);
    return blas_end(code);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t layout_a, const void *b,
                              cublasLtMatrixLayout_t layout_b, const void *beta, const void *c,
                              cublasLtMatrixLayout_t layout_c, void *d, cublasLtMatrixLayout_t layout_d,
                              const cublasLtMatmulAlgo_t *way, void *workspace, size_t bytes,
                              cudaStream_t stream) {
    cudaError_t code = emulation_begin_blas();
    const lt_product *p = (const lt_product *)(const void *)product->data;
    const lt_layout *left = (const lt_layout *)(void *)layout_a->data,
                    *right = (const lt_layout *)(void *)layout_b->data,
                    *result = (const lt_layout *)(void *)layout_c->data;
    const void *const pointers[] = {a, b, c, d};
    const lt_way *chosen = (const lt_way *)(const void *)way->data;
    if (!handle || !stream) emulation_fault("a matrix product on the default stream");
    check_product(p, left, right, result, (const lt_layout *)(void *)layout_d->data);
    if (!same_product(&chosen->of, p)) emulation_fault("a way that cuBLASLt found for another product");
    for (int i = 0; i < 4; i++)
        if ((uintptr_t)pointers[i] % chosen->alignment[i])
            emulation_fault("a matrix of a product that is less aligned than cuBLASLt was told");
    if ((uintptr_t)p->bias % LT_BIAS_ALIGNMENT)
        emulation_fault("a bias that is not aligned: kernels of cuBLASLt load 16 bytes at a time");
    if (bytes < LT_WORKSPACE) emulation_fault("a work area that is smaller than the product needs");
    emulation_check_range(workspace, bytes, cudaMemoryTypeDevice, "the work area of cuBLASLt");
    emulation_check_range(p->bias, left->columns * sizeof *p->bias, cudaMemoryTypeDevice,
                          "the bias of a product");
    emulation_check_range(d,
                          extent((int64_t)result->rows, (int64_t)result->columns, result->ld) * sizeof(float),
                          cudaMemoryTypeDevice, "the result of a product");
    gemm_task task = {.a = factor_of(CUBLAS_OP_T, a, left->type, left->ld, (int64_t)left->rows,
                                     (int64_t)left->columns, "the left matrix of a product"),
                      .b = factor_of(CUBLAS_OP_N, b, right->type, right->ld, (int64_t)right->rows,
                                     (int64_t)right->columns, "the right matrix of a product"),
                      .m = (blasint)result->rows,
                      .n = (blasint)result->columns,
                      .k = (blasint)left->rows,
                      .ldc = (blasint)result->ld,
                      .alpha = *(const float *)alpha,
                      .beta = *(const float *)beta,
                      .c = d,
                      .bias = p->bias,
                      .tf32 = p->sums == CUBLAS_COMPUTE_32F_FAST_TF32};
    if (code == cudaSuccess) submit(stream, task);
    return blas_end(code);
}
