#include "failing_backend.h"

static const ra_backend_ops *real;
static ra_backend_ops failing;
static size_t fail_at, calls;

static ra_status next_call(const char *what, ra_error *err) {
    calls++;
    if (calls == fail_at) RA_FAIL(err, RA_ERR_DEVICE, FAILING_BACKEND_TEXT ": %s", what);
    return RA_OK;
}

#define RA_OPERATION(name, parameters, arguments)                                                            \
    static ra_status failing_##name(void *self, ra_backend_stream *stream, RA_UNPACK parameters,             \
                                    ra_error *err) {                                                         \
        RA_TRY(next_call(#name, err));                                                                       \
        return real->name(self, stream, RA_UNPACK arguments, err);                                           \
    }
#include "ra_backend_operations.h"
#undef RA_OPERATION

static ra_status failing_allocate(void *self, size_t bytes, void **memory, ra_error *err) {
    RA_TRY(next_call("allocate", err));
    return real->allocate(self, bytes, memory, err);
}

static ra_status failing_upload(void *self, ra_backend_stream *stream, void *target, const void *source,
                                size_t bytes, ra_error *err) {
    RA_TRY(next_call("upload", err));
    return real->upload(self, stream, target, source, bytes, err);
}

static ra_status failing_download(void *self, ra_backend_stream *stream, void *target, const void *source,
                                  size_t bytes, ra_error *err) {
    RA_TRY(next_call("download", err));
    return real->download(self, stream, target, source, bytes, err);
}

static ra_status failing_synchronize(void *self, ra_backend_stream *stream, ra_error *err) {
    RA_TRY(next_call("synchronize", err));
    return real->synchronize(self, stream, err);
}

static ra_status failing_stream_new(void *self, ra_stream_kind kind, ra_backend_stream **stream,
                                    ra_error *err) {
    RA_TRY(next_call("stream_new", err));
    return real->stream_new(self, kind, stream, err);
}

static ra_status failing_follow(void *self, ra_backend_stream *later, ra_backend_stream *earlier,
                                ra_error *err) {
    RA_TRY(next_call("follow", err));
    return real->follow(self, later, earlier, err);
}

static ra_status failing_host_allocate(void *self, size_t bytes, void **memory, ra_error *err) {
    RA_TRY(next_call("host_allocate", err));
    return real->host_allocate(self, bytes, memory, err);
}

static ra_status failing_codes_view(void *self, ra_backend_stream *stream, ra_codes *codes, ra_error *err) {
    RA_TRY(next_call("codes_view", err));
    return real->codes_view(self, stream, codes, err);
}

size_t failing_backend_at(size_t n) {
    size_t before = calls;
    calls = 0;
    fail_at = n;
    return before;
}

ra_backend *failing_backend_open(void) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("reference", NULL, &backend, &err));
    real = backend->ops;
    failing = *real;
    failing.allocate = failing_allocate;
    failing.upload = failing_upload;
    failing.download = failing_download;
    failing.synchronize = failing_synchronize;
    failing.stream_new = failing_stream_new;
    failing.follow = failing_follow;
    failing.host_allocate = failing_host_allocate;
    failing.codes_view = failing_codes_view;
#define RA_OPERATION(name, parameters, arguments) failing.name = failing_##name;
#include "ra_backend_operations.h"
#undef RA_OPERATION
    backend->ops = &failing;
    failing_backend_at(0);
    return backend;
}
