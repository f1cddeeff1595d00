/* The CPU backend: OpenBLAS for dense products, loops vectorized by the compiler for the rest, one thread
 * pool. */
#include "backend/cpu/cpu.h"
#include "ra_memory.h"

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

#define X(member) .member = cpu_##member,
const ra_backend_ops ra_backend_cpu = {
    RA_BACKEND_COMPUTES(X)
        /* and what is beside them */
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
};
#undef X
