#include "golden.h"
#include "devices.h"
#include "ra_memory.h"

#include <stdio.h>

ra_safetensors *golden_open(const char *name, const char *suffix) {
    char file[256];
    ra_safetensors *opened = NULL;
    snprintf(file, sizeof file, "%s%s", name, suffix);
    ra_ok(ra_safetensors_open(test_golden(file), &opened, &err));
    return opened;
}

static const ra_tensor *find(const ra_safetensors *file, const char *name) {
    const ra_tensor *tensor = ra_safetensors_find(file, name);
    ck_assert_msg(tensor && tensor->dtype == RA_F32, "%s holds no F32 tensor %s", ra_safetensors_path(file),
                  name);
    return tensor;
}

const float *golden_values(const ra_safetensors *file, const char *name, size_t *n) {
    const ra_tensor *tensor = find(file, name);
    if (n) *n = ra_tensor_elements(tensor);
    return tensor->data;
}

float golden_scalar(const ra_safetensors *file, const char *name) {
    return *golden_values(file, name, NULL);
}

size_t golden_rows(const ra_safetensors *file, const char *name) {
    return find(file, name)->shape[0];
}

size_t golden_cols(const ra_safetensors *file, const char *name) {
    return find(file, name)->shape[1];
}

void golden_close(const float *values, const ra_safetensors *file, const char *name, double tolerance) {
    size_t n;
    const float *expected = golden_values(file, name, &n);
    double error = test_relative_error(values, expected, n);
    ck_assert_msg(error <= tolerance, "%s of %s: relative error %.3g, at most %.3g is allowed", name,
                  ra_safetensors_path(file), error, tolerance);
}

void golden_close_on(ra_backend *backend, const float *block, const ra_safetensors *file, const char *name,
                     double tolerance) {
    size_t n;
    golden_values(file, name, &n);
    float *values = device_numbers(backend, block, n);
    golden_close(values, file, name, tolerance);
    ra_free(values);
}
