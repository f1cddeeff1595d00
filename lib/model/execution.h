/* execution.h - where a computation of a model runs: a stream of its backend, and scratch memory.
 *
 * A workspace has two. The one in host memory serves every backend that computes there; it has no stream of
 * its own and copies nothing. The one on a device has its own stream, so that workspaces do not wait for each
 * other, and keeps the backend that it was last used with.
 *
 *     RA_TRY(ra_execution_open(executions, backend, &execution, err));
 *     ra_span spans[] = {{.bytes = execution->remote ? n * sizeof(float) : 0}, {.bytes = m * sizeof(float)}};
 *     RA_TRY(ra_execution_reserve(execution, "scores", spans, 2, err));
 *     const float *input = NULL;
 *     ra_status status = ra_execution_upload(execution, x, n, &spans[0], &input, err);
 *     return ra_execution_finish(execution, status); // after operations on input and spans[1].at
 *
 * One computation at a time uses an execution, from reserve() to finish(). In between, copies to and from the
 * caller's memory may be in progress.
 */
#ifndef RA_MODEL_EXECUTION_H
#define RA_MODEL_EXECUTION_H

#include "ra_backend.h"

typedef struct ra_execution {
    ra_stream stream; /* remote: its backend is retained; otherwise: the present model's */
    bool remote;      /* the device has its own memory: inputs and outputs are copied */
    void *memory;
    size_t bytes;
} ra_execution;

/* Those of a workspace. {0} is valid. */
typedef struct ra_executions {
    ra_execution host, device;
    bool serial; /* on the host: without the threads of the backend */
} ra_executions;

/* A part of an execution's memory. */
typedef struct ra_span {
    size_t bytes;
    void *at; /* in backend memory */
} ra_span;

/* The bytes of all spans, each of which begins at an address that suits any operation. */
size_t ra_spans_bytes(const ra_span *spans, size_t count);

/* *execution <- the one for this backend. */
ra_status ra_execution_open(ra_executions *executions, ra_backend *backend, ra_execution **execution,
                            ra_error *err);

/* For loops in host memory of a computation on this backend; NULL: they run on the calling thread. */
struct ra_pool *ra_executions_pool(const ra_executions *executions, const ra_backend *backend);
void ra_executions_release(ra_executions *executions);

/* spans[i].at <- memory for its bytes. The contents of earlier spans are lost. `what` names it in an
 * error. */
ra_status ra_execution_reserve(ra_execution *execution, const char *what, ra_span *spans, size_t count,
                               ra_error *err);

/* *input <- n floats of the host where the backend can read them: themselves, or a copy in the span, which
 * may still be in progress. */
ra_status ra_execution_upload(ra_execution *execution, const float *host, size_t n, ra_span *span,
                              const float **input, ra_error *err);

/* Where the backend writes floats for the host: `host` itself, or the span, from which download() copies
 * them. */
float *ra_execution_output(const ra_execution *execution, float *host, const ra_span *span);
ra_status ra_execution_download(ra_execution *execution, const float *output, float *host, size_t n,
                                ra_error *err);

/* Returns `status`; after a failure, waits for copies that are in progress. */
ra_status ra_execution_finish(ra_execution *execution, ra_status status);

#endif
