#include "backend/reference/reference.h"

static ra_status open_reference(const ra_backend_options *options, void **self, ra_error *err) {
    (void)options, (void)err;
    *self = NULL;
    return RA_OK;
}

static void close_reference(void *self) {
    (void)self;
}

const ra_backend_ops ra_backend_reference = {
    RA_HOST_MEMORY_OPS,
    .name = "reference",
    .open = open_reference,
    .close = close_reference,
#define RA_OPERATION(name, parameters, arguments) .name = reference_##name,
#include "ra_backend_operations.h"
};
