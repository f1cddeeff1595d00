/* The CPU backend: OpenBLAS for dense products, loops vectorised by the compiler for the rest, one thread
 * pool. */
#include "backend/cpu.h"
#include "base/error.h"

static ra_status open_cpu(const ra_backend_options *options, void **self, ra_error *err) {
    cpu_context *context = ra_calloc(1, sizeof *context);
    if (!context) RA_FAIL_MEMORY(err, "the CPU backend", sizeof *context);
    ra_status status = ra_pool_new(options->threads, &context->pool, err);
    if (status != RA_OK) {
        ra_free(context);
        return status;
    }
    cpu_gemm_prepare();
    *self = context;
    return RA_OK;
}

static void close_cpu(void *self) {
    cpu_context *context = self;
    ra_pool_free(context->pool);
    ra_free(context);
}

ra_pool *ra_backend_cpu_pool(void *self) {
    return ((cpu_context *)self)->pool;
}

const ra_backend_ops ra_backend_cpu = {
    .api_version = RA_BACKEND_API_VERSION,
    .name = "cpu",
    .host_memory = true,
    .open = open_cpu,
    .close = close_cpu,
    .allocate = ra_host_allocate,
    .deallocate = ra_host_deallocate,
    .upload = ra_host_copy,
    .download = ra_host_copy,
    .stream_new = ra_host_stream_new,
    .stream_free = ra_host_stream_free,
    .synchronize = ra_host_synchronize,
    .memory = ra_host_memory,
    .gemm = cpu_gemm,
    .project_simplex = cpu_project_simplex,
    .project_ball = cpu_project_ball,
    .combine = cpu_combine,
    .decode = cpu_decode,
    .decode_gradient = cpu_decode_gradient,
    .accumulate = cpu_accumulate,
    .top_k = cpu_top_k,
    .threshold = cpu_threshold,
    .kth_largest = cpu_kth_largest,
    .dot = cpu_dot,
    .gather = cpu_gather,
    .adam = cpu_adam,
};
