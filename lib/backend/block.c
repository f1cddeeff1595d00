/* Copies between backend memory and the host that are over when the call returns, and blocks that grow. On
 * the CPU the two memories are one, and a view costs nothing. */
#include "ra_backend.h"
#include "base/error.h"

ra_status ra_backend_write(ra_backend *backend, ra_backend_stream *stream, void *block, const void *host,
                           size_t bytes, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    RA_TRY(ops->upload(ra_backend_self(backend), stream, block, host, bytes, err));
    return ops->synchronize(ra_backend_self(backend), stream, err);
}

ra_status ra_backend_read(ra_backend *backend, ra_backend_stream *stream, void *host, const void *block,
                          size_t bytes, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    RA_TRY(ops->download(ra_backend_self(backend), stream, host, block, bytes, err));
    return ops->synchronize(ra_backend_self(backend), stream, err);
}

ra_status ra_backend_write_doubles(ra_backend *backend, float *block, const double *values, size_t n,
                                   ra_error *err) {
    float *rounded = ra_malloc(n, sizeof *rounded);
    if (!rounded) RA_FAIL_MEMORY(err, "numbers on their way to a device", n * sizeof *rounded);
    for (size_t i = 0; i < n; i++) rounded[i] = (float)values[i];
    ra_status status = ra_backend_write(backend, NULL, block, rounded, n * sizeof *rounded, err);
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
    return ra_backend_read(backend, NULL, room, block, bytes, err);
}

ra_status ra_block_reserve(ra_block *block, ra_backend *backend, size_t n, ra_error *err) {
    void *fresh = NULL;
    if (n == 0) n = 1; /* a member of a group may have no rows, and still points somewhere */
    if (block->backend == backend && n <= block->capacity) return RA_OK;
    ra_block_release(block); /* first: both may not fit */
    RA_TRY(ra_backend_operations(backend)->allocate(ra_backend_self(backend), n * sizeof *block->data, &fresh,
                                                    err));
    *block = (ra_block){ra_backend_retain(backend), fresh, n};
    return RA_OK;
}

void ra_block_release(ra_block *block) {
    if (block->backend) {
        ra_backend_operations(block->backend)->deallocate(ra_backend_self(block->backend), block->data);
        ra_backend_release(block->backend);
    }
    *block = (ra_block){0};
}
