/* context.h - the host part of the CUDA backend: a device, its streams, and the status of a failed call.
 *
 * Every operation of the table is wrapped in cuda_enter() and cuda_leave(). Between them the calling thread
 * has the device selected (CUDA keeps that per thread) and the stream locked, so several threads may use the
 * default stream (NULL) at the same time. They then wait for each other; a thread with a stream of its own
 * does not wait. */
#ifndef RA_BACKEND_CUDA_CONTEXT_H
#define RA_BACKEND_CUDA_CONTEXT_H

#include "ra_backend.h"
#include "ra_memory.h"
#include "backend/cuda/blas.h"
#include "backend/cuda/launch.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct cuda_context {
    int ordinal;
    bool tf32;        /* products round their factors to 10 bits of mantissa unless told otherwise */
    bool yield;       /* a thread that waits sleeps */
    int major, minor; /* its compute capability */
    atomic_int lost;  /* the cudaError_t after which the device no longer responds; 0: none */
    const cublas_library *blas;
    ra_backend_stream *default_stream;
} cuda_context;

/* A piece of pinned memory in use by a copy: see staging.c. */
typedef struct staging_slot {
    char *memory;     /* a part of the stream's `pinned` */
    cudaEvent_t done; /* its copy */
    bool busy;
    void *target; /* of a download: the destination of the bytes once they have arrived; NULL: an upload */
    size_t bytes;
    size_t number; /* of the copy, counted by the stream */
} staging_slot;

/* Small ones, as many as a step's small copies, so that none waits for an earlier one; and large ones, so that a batch
 * takes few copies: while the device reads one, the host fills another. */
enum {
    STAGING_SMALL = 16,
    STAGING_LARGE = 3,
    STAGING_SLOTS = STAGING_SMALL + STAGING_LARGE,
    STAGING_SMALL_BYTES = 1 << 17,
    STAGING_LARGE_BYTES = 1 << 21
};

struct ra_backend_stream {
    cuda_context *context;
    cudaStream_t handle;
    cublasHandle_t blas; /* NULL: it only copies */
    void *blas_memory;   /* the work area of its products, */
    size_t blas_bytes;   /* and its size */
    cudaEvent_t waited;  /* what cuda_wait() waits for, if the thread is to sleep */
    cudaEvent_t reached; /* what another stream waits for that follows this one */
    pthread_mutex_t lock;
    char *pinned;
    staging_slot slots[STAGING_SLOTS]; /* the small ones, then the large ones */
    unsigned next_small, next_large;
    size_t copies, copies_before; /* through the slots: in all, and before the current operation */
    ra_precision precision;       /* of its products' factors */
    bool deferred;                /* doubles arrive with the next wait */
    bool lost_downloads;          /* of an earlier operation, by a failure that a later one has reported */
    void *scratch; /* device memory for one operation; calls on a stream run in order, so one is enough */
    size_t scratch_bytes;
    void *
        narrow; /* the factors of a product in 16 bits, apart from what an operation has in its scratch memory */
    size_t narrow_bytes;
};

/* failure.c: the status and the message of a call that failed at `what` ("a copy to the device"); RA_OK for a
 * call that succeeded. */
ra_status cuda_check(cuda_context *context, cudaError_t code, const char *what, ra_error *err);
ra_status cublas_check(cuda_context *context, cublasStatus_t code, const char *what, ra_error *err);
ra_status cuda_check_lost(cuda_context *context, ra_error *err); /* did an earlier call lose the device? */

/* staging.c: the pinned memory of a new stream, and copies on an entered one */
ra_status cuda_staging_prepare(ra_backend_stream *s, ra_error *err);
typedef struct cuda_part {
    const void *data;
    size_t bytes;
} cuda_part;
ra_status
cuda_upload_parts(ra_backend_stream *s, void *device, const cuda_part *parts, size_t count,
                  ra_error *err); /* one behind the other; the host memory has been read on return */
ra_status cuda_download_bytes(ra_backend_stream *s, void *host, const void *device, size_t bytes,
                              ra_error *err);    /* in host memory after cuda_wait() */
void cuda_staging_deliver(ra_backend_stream *s); /* the copies are complete */
/* Downloads from this number on are not delivered: their operation has failed. */
void cuda_staging_drop(ra_backend_stream *s, size_t from);
void cuda_staging_release(ra_backend_stream *s);

/* stream.c */
ra_status cuda_select(cuda_context *context, ra_error *err); /* the device, for the calling thread */
ra_status cuda_stream_new(void *self, ra_stream_kind kind, ra_backend_stream **stream, ra_error *err);
void cuda_stream_free(void *self, ra_backend_stream *stream);
ra_status cuda_follow(void *self, ra_backend_stream *later, ra_backend_stream *earlier, ra_error *err);
ra_status cuda_enter(void *self, ra_backend_stream *stream, ra_backend_stream **entered, ra_error *err);
ra_status cuda_leave(ra_backend_stream *s, ra_status status);
ra_status cuda_wait(ra_backend_stream *s, ra_error *err);
ra_status cuda_event_new(cuda_context *context, cudaEvent_t *event, ra_error *err);
/* At least `bytes` of device memory, uninitialized, until the next call on this stream. */
ra_status cuda_scratch(ra_backend_stream *s, size_t bytes, void **memory, ra_error *err);
/* The same for the factors of one product. */
ra_status cuda_narrow_memory(ra_backend_stream *s, size_t bytes, void **memory, ra_error *err);
ra_status cuda_upload(void *self, ra_backend_stream *stream, void *device, const void *host, size_t bytes,
                      ra_error *err);
ra_status cuda_download(void *self, ra_backend_stream *stream, void *host, const void *device, size_t bytes,
                        ra_error *err);
void cuda_defer(void *self, ra_backend_stream *stream, bool deferred);
ra_status cuda_products(void *self, ra_backend_stream *stream, ra_precision precision, ra_error *err);
ra_status cuda_synchronize(void *self, ra_backend_stream *stream, ra_error *err);

/* context.c */
ra_status cuda_open(const ra_backend_options *options, void **self, ra_error *err);
void cuda_close(void *self);
ra_status cuda_allocate(void *self, size_t bytes, void **memory, ra_error *err);
void cuda_deallocate(void *self, void *memory);
ra_status cuda_host_allocate(void *self, size_t bytes, void **memory, ra_error *err);
void cuda_host_deallocate(void *self, void *memory);
ra_status cuda_memory(void *self, size_t *available, size_t *total, ra_error *err);

/* sums.c: n doubles of the device in host memory; waits, unless that is deferred */
ra_status cuda_take_doubles(ra_backend_stream *s, double *host, const double *device, size_t n,
                            ra_error *err);

#endif
