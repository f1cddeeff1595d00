/* The CUDA backend: a plugin, so that the programs need none of CUDA's libraries. The host part is C over the
 * runtime and cuBLAS, one file a family of operations; the device part is in *.cu (launch.h).
 *
 * A plugin has its own copy of the few library functions that it calls (the allocator, codes, error
 * sentences): it shares only the structs of the public headers with the program that loads it. */
#include "backend/cuda/operations.h"

#include <stdio.h>

__attribute__((visibility("default"))) const ra_backend_ops *ra_backend_plugin_ops(void);
__attribute__((visibility("default"))) const char *ra_backend_plugin_probe(void);

const ra_backend_ops *ra_backend_plugin_ops(void) {
    static const ra_backend_ops ops = {
        .api_version = RA_BACKEND_API_VERSION,
        .name = "cuda",
        .host_memory = false,
        .open = cuda_open,
        .close = cuda_close,
        .allocate = cuda_allocate,
        .deallocate = cuda_deallocate,
        .upload = cuda_upload,
        .download = cuda_download,
        .stream_new = cuda_stream_new,
        .stream_free = cuda_stream_free,
        .synchronize = cuda_synchronize,
        .memory = cuda_memory,
        .gemm = cuda_gemm,
        .project_simplex = cuda_project_simplex,
        .project_ball = cuda_project_ball,
        .combine = cuda_combine,
        .widen = cuda_widen,
        .spread = cuda_spread,
        .relu = cuda_relu,
        .squared_error = cuda_squared_error,
        .column_sums = cuda_column_sums,
        .row_norms = cuda_row_norms,
        .scale_rows = cuda_scale_rows,
        .row_statistics = cuda_row_statistics,
        .normalize = cuda_normalize,
        .norm_sums = cuda_norm_sums,
        .norm_backward = cuda_norm_backward,
        .kernel_sums = cuda_kernel_sums,
        .decode = cuda_decode,
        .decode_gradient = cuda_decode_gradient,
        .accumulate = cuda_accumulate,
        .latent_sums = cuda_latent_sums,
        .pick = cuda_pick,
        .put = cuda_put,
        .top_k = cuda_top_k,
        .threshold = cuda_threshold,
        .pursue = cuda_pursue,
        .pursue_back = cuda_pursue_back,
        .kth_largest = cuda_kth_largest,
        .dot = cuda_dot,
        .gather = cuda_gather,
        .adam = cuda_adam_step,
    };
    return &ops;
}

/* Driver or GPU: which one is missing. The version that a driver supports is 0 where there is no driver. */
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
