/* Copies between backend memory and the host's that are over when the call returns: for what is rare or
 * small. On the CPU the two are one memory, and a view costs nothing. */
#include "backend/backend.h"
#include "ra_memory.h"

ra_status ra_backend_put(ra_backend *backend, void *block, const void *host, size_t bytes, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    void *self = ra_backend_self(backend);
    RA_TRY(ops->upload(self, NULL, block, host, bytes, err));
    return ops->synchronize(self, NULL, err);
}

ra_status ra_backend_get(ra_backend *backend, void *host, const void *block, size_t bytes, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    void *self = ra_backend_self(backend);
    RA_TRY(ops->download(self, NULL, host, block, bytes, err));
    return ops->synchronize(self, NULL, err);
}

ra_status ra_backend_put_doubles(ra_backend *backend, float *block, const double *values, size_t n,
                                 ra_error *err) {
    float *rounded = ra_malloc(n, sizeof *rounded);
    if (!rounded) RA_FAIL_MEMORY(err, "numbers on their way to a device", n * sizeof *rounded);
    for (size_t i = 0; i < n; i++) rounded[i] = (float)values[i];
    ra_status status = ra_backend_put(backend, block, rounded, n * sizeof *rounded, err);
    ra_free(rounded);
    return status;
}

ra_status ra_backend_view(ra_backend *backend, const void *block, size_t bytes, void **mirror,
                          const void **host, ra_error *err) {
    *host = block;
    if (ra_backend_operations(backend)->host_memory) return RA_OK;
    void *room = ra_realloc(*mirror, bytes, 1);
    if (!room) RA_FAIL_MEMORY(err, "a copy of what is on the device", bytes);
    *host = *mirror = room;
    return ra_backend_get(backend, room, block, bytes, err);
}
