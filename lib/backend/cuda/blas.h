/* blas.h - cuBLAS, loaded when the first device is opened, and never unloaded.
 *
 * It has some hundreds of megabytes, for which the loader needs a fifth of a second: too long for a program
 * that then finds no GPU. And if it is missing, the user gets a sentence instead of a loader error. Its own
 * copy of the runtime keeps functions with the driver, so its code has to stay. */
#ifndef RA_BACKEND_CUDA_BLAS_H
#define RA_BACKEND_CUDA_BLAS_H

#include "ra_status.h"

#include <cublasLt.h>
#include <cublas_v2.h>

/* What cuBLAS recommends as the work area of a handle, and with what it gets along. */
#ifndef CUBLAS_LEAST_BYTES
#define CUBLAS_HOPPER_BYTES ((size_t)32 << 20)
#define CUBLAS_OTHER_BYTES ((size_t)4 << 20)
#define CUBLAS_LEAST_BYTES ((size_t)64 << 10)
#endif

/* The member, and the exported symbol. Those of cuBLASLt are in a library that cuBLAS loads, where dlsym() finds them as well. */
#define CUBLAS_CALLS(X)                                                                                      \
    X(create, cublasCreate_v2)                                                                               \
    X(destroy, cublasDestroy_v2)                                                                             \
    X(set_stream, cublasSetStream_v2)                                                                        \
    X(set_workspace, cublasSetWorkspace_v2)                                                                  \
    X(gemm, cublasGemmEx_64)                                                                                 \
    X(version, cublasGetVersion_v2)                                                                          \
    X(status_text, cublasGetStatusString)                                                                    \
    X(matmul_init, cublasLtMatmulDescInit_internal)                                                          \
    X(matmul_set, cublasLtMatmulDescSetAttribute)                                                            \
    X(layout_init, cublasLtMatrixLayoutInit_internal)                                                        \
    X(preference_init, cublasLtMatmulPreferenceInit_internal)                                                \
    X(preference_set, cublasLtMatmulPreferenceSetAttribute)                                                  \
    X(heuristic, cublasLtMatmulAlgoGetHeuristic)                                                             \
    X(matmul, cublasLtMatmul)

typedef struct cublas_library {
    void *handle;
#define X(member, symbol) __typeof__(symbol) *member;
    CUBLAS_CALLS(X)
#undef X
} cublas_library;

ra_status cublas_open(const cublas_library **library, ra_error *err); /* static */

#endif
