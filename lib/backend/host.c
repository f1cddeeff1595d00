#include "backend/backend.h"
#include "ra_memory.h"

#include <string.h>

ra_status ra_host_allocate(void *self, size_t bytes, void **block, ra_error *err) {
    (void)self;
    *block = ra_calloc(bytes, 1);
    if (!*block) RA_FAIL_MEMORY(err, "a block of the backend", bytes);
    return RA_OK;
}

void ra_host_deallocate(void *self, void *block) {
    (void)self;
    ra_free(block);
}

ra_status ra_host_copy(void *self, ra_backend_stream *stream, void *target, const void *source, size_t bytes,
                       ra_error *err) {
    (void)self, (void)stream, (void)err;
    if (bytes) memcpy(target, source, bytes);
    return RA_OK;
}

ra_status ra_host_stream_new(void *self, ra_backend_stream **stream, ra_error *err) {
    (void)self, (void)err;
    *stream = NULL;
    return RA_OK;
}

void ra_host_stream_free(void *self, ra_backend_stream *stream) {
    (void)self, (void)stream;
}

ra_status ra_host_synchronize(void *self, ra_backend_stream *stream, ra_error *err) {
    (void)self, (void)stream, (void)err;
    return RA_OK;
}

ra_status ra_host_memory(void *self, size_t *available, size_t *total, ra_error *err) {
    (void)self, (void)err;
    *available = *total = SIZE_MAX;
    return RA_OK;
}
