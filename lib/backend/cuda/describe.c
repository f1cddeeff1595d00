/* A line about the device, for logs and benchmarks. */
#include "backend/cuda/context.h"

#include <stdio.h>

__attribute__((visibility("default"))) ra_backend_describe_fn ra_backend_plugin_describe;

void ra_backend_plugin_describe(void *self, char *text, size_t size) {
    cuda_context *context = self;
    struct cudaDeviceProp about;
    int driver = 0, blas = 0;
    if (cudaGetDeviceProperties(&about, context->ordinal) != cudaSuccess ||
        cudaDriverGetVersion(&driver) != cudaSuccess ||
        context->blas.version(context->standard->blas, &blas) != CUBLAS_STATUS_SUCCESS) {
        (void)cudaGetLastError();
        snprintf(text, size, "cuda:%d, which does not answer", context->ordinal);
        return;
    }
    snprintf(
        text, size,
        "%s, compute capability %d.%d, %d multiprocessors, %.1f GiB, cache %.0f MiB; driver for CUDA %d.%d, "
        "runtime %d.%d, cuBLAS %d",
        about.name, about.major, about.minor, about.multiProcessorCount,
        (double)about.totalGlobalMem / 0x1p30, (double)about.l2CacheSize / 0x1p20, driver / 1000,
        driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, blas);
}
