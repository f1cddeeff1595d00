#include "ra_tensor.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[RA_DTYPE_COUNT] = {
#define X(name, bytes, text) [RA_##name] = {text, bytes},
    RA_DTYPE_LIST(X)
#undef X
};

size_t ra_dtype_size(ra_dtype dtype) {
    return dtypes[dtype].size;
}

const char *ra_dtype_name(ra_dtype dtype) {
    return dtypes[dtype].name;
}

bool ra_dtype_from_name(const char *name, ra_dtype *dtype) {
    for (int i = 0; i < RA_DTYPE_COUNT; i++)
        if (strcasecmp(name, dtypes[i].name) == 0) {
            *dtype = (ra_dtype)i;
            return true;
        }
    return false;
}

bool ra_dtype_is_float(ra_dtype dtype) {
    return dtype == RA_F32 || dtype == RA_F16 || dtype == RA_BF16;
}

bool ra_dtype_is_data(ra_dtype dtype) {
    return ra_dtype_is_float(dtype) || dtype == RA_F64 || dtype == RA_U8 || dtype == RA_I8 ||
           dtype == RA_U16 || dtype == RA_I16;
}

size_t ra_tensor_elements(const ra_tensor *tensor) {
    size_t n = 1;
    for (int i = 0; i < tensor->rank; i++) n *= tensor->shape[i];
    return n;
}

size_t ra_tensor_bytes(const ra_tensor *tensor) {
    return ra_tensor_elements(tensor) * ra_dtype_size(tensor->dtype);
}

ra_tensor ra_tensor_1d(ra_dtype dtype, const void *data, size_t n) {
    return (ra_tensor){.dtype = dtype, .rank = 1, .shape = {n}, .data = data};
}

ra_tensor ra_tensor_2d(ra_dtype dtype, const void *data, size_t rows, size_t cols) {
    return (ra_tensor){.dtype = dtype, .rank = 2, .shape = {rows, cols}, .data = data};
}

const char *ra_shape_text(int rank, const size_t *shape, char *buffer, size_t size) {
    size_t used = 0;
    for (int i = 0; i <= rank && used < size; i++) {
        int n = i < rank ? snprintf(buffer + used, size - used, "%s%zu", i ? ", " : "[", shape[i])
                         : snprintf(buffer + used, size - used, "%s", rank ? "]" : "[]");
        used += n > 0 ? (size_t)n : 0;
    }
    return buffer;
}

ra_status ra_matrix_init(ra_matrix *matrix, size_t rows, size_t cols, ra_error *err) {
    size_t elements;
    *matrix = (ra_matrix){0};
    if (__builtin_mul_overflow(rows, cols, &elements))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "a matrix of %zu x %zu numbers is too large", rows, cols);
    float *data = ra_calloc(elements, sizeof *data);
    if (!data) RA_FAIL_MEMORY(err, "a matrix", elements * sizeof *data);
    *matrix = (ra_matrix){data, rows, cols};
    return RA_OK;
}

void ra_matrix_release(ra_matrix *matrix) {
    ra_free(matrix->data);
    *matrix = (ra_matrix){0};
}

float *ra_matrix_row(const ra_matrix *matrix, size_t row) {
    return matrix->data + row * matrix->cols;
}
