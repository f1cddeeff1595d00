/* The CUDA backend: a plugin, so that the programs do not need CUDA's libraries. The host part is C over the
 * runtime and cuBLAS, one file per family of operations; the device part is in *.cu (launch.h).
 *
 * A plugin has its own copy of the few library functions that it calls (the allocator, codes, errors): it
 * shares only the structs of the public headers with the program that loads it. */
#include "backend/cuda/codes.h"
#include "backend/cuda/operations.h"

#include <stdio.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED const ra_backend_ops *ra_backend_plugin_ops(void);
EXPORTED const char *ra_backend_plugin_probe(void);
EXPORTED ra_backend_describe_fn ra_backend_plugin_describe;

/* ---- the table ----------------------------------------------------------------------------------------- */

#define RA_OPERATION(name, parameters, arguments)                                                            \
    static ra_status call_##name(void *self, ra_backend_stream *stream, RA_UNPACK parameters,                \
                                 ra_error *err) {                                                            \
        ra_backend_stream *s;                                                                                \
        RA_TRY(cuda_enter(self, stream, &s, err));                                                           \
        return cuda_leave(s, cuda_##name(s, RA_UNPACK arguments, err));                                      \
    }
#include "ra_backend_operations.h"

const ra_backend_ops *ra_backend_plugin_ops(void) {
    static const ra_backend_ops ops = {
        .api_version = RA_BACKEND_API_VERSION,
        .name = "cuda",
        .host_memory = false,
        .open = cuda_open,
        .close = cuda_close,
        .allocate = cuda_allocate,
        .deallocate = cuda_deallocate,
        .host_allocate = cuda_host_allocate,
        .host_deallocate = cuda_host_deallocate,
        .memory = cuda_memory,
        .stream_new = cuda_stream_new,
        .stream_free = cuda_stream_free,
        .follow = cuda_follow,
        .upload = cuda_upload,
        .download = cuda_download,
        .synchronize = cuda_synchronize,
        .defer = cuda_defer,
        .products = cuda_products,
        .codes_new = cuda_codes_new,
        .codes_bytes = cuda_codes_bytes,
        .codes_pack = cuda_codes_pack,
        .codes_view = cuda_codes_view,
#define RA_OPERATION(name, parameters, arguments) .name = call_##name,
#include "ra_backend_operations.h"
    };
    return &ops;
}

/* ---- about the device ---------------------------------------------------------------------------------- */

/* Which one is missing, driver or GPU? Where there is no driver, the version that it supports is 0. */
const char *ra_backend_plugin_probe(void) {
    static char reason[256];
    int driver = 0, devices = 0;
    cudaError_t code = cudaDriverGetVersion(&driver);
    if (code != cudaSuccess || driver == 0) return "this machine has no NVIDIA driver (libcuda.so.1)";
    code = cudaGetDeviceCount(&devices);
    if (code == cudaErrorInsufficientDriver)
        snprintf(reason, sizeof reason, "the NVIDIA driver supports CUDA %d.%d at most, CUDA %d.%d is needed",
                 driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    else if (code == cudaErrorNoDevice || (code == cudaSuccess && devices == 0))
        return "this machine has an NVIDIA driver, but no GPU that it can use";
    else if (code != cudaSuccess)
        snprintf(reason, sizeof reason, "the NVIDIA driver failed: %s (%s)", cudaGetErrorString(code),
                 cudaGetErrorName(code));
    else
        return NULL;
    return reason;
}

void ra_backend_plugin_describe(void *self, char *text, size_t size) {
    cuda_context *context = self;
    struct cudaDeviceProp about;
    int driver = 0, blas = 0;
    if (cudaGetDeviceProperties(&about, context->ordinal) != cudaSuccess ||
        cudaDriverGetVersion(&driver) != cudaSuccess ||
        context->blas->version(context->default_stream->blas, &blas) != CUBLAS_STATUS_SUCCESS) {
        (void)cudaGetLastError();
        snprintf(text, size, "cuda:%d, which does not answer", context->ordinal);
        return;
    }
    snprintf(text, size,
             "%s, compute capability %d.%d, %d multiprocessors, %.1f GiB, cache %.0f MiB; driver for CUDA "
             "%d.%d, runtime %d.%d, cuBLAS %d",
             about.name, about.major, about.minor, about.multiProcessorCount,
             (double)about.totalGlobalMem / 0x1p30, (double)about.l2CacheSize / 0x1p20, driver / 1000,
             driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, blas);
}
