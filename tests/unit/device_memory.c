#include "device_memory.h"
#include "devices.h"
#include "harness.h"
#include "ra_memory.h"

#include <math.h>

test_device test_device_open(const ra_backend_options *options) {
    return (test_device){.backend = device_open_named("cuda-emulated", options)};
}

void test_device_close(test_device *device) {
    while (device->count) ra_backend_deallocate(device->backend, device->blocks[--device->count]);
    ra_backend_release(device->backend);
}

void *test_device_put(test_device *device, const void *host, size_t bytes) {
    void *block = NULL;
    ck_assert_uint_lt(device->count, sizeof device->blocks / sizeof *device->blocks);
    ra_ok(ra_backend_allocate(device->backend, bytes, &block, &err));
    if (host) ra_ok(ra_backend_upload(device->backend, block, host, bytes, &err));
    return device->blocks[device->count++] = block;
}

const float *test_device_get(test_device *device, const float *block, size_t n) {
    static float *kept[8];
    static unsigned next;
    float **place = &kept[next++ % 8];
    ra_free(*place);
    *place = ra_malloc(n, sizeof **place);
    ck_assert_ptr_nonnull(*place);
    ra_ok(ra_backend_download(device->backend, *place, block, n * sizeof **place, &err));
    ra_ok(ra_backend_synchronize(device->backend, &err));
    return *place;
}

void test_assert_near(const char *what, const float *a, const double *b, size_t n, double tolerance) {
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs((double)a[i] - b[i]) <= tolerance * (1 + fabs(b[i])),
                      "%s: number %zu of %zu is %.9g, expected %.9g", what, i, n, (double)a[i], b[i]);
}
