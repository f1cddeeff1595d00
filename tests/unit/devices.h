/* devices.h - the devices that tests of training, and of what it is made of, run on.
 *
 * The last one is the CUDA plugin over an emulated device (tests/emulation/), whose memory the host cannot
 * touch: what reads or writes it where it should not stops the test. Another one takes its place when
 * RASAE_TEST_DEVICE names it (make check-gpu). */
#ifndef RA_TEST_DEVICES_H
#define RA_TEST_DEVICES_H

#include "harness.h"
#include "ra_backend.h"

enum { DEVICE_REFERENCE, DEVICE_CPU, DEVICE_EMULATED, DEVICES };

ra_backend *device_open(int device, size_t threads);
ra_backend *device_open_named(const char *name, const ra_backend_options *options);

/* n numbers of backend memory in the host's, the caller's to ra_free(). */
float *device_numbers(ra_backend *backend, const float *block, size_t n);

/* The block <- n of the host's numbers; what it points at. */
float *device_put(ra_buffer *block, ra_backend *backend, const float *values, size_t n);

#endif
