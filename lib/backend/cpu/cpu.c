/* The CPU backend: OpenBLAS for matrix products, loops vectorized by the compiler for the rest, one thread
 * pool. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/blas.h"

static ra_status open_cpu(const ra_backend_options *options, void **self, ra_error *err) {
    ra_pool *pool = NULL;
    RA_TRY(ra_pool_new(options->threads, options->nice, &pool, err));
    cpu_blas_use_one_thread();
    ra_status status = ra_backend_reserve(ra_pool_threads(pool), err);
    if (status == RA_OK)
        *self = pool;
    else
        ra_pool_free(pool);
    return status;
}

static void close_cpu(void *self) {
    ra_pool_free(self);
}

const ra_backend_ops ra_backend_cpu = {
    RA_HOST_MEMORY_OPS,
    .name = "cpu",
    .open = open_cpu,
    .close = close_cpu,
#define RA_OPERATION(name, parameters, arguments) .name = cpu_##name,
#include "ra_backend_operations.h"
};
