#include "devices.h"
#include "ra_memory.h"

#include <stdlib.h>
#include <string.h>

static const char *const devices[] = {"reference", "cpu", "cuda-emulated"};

/* make check-gpu: opening a real device takes much longer than most tests, so those of a suite share one per
 * set of options, until the end of the process. */
static struct {
    ra_backend_options options;
    ra_backend *backend;
} kept[8];

static void close_kept(void) {
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) ra_backend_release(kept[i].backend);
}

static ra_backend *kept_open(const char *name, const ra_backend_options *options) {
    const ra_backend_options wanted = options ? *options : (ra_backend_options){0};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (!kept[i].backend) {
            ra_ok(ra_backend_open(name, &wanted, &kept[i].backend, &err));
            if (i == 0) atexit(close_kept); /* before those of the plugin, which is loaded by now */
            kept[i].options = wanted;
        } else if (kept[i].options.threads != wanted.threads || kept[i].options.tf32 != wanted.tf32)
            continue;
        return ra_backend_retain(kept[i].backend);
    }
    ck_abort_msg("more sets of options than a suite keeps devices for");
}

ra_backend *device_open_named(const char *name, const ra_backend_options *options) {
    const char *instead = getenv("RASAE_TEST_DEVICE");
    ra_backend *backend = NULL;
    if (instead && strcmp(name, devices[DEVICE_EMULATED]) == 0) return kept_open(instead, options);
    ra_ok(ra_backend_open(name, options, &backend, &err));
    return backend;
}

ra_backend *device_open(int device, size_t threads) {
    return device_open_named(devices[device], &(ra_backend_options){.threads = threads});
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
