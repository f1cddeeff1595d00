/* blas.h - cuBLAS, loaded when a device is opened.
 *
 * It is some hundreds of megabytes, and the loader takes a fifth of a second for them: too long for each
 * start of a program that finds out next that there is no GPU. And when it is not there, a
 * sentence says so. */
#ifndef RA_BACKEND_CUDA_BLAS_H
#define RA_BACKEND_CUDA_BLAS_H

#include "ra_status.h"

#include <cublas_v2.h>

/* Member, and the name that it is exported under. */
#define CUBLAS_CALLS(X)                                                                                      \
    X(create, cublasCreate_v2)                                                                               \
    X(destroy, cublasDestroy_v2)                                                                             \
    X(set_stream, cublasSetStream_v2)                                                                        \
    X(set_math_mode, cublasSetMathMode)                                                                      \
    X(sgemm, cublasSgemm_v2_64)                                                                              \
    X(version, cublasGetVersion_v2)                                                                          \
    X(status_text, cublasGetStatusString)

typedef struct cublas_library {
    void *handle;
#define X(member, symbol) __typeof__(symbol) *member;
    CUBLAS_CALLS(X)
#undef X
} cublas_library;

ra_status cublas_open(cublas_library *library, ra_error *err);
void cublas_close(cublas_library *library); /* {0} is fine */

#endif
