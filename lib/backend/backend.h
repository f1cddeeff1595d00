/* backend.h - the tables of the built-in backends, and the host-memory operations that they share. */
#ifndef RA_BACKEND_BACKEND_H
#define RA_BACKEND_BACKEND_H

#include "ra_backend.h"
#include "base/pool.h"

extern const ra_backend_ops ra_backend_reference, ra_backend_cpu;

ra_pool *ra_backend_cpu_pool(void *self);

/* Backend memory is ordinary memory: allocation is zeroed, a copy is memcpy, a stream is NULL. */
ra_status ra_host_allocate(void *self, size_t bytes, void **block, ra_error *err);
void ra_host_deallocate(void *self, void *block);
ra_status ra_host_copy(void *self, ra_backend_stream *stream, void *target, const void *source, size_t bytes,
                       ra_error *err);
ra_status ra_host_stream_new(void *self, ra_backend_stream **stream, ra_error *err);
void ra_host_stream_free(void *self, ra_backend_stream *stream);
ra_status ra_host_synchronize(void *self, ra_backend_stream *stream, ra_error *err);
ra_status ra_host_memory(void *self, size_t *available, size_t *total, ra_error *err);

#endif
