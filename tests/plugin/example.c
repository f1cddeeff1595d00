/* The smallest plugin: a table of operations and a probe. It stands for an accelerator in the tests of
 * loading, and shows what a new one has to export. Built three times: as it is, with an old interface
 * version, and with no device. */
#include "ra_backend.h"

#include <stddef.h>

#ifndef EXAMPLE_VERSION
#define EXAMPLE_VERSION RA_BACKEND_API_VERSION
#endif
#ifndef EXAMPLE_PROBE
#define EXAMPLE_PROBE NULL
#endif

const ra_backend_ops *ra_backend_plugin_ops(void);
const char *ra_backend_plugin_probe(void);

static ra_status open_example(const ra_backend_options *options, void **self, ra_error *err) {
    (void)err;
    static int ordinal;
    ordinal = options->ordinal;
    *self = &ordinal;
    return RA_OK;
}

static void close_example(void *self) {
    (void)self;
}

static ra_status dot(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                     double *sum, ra_error *err) {
    (void)self, (void)stream, (void)err;
    *sum = 0;
    for (size_t i = 0; i < n; i++) *sum += (double)x[i] * (double)y[i];
    return RA_OK;
}

__attribute__((visibility("default"))) const ra_backend_ops *ra_backend_plugin_ops(void) {
    static const ra_backend_ops ops = {.api_version = EXAMPLE_VERSION,
                                       .name = "example",
                                       .open = open_example,
                                       .close = close_example,
                                       .dot = dot};
    return &ops;
}

__attribute__((visibility("default"))) const char *ra_backend_plugin_probe(void) {
    return EXAMPLE_PROBE;
}
