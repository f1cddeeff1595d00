/* Backend memory: that of the built-in backends, which is the host's; copies after which the host goes on;
 * buffers. Where backend memory is the host's, a view costs nothing. */
#include "backend/backend.h"
#include "ra_memory.h"

#include <string.h>

/* ---- members of a table that computes in host memory --------------------------------------------------- */

ra_status ra_host_allocate(void *self, size_t bytes, void **memory, ra_error *err) {
    (void)self;
    *memory = ra_calloc(bytes, 1);
    if (!*memory) RA_FAIL_MEMORY(err, "an array of the backend", bytes);
    return RA_OK;
}

ra_status ra_host_plain_allocate(void *self, size_t bytes, void **memory, ra_error *err) {
    (void)self;
    *memory = ra_malloc(bytes, 1);
    if (!*memory) RA_FAIL_MEMORY(err, "memory of the host", bytes);
    return RA_OK;
}

void ra_host_deallocate(void *self, void *memory) {
    (void)self;
    ra_free(memory);
}

ra_status ra_host_memory(void *self, size_t *available, size_t *total, ra_error *err) {
    (void)self, (void)err;
    *available = *total = SIZE_MAX;
    return RA_OK;
}

ra_status ra_host_stream_new(void *self, ra_stream_kind kind, ra_backend_stream **stream, ra_error *err) {
    (void)self, (void)kind, (void)err;
    *stream = NULL;
    return RA_OK;
}

ra_status ra_host_follow(void *self, ra_backend_stream *later, ra_backend_stream *earlier, ra_error *err) {
    (void)self, (void)later, (void)earlier, (void)err;
    return RA_OK;
}

void ra_host_stream_free(void *self, ra_backend_stream *stream) {
    (void)self, (void)stream;
}

ra_status ra_host_copy(void *self, ra_backend_stream *stream, void *target, const void *source, size_t bytes,
                       ra_error *err) {
    (void)self, (void)stream, (void)err;
    if (bytes) memcpy(target, source, bytes);
    return RA_OK;
}

ra_status ra_host_synchronize(void *self, ra_backend_stream *stream, ra_error *err) {
    (void)self, (void)stream, (void)err;
    return RA_OK;
}

void ra_host_defer(void *self, ra_backend_stream *stream, bool deferred) {
    (void)self, (void)stream, (void)deferred;
}

ra_status ra_host_products(void *self, ra_backend_stream *stream, ra_precision precision, ra_error *err) {
    (void)self, (void)stream;
    if (precision == RA_PRECISION_FLOAT32) return RA_OK;
    RA_FAIL(err, RA_ERR_DEVICE, "the CPU computes in float32 only");
}

/* ---- codes that a device would keep -------------------------------------------------------------------- */

ra_status ra_host_codes_new(void *self, ra_device_codes **device, ra_error *err) {
    (void)self, (void)device, (void)err;
    return RA_OK;
}

size_t ra_host_codes_bytes(void *self, size_t rows, size_t latents, size_t entries) {
    (void)self, (void)rows, (void)latents, (void)entries;
    return 0;
}

/* Never called: there are none. */
ra_status ra_host_codes_pack(void *self, ra_backend_stream *stream, const ra_codes *codes,
                             const int32_t *position, size_t latents, ra_codes *packed, ra_error *err) {
    (void)self, (void)stream, (void)codes, (void)position, (void)latents, (void)packed;
    RA_FAIL(err, RA_ERR_INTERNAL, "codes in ordinary memory cannot be packed for a device");
}

ra_status ra_host_codes_view(void *self, ra_backend_stream *stream, ra_codes *codes, ra_error *err) {
    (void)self, (void)stream, (void)codes, (void)err;
    return RA_OK;
}

/* ---- copies -------------------------------------------------------------------------------------------- */

/* Without a wait: a device reads ordinary memory before `upload` returns. */
ra_status ra_backend_put(ra_backend *backend, void *device, const void *host, size_t bytes, ra_error *err) {
    return ra_backend_upload(backend, device, host, bytes, err);
}

ra_status ra_backend_get(ra_backend *backend, void *host, const void *device, size_t bytes, ra_error *err) {
    RA_TRY(ra_backend_download(backend, host, device, bytes, err));
    return ra_backend_synchronize(backend, err);
}

ra_status ra_backend_put_doubles(ra_backend *backend, float *device, const double *values, size_t n,
                                 ra_error *err) {
    float *rounded = ra_malloc(n, sizeof *rounded);
    if (!rounded) RA_FAIL_MEMORY(err, "numbers on their way to a device", n * sizeof *rounded);
    for (size_t i = 0; i < n; i++) rounded[i] = (float)values[i];
    ra_status status = ra_backend_put(backend, device, rounded, n * sizeof *rounded, err);
    ra_free(rounded);
    return status;
}

ra_status ra_backend_view(ra_backend *backend, const void *device, size_t bytes, void **copy,
                          const void **host, ra_error *err) {
    *host = device;
    if (ra_backend_host_memory(backend)) return RA_OK;
    void *grown = ra_realloc(*copy, bytes, 1);
    if (!grown) RA_FAIL_MEMORY(err, "a copy of device memory", bytes);
    *host = *copy = grown;
    return ra_backend_get(backend, grown, device, bytes, err);
}

/* ---- buffers ------------------------------------------------------------------------------------------- */

/* By half of itself at least, so that it soon stops; where there is not that much memory, by what is needed. */
ra_status ra_buffer_reserve(ra_buffer *buffer, ra_backend *backend, size_t n, ra_error *err) {
    ra_error reason;
    void *memory = NULL;
    if (n == 0) n = 1; /* a member of a group may have no rows, and the pointer must be valid all the same */
    if (buffer->backend == backend && n <= buffer->capacity) return RA_OK;
    size_t before = buffer->backend == backend ? buffer->capacity : 0, more = before + before / 2;
    size_t wanted = more > n ? more : n;
    ra_buffer_release(buffer); /* first: there may not be memory for both */
    ra_status status = ra_backend_allocate(backend, wanted * sizeof *buffer->data, &memory, &reason);
    if (status == RA_ERR_MEMORY && wanted > n) {
        wanted = n;
        status = ra_backend_allocate(backend, wanted * sizeof *buffer->data, &memory, &reason);
    }
    if (status == RA_OK)
        *buffer = (ra_buffer){ra_backend_retain(backend), memory, wanted};
    else if (err)
        *err = reason;
    return status;
}

void ra_buffer_release(ra_buffer *buffer) {
    if (buffer->backend) {
        ra_backend_deallocate(buffer->backend, buffer->data);
        ra_backend_release(buffer->backend);
    }
    *buffer = (ra_buffer){0};
}
