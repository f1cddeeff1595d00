#include "data_files.h"
#include "devices.h"

#include "ra_io.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

const char *data_file_npy(const char *name, const float *values, size_t rows, size_t d) {
    const char *path = test_path(name);
    ra_tensor tensor = ra_tensor_2d(RA_F32, values, rows, d);
    ra_ok(ra_npy_write(path, &tensor, &err));
    return path;
}

const char *data_file_tensor(const char *name, ra_dtype dtype, const float *values, int rank,
                             const size_t *shape) {
    const char *path = test_path(name);
    ra_tensor tensor = {.dtype = dtype, .rank = rank};
    memcpy(tensor.shape, shape, (size_t)rank * sizeof *shape);
    size_t n = ra_tensor_elements(&tensor);
    void *narrow = ra_malloc(n + 1, ra_dtype_size(dtype));
    ra_safetensors_writer *writer = NULL;
    ck_assert_ptr_nonnull(narrow);
    ra_convert_from_f32(dtype, values, narrow, n);
    tensor.data = narrow;
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    ra_ok(ra_safetensors_writer_tensor(writer, "x", &tensor, &err));
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    ra_free(narrow);
    return path;
}

const char *data_file_safetensors(const char *name, ra_dtype dtype, const float *values, size_t rows,
                                  size_t d) {
    return data_file_tensor(name, dtype, values, 2, (const size_t[]){rows, d});
}

ra_data *data_of(const float *values, size_t rows, size_t d) {
    ra_data *data = NULL;
    const char *path = data_file_npy("data.npy", values, rows, d);
    ra_ok(ra_data_open(&path, 1, NULL, &data, &err));
    return data;
}

ra_backend *backend_of(const char *device, size_t threads) {
    return device_open_named(device, &(ra_backend_options){.threads = threads});
}

double squared_distance_of(const float *x, const float *y, size_t d) {
    double sum = 0;
    for (size_t j = 0; j < d; j++) sum += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
    return sum;
}

void fill_blobs(float *values, size_t rows, size_t d, size_t groups, float spread, float radius,
                uint64_t seed) {
    float *centers = ra_malloc(groups * d, sizeof *centers);
    ck_assert_ptr_nonnull(centers);
    test_fill(centers, groups * d, seed);
    test_fill(values, rows * d, seed + 1);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < d; j++)
            values[i * d + j] = spread * centers[i % groups * d + j] + radius * values[i * d + j];
    ra_free(centers);
}
