#include "points/products.h"

ra_status ra_held_set(ra_held *held, ra_backend *backend, const float *host, size_t n, ra_error *err) {
    held->vectors = host;
    if (ra_backend_host_memory(backend)) return RA_OK;
    RA_TRY(ra_buffer_reserve(&held->block, backend, n, err));
    held->vectors = held->block.data;
    return ra_backend_put(backend, held->block.data, host, n * sizeof *host, err);
}

ra_status ra_score_products(ra_buffer *room, ra_backend *backend, const float *a, size_t m, const float *b,
                            size_t n, size_t d, float *score, ra_error *err) {
    float *out = score;
    if (!ra_backend_host_memory(backend)) {
        RA_TRY(ra_buffer_reserve(room, backend, m * n, err));
        out = room->data;
    }
    RA_TRY(ra_backend_gemm(backend, false, true, m, n, d, -2, a, d, b, d, 0, out, n, err));
    return out == score ? RA_OK : ra_backend_get(backend, score, out, m * n * sizeof *score, err);
}
