#include "model/execution.h"
#include "base/pool.h"
#include "ra_memory.h"

enum { ALIGNMENT = 256 }; /* of spans: the best for a device's vector loads and matrix products */

static size_t padded(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t ra_spans_bytes(const ra_span *spans, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += padded(spans[i].bytes);
    return bytes;
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void free_memory(ra_execution *execution) {
    if (execution->remote)
        ra_backend_deallocate(execution->stream.backend, execution->memory);
    else
        ra_free(execution->memory);
    execution->memory = NULL;
    execution->bytes = 0;
}

static void release(ra_execution *execution) {
    free_memory(execution);
    if (execution->remote) {
        ra_stream_free(execution->stream);
        ra_backend_release(execution->stream.backend);
    }
    *execution = (ra_execution){0};
}

static ra_status move_to(ra_execution *execution, ra_backend *backend, ra_error *err) {
    ra_stream stream;
    release(execution);
    RA_TRY(ra_stream_new(backend, &stream, err));
    ra_backend_retain(backend);
    *execution = (ra_execution){.stream = stream, .remote = true};
    return RA_OK;
}

void ra_executions_release(ra_executions *executions) {
    release(&executions->host);
    release(&executions->device);
}

ra_status ra_execution_open(ra_executions *executions, ra_backend *backend, ra_execution **execution,
                            ra_error *err) {
    if (ra_backend_host_memory(backend)) {
        *execution = &executions->host;
        executions->host.stream =
            ra_backend_default_stream(executions->serial ? ra_backend_serial(backend) : backend);
        return RA_OK;
    }
    *execution = &executions->device;
    if (executions->device.stream.backend == backend) return RA_OK;
    return move_to(&executions->device, backend, err);
}

ra_pool *ra_executions_pool(const ra_executions *executions, const ra_backend *backend) {
    return executions->serial ? NULL : ra_backend_pool(backend);
}

/* ---- use ---------------------------------------------------------------------------------------------- */

/* Frees a device's old memory first, because there may not be enough for both. */
static ra_status grow(ra_execution *execution, const char *what, size_t bytes, ra_error *err) {
    if (bytes <= execution->bytes) return RA_OK;
    free_memory(execution);
    if (execution->remote) {
        RA_TRY(ra_backend_allocate(execution->stream.backend, bytes, &execution->memory, err));
    } else {
        execution->memory = ra_malloc(bytes, 1);
        if (!execution->memory) RA_FAIL_MEMORY(err, what, bytes);
    }
    execution->bytes = bytes;
    return RA_OK;
}

ra_status ra_execution_reserve(ra_execution *execution, const char *what, ra_span *spans, size_t count,
                               ra_error *err) {
    RA_TRY(grow(execution, what, ra_spans_bytes(spans, count), err));
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        spans[i].at = spans[i].bytes ? (char *)execution->memory + offset : NULL;
        offset += padded(spans[i].bytes);
    }
    return RA_OK;
}

ra_status ra_execution_upload(ra_execution *execution, const float *host, size_t n, ra_span *span,
                              const float **input, ra_error *err) {
    *input = execution->remote ? span->at : host;
    if (!execution->remote) return RA_OK;
    return ra_stream_upload(execution->stream, span->at, host, n * sizeof *host, err);
}

float *ra_execution_output(const ra_execution *execution, float *host, const ra_span *span) {
    return execution->remote ? span->at : host;
}

ra_status ra_execution_download(ra_execution *execution, const float *output, float *host, size_t n,
                                ra_error *err) {
    if (!execution->remote) return RA_OK;
    RA_TRY(ra_stream_download(execution->stream, host, output, n * sizeof *host, err));
    return ra_stream_synchronize(execution->stream, err);
}

ra_status ra_execution_finish(ra_execution *execution, ra_status status) {
    if (status != RA_OK && execution->remote) (void)ra_stream_synchronize(execution->stream, NULL);
    return status;
}
