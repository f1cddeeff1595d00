#include "devices.h"
#include "ra_memory.h"

#include <stdlib.h>

static const char *const devices[] = {"reference", "cpu", "cuda-emulated"};

ra_backend *device_open(int device, size_t threads) {
    ra_backend *backend = NULL;
    const char *instead = getenv("RASAE_TEST_DEVICE"),
               *name = device == DEVICE_EMULATED && instead ? instead : devices[device];
    ra_ok(ra_backend_open(name, &(ra_backend_options){.threads = threads}, &backend, &err));
    return backend;
}

float *device_numbers(ra_backend *backend, const float *block, size_t n) {
    float *values = ra_malloc(n ? n : 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    ra_ok(ra_backend_get(backend, values, block, n * sizeof *values, &err));
    return values;
}

float *device_put(ra_buffer *block, ra_backend *backend, const float *values, size_t n) {
    ra_ok(ra_buffer_reserve(block, backend, n, &err));
    ra_ok(ra_backend_put(backend, block->data, values, n * sizeof *values, &err));
    return block->data;
}
