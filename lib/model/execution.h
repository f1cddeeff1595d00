/* execution.h - where a computation of a model runs: a stream of its backend, and memory to work in.
 *
 * A workspace has two of them. The one in host memory serves every backend that computes there: it has no
 * stream of its own and copies nothing. The one on a device has a stream of its own, so that workspaces do
 * not wait for each other, and stays with the backend that it was last used with.
 *
 *     ra_span spans[] = {{.bytes = execution->remote ? n * sizeof(float) : 0}, {.bytes = m * sizeof(float)}};
 *     RA_TRY(ra_execution_open(&workspace->executions, model->backend, &execution, err));
 *     RA_TRY(ra_execution_reserve(execution, "scores", spans, 2, err));
 *     return ra_execution_finish(execution, compute(execution, spans, ...));
 *
 * One computation at a time uses an execution, from reserve() to finish(); reserve() loses what its spans
 * held. Between the two, copies to and from the caller's memory may be under way.
 */
#ifndef RA_MODEL_EXECUTION_H
#define RA_MODEL_EXECUTION_H

#include "ra_backend.h"

typedef struct ra_execution {
    ra_stream stream; /* its backend is retained if remote, else that of the model in use */
    bool remote;      /* the device has its own memory: inputs and outputs are copied */
    void *memory;
    size_t bytes;
} ra_execution;

/* The two of a workspace. {0} is valid. */
typedef struct ra_executions {
    ra_execution host, device;
} ra_executions;

/* A piece of an execution's memory. */
typedef struct ra_span {
    size_t bytes;
    void *at; /* in backend memory */
} ra_span;

/* The bytes that spans take together, each at an address that suits any operation. */
size_t ra_spans_bytes(const ra_span *spans, size_t count);

/* *execution <- the one that computes on this backend. */
ra_status ra_execution_open(ra_executions *executions, ra_backend *backend, ra_execution **execution,
                            ra_error *err);
void ra_executions_release(ra_executions *executions);

/* spans[i].at <- memory for its bytes; the previous contents are lost. */
ra_status ra_execution_reserve(ra_execution *execution, const char *what, ra_span *spans, size_t count,
                               ra_error *err);

/* *input <- host's n floats for the backend: themselves, or a copy in the span, which may be under way. */
ra_status ra_execution_upload(ra_execution *execution, const float *host, size_t n, ra_span *span,
                              const float **input, ra_error *err);

/* Where the backend may leave n floats that are meant for host: host itself, or the span, from which
 * download() copies them. */
float *ra_execution_output(const ra_execution *execution, float *host, const ra_span *span);
ra_status ra_execution_download(ra_execution *execution, const float *output, float *host, size_t n,
                                ra_error *err);

/* Returns `status`; after a failure no copy of the caller's memory is under way any more. */
ra_status ra_execution_finish(ra_execution *execution, ra_status status);

#endif
