/* backend.h - the tables of the built-in backends, and the part that they share: host memory. */
#ifndef RA_BACKEND_BACKEND_H
#define RA_BACKEND_BACKEND_H

#include "ra_backend.h"
#include "base/pool.h"

extern const ra_backend_ops ra_backend_reference;
extern const ra_backend_ops ra_backend_cpu; /* its context is its ra_pool */

/* The members of a table that are not arithmetic, for a backend that computes in host memory: a copy is
 * memcpy, and the only stream is NULL. */
#define RA_HOST_MEMORY_OPS                                                                                   \
    .api_version = RA_BACKEND_API_VERSION, .host_memory = true, .allocate = ra_host_allocate,                \
    .deallocate = ra_host_deallocate, .host_allocate = ra_host_plain_allocate,                               \
    .host_deallocate = ra_host_deallocate, .memory = ra_host_memory, .stream_new = ra_host_stream_new,       \
    .follow = ra_host_follow, .stream_free = ra_host_stream_free, .upload = ra_host_copy,                    \
    .download = ra_host_copy, .synchronize = ra_host_synchronize, .defer = ra_host_defer,                    \
    .products = ra_host_products, .codes_new = ra_host_codes_new, .codes_bytes = ra_host_codes_bytes,        \
    .codes_pack = ra_host_codes_pack, .codes_view = ra_host_codes_view

ra_status ra_host_allocate(void *self, size_t bytes, void **memory, ra_error *err);
ra_status ra_host_plain_allocate(void *self, size_t bytes, void **memory, ra_error *err);
void ra_host_deallocate(void *self, void *memory);
ra_status ra_host_copy(void *self, ra_backend_stream *stream, void *target, const void *source, size_t bytes,
                       ra_error *err);
ra_status ra_host_stream_new(void *self, ra_stream_kind kind, ra_backend_stream **stream, ra_error *err);
ra_status ra_host_follow(void *self, ra_backend_stream *later, ra_backend_stream *earlier, ra_error *err);
void ra_host_stream_free(void *self, ra_backend_stream *stream);
ra_status ra_host_synchronize(void *self, ra_backend_stream *stream, ra_error *err);
void ra_host_defer(void *self, ra_backend_stream *stream, bool deferred);
ra_status ra_host_products(void *self, ra_backend_stream *stream, ra_precision precision, ra_error *err);
ra_status ra_host_codes_new(void *self, ra_device_codes **device, ra_error *err);
size_t ra_host_codes_bytes(void *self, size_t rows, size_t latents, size_t entries);
ra_status ra_host_codes_pack(void *self, ra_backend_stream *stream, const ra_codes *codes,
                             const int32_t *position, size_t latents, ra_codes *packed, ra_error *err);
ra_status ra_host_codes_view(void *self, ra_backend_stream *stream, ra_codes *codes, ra_error *err);
ra_status ra_host_memory(void *self, size_t *available, size_t *total, ra_error *err);

#endif
