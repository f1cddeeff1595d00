#include "train/products.h"
#include "base/error.h"

ra_status ra_held_set(ra_held *held, ra_backend *backend, const float *host, size_t n, ra_error *err) {
    held->backend = backend;
    held->vectors = host;
    if (ra_backend_operations(backend)->host_memory) return RA_OK;
    RA_TRY(ra_backend_grow(backend, &held->block, &held->bytes, n * sizeof *host, err));
    held->vectors = held->block;
    return ra_backend_put(backend, held->block, host, n * sizeof *host, err);
}

void ra_held_release(ra_held *held) {
    if (held->block)
        ra_backend_operations(held->backend)->deallocate(ra_backend_self(held->backend), held->block);
    *held = (ra_held){0};
}

ra_status ra_products(ra_held *room, ra_backend *backend, const float *a, size_t m, const float *b, size_t n,
                      size_t d, float *score, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    size_t bytes = m * n * sizeof *score;
    float *out = score;
    if (!ops->host_memory) {
        room->backend = backend;
        RA_TRY(ra_backend_grow(backend, &room->block, &room->bytes, bytes, err));
        out = room->block;
    }
    RA_TRY(ops->gemm(ra_backend_self(backend), NULL, false, true, m, n, d, -2, a, d, b, d, 0, out, n, err));
    return out == score ? RA_OK : ra_backend_get(backend, score, out, bytes, err);
}
