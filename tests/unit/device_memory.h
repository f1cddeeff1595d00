/* device_memory.h - memory of a device that the host cannot touch, for tests of its operations: the emulated
 * one, or that which RASAE_TEST_DEVICE names (make check-gpu). */
#ifndef RA_TEST_DEVICE_MEMORY_H
#define RA_TEST_DEVICE_MEMORY_H

#include "ra_backend.h"

typedef struct test_device {
    ra_backend *backend;
    void *blocks[32]; /* freed by close */
    size_t count;
} test_device;

test_device test_device_open(const ra_backend_options *options);
void test_device_close(test_device *device);

/* A block with these bytes in it; with host NULL, of this size. */
void *test_device_put(test_device *device, const void *host, size_t bytes);
/* n numbers of it, in memory that lives until the next call but seven. */
const float *test_device_get(test_device *device, const float *block, size_t n);

/* Fails unless |a - b| <= tolerance (1 + |b|) for each number. */
void test_assert_near(const char *what, const float *a, const double *b, size_t n, double tolerance);

#endif
