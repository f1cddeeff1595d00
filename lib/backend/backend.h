/* backend.h - the tables of the built-in backends, and the host-memory operations that they share. */
#ifndef RA_BACKEND_BACKEND_H
#define RA_BACKEND_BACKEND_H

#include "ra_backend.h"
#include "base/pool.h"

extern const ra_backend_ops ra_backend_reference, ra_backend_cpu;

ra_pool *ra_backend_cpu_pool(void *self);

/* What a backend computes: the members of the table behind those of memory and streams. A built-in backend
 * has a function PREFIX_member for each, declared and entered into its table from this list, so that one that
 * is missing does not link. */
#define RA_BACKEND_COMPUTES(X)                                                                               \
    X(gemm)                                                                                                  \
    X(project_simplex)                                                                                       \
    X(project_ball)                                                                                          \
    X(combine)                                                                                               \
    X(widen)                                                                                                 \
    X(spread)                                                                                                \
    X(relu)                                                                                                  \
    X(squared_error)                                                                                         \
    X(column_sums)                                                                                           \
    X(row_norms)                                                                                             \
    X(scale_rows)                                                                                            \
    X(row_statistics)                                                                                        \
    X(normalize)                                                                                             \
    X(norm_sums)                                                                                             \
    X(norm_backward)                                                                                         \
    X(kernel_sums)                                                                                           \
    X(decode)                                                                                                \
    X(decode_gradient)                                                                                       \
    X(accumulate)                                                                                            \
    X(latent_sums)                                                                                           \
    X(pick)                                                                                                  \
    X(put)                                                                                                   \
    X(top_k)                                                                                                 \
    X(threshold)                                                                                             \
    X(pursue)                                                                                                \
    X(pursue_back)                                                                                           \
    X(kth_largest)                                                                                           \
    X(dot)                                                                                                   \
    X(gather)                                                                                                \
    X(adam)

#define RA_BACKEND_TYPE(member) __typeof__(*((ra_backend_ops *)0)->member) /* of its function */

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
