/* Copies between backend memory and the host's that are over when the call returns: for what is rare or
 * small. On the CPU the two are one memory, and a view costs nothing. */
#include "backend/backend.h"
#include "base/error.h"

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

ra_status ra_backend_view(ra_backend *backend, const void *block, size_t bytes, void **mirror,
                          const void **host, ra_error *err) {
    *host = block;
    if (ra_backend_operations(backend)->host_memory) return RA_OK;
    void *room = ra_realloc(*mirror, bytes, 1);
    if (!room) RA_FAIL_MEMORY(err, "a copy of what is on the device", bytes);
    *host = *mirror = room;
    return ra_backend_get(backend, room, block, bytes, err);
}

ra_status ra_backend_grow(ra_backend *backend, void **block, size_t *capacity, size_t bytes, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    void *self = ra_backend_self(backend), *fresh = NULL;
    if (*block && bytes <= *capacity) return RA_OK;
    ops->deallocate(self, *block); /* first: the two may not fit together */
    *block = NULL;
    *capacity = 0;
    RA_TRY(ops->allocate(self, bytes, &fresh, err));
    *block = fresh;
    *capacity = bytes;
    return RA_OK;
}
