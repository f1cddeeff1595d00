#include "backend/reference/reference.h"

static ra_status open_reference(const ra_backend_options *options, void **self, ra_error *err) {
    (void)options, (void)err;
    *self = NULL;
    return RA_OK;
}

static void close_reference(void *self) {
    (void)self;
}

#define X(member) .member = reference_##member,
const ra_backend_ops ra_backend_reference = {
    RA_BACKEND_COMPUTES(X)
        /* and what is beside them */
        .api_version = RA_BACKEND_API_VERSION,
    .name = "reference",
    .host_memory = true,
    .open = open_reference,
    .close = close_reference,
    .allocate = ra_host_allocate,
    .deallocate = ra_host_deallocate,
    .upload = ra_host_copy,
    .download = ra_host_copy,
    .stream_new = ra_host_stream_new,
    .stream_free = ra_host_stream_free,
    .synchronize = ra_host_synchronize,
    .memory = ra_host_memory,
};
#undef X
