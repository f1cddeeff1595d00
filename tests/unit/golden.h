/* golden.h - reading the reference cases of tests/golden in tests. */
#ifndef RA_TEST_GOLDEN_H
#define RA_TEST_GOLDEN_H

#include "harness.h"
#include "ra_backend.h"
#include "ra_io.h"

/* Opens tests/golden/<case><suffix>; fails the test when it cannot. The caller frees it. */
ra_safetensors *golden_open(const char *name, const char *suffix);

/* A tensor's floats (converted when need be stays out: golden files are f32) and its size. */
const float *golden_values(const ra_safetensors *file, const char *name, size_t *n);
float golden_scalar(const ra_safetensors *file, const char *name);
size_t golden_rows(const ra_safetensors *file, const char *name);
size_t golden_cols(const ra_safetensors *file, const char *name);

/* assert_close against the tensor `name`. */
void golden_close(const float *values, const ra_safetensors *file, const char *name, double tolerance);

/* The same of backend memory. */
void golden_close_on(ra_backend *backend, const float *block, const ra_safetensors *file, const char *name,
                     double tolerance);

#endif
