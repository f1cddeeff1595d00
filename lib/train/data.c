/* Activations in mapped files.
 *
 * Nothing is copied when data are opened: rows are widened to float32 when they are asked for, so data may be
 * larger than memory. Opening reads everything once, to refuse a NaN or an infinity by its place before any
 * hour of work depends on it. */
#include "ra_train.h"
#include "base/error.h"

#include <string.h>

typedef struct data_file {
    ra_array *array;
    const ra_tensor *tensor; /* [rows, d] */
    size_t first;            /* number of its first row among those of all files */
} data_file;

struct ra_data {
    size_t rows, dimensions;
    size_t count;
    data_file files[]; /* [count] */
};

/* ---- opening ------------------------------------------------------------------------------------------ */

static ra_status check_shape(const ra_data *data, const char *path, const ra_tensor *tensor, ra_error *err) {
    char shape[128];
    ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape);
    if (!ra_dtype_is_float(tensor->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "%s holds %s numbers; expected activations in F32, F16 or BF16", path,
                ra_dtype_name(tensor->dtype));
    if (tensor->rank != 2)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has the shape %s; expected activations of shape [rows, d]", path,
                shape);
    if (tensor->shape[0] == 0 || tensor->shape[1] == 0)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s has the shape %s; expected activations of shape [rows, d] with at least one row and one "
                "column",
                path, shape);
    if (data->dimensions && data->dimensions != tensor->shape[1])
        RA_FAIL(err, RA_ERR_SHAPE, "%s has the shape %s; expected [rows, %zu], as %s has", path, shape,
                data->dimensions, ra_array_path(data->files[0].array));
    return RA_OK;
}

/* Elements from .. from + n of a tensor as float32. */
static void widen(const ra_tensor *tensor, size_t from, size_t n, float *out) {
    const char *source = (const char *)tensor->data + from * ra_dtype_size(tensor->dtype);
    ra_convert_to_f32(tensor->dtype, source, out, n);
}

static ra_status check_finite(const char *path, const ra_tensor *tensor, ra_error *err) {
    enum { CHUNK = 4096 };
    float chunk[CHUNK];
    size_t elements = ra_tensor_elements(tensor);
    for (size_t from = 0; from < elements; from += CHUNK) {
        size_t count = elements - from < CHUNK ? elements - from : CHUNK;
        widen(tensor, from, count, chunk);
        size_t bad = ra_find_not_finite(chunk, count);
        if (bad == count) continue;
        RA_FAIL(err, RA_ERR_NOT_FINITE,
                "%s holds a NaN or an infinity in row %zu, column %zu (counted from 0); expected finite "
                "activations",
                path, (from + bad) / tensor->shape[1], (from + bad) % tensor->shape[1]);
    }
    return RA_OK;
}

static ra_status add_file(ra_data *data, const char *path, const char *tensor_name, ra_error *err) {
    data_file *file = &data->files[data->count];
    RA_TRY(ra_array_open(path, tensor_name, &file->array, err));
    data->count++; /* from here on ra_data_free() closes it */
    file->tensor = ra_array_tensor(file->array);
    file->first = data->rows;
    RA_TRY(check_shape(data, path, file->tensor, err));
    RA_TRY(check_finite(path, file->tensor, err));
    data->rows += file->tensor->shape[0];
    data->dimensions = file->tensor->shape[1];
    return RA_OK;
}

ra_status ra_data_open(const char *const *paths, size_t count, const char *tensor_name, ra_data **out,
                       ra_error *err) {
    if (count == 0) RA_FAIL(err, RA_ERR_ARGUMENT, "no data file was given; expected at least one");
    size_t bytes = sizeof(ra_data) + count * sizeof(data_file);
    ra_data *data = ra_calloc(1, bytes);
    if (!data) RA_FAIL_MEMORY(err, "the list of data files", bytes);
    for (size_t i = 0; i < count; i++) {
        ra_status status = add_file(data, paths[i], tensor_name, err);
        if (status == RA_OK) continue;
        ra_data_free(data);
        return status;
    }
    *out = data;
    return RA_OK;
}

void ra_data_free(ra_data *data) {
    if (!data) return;
    for (size_t i = 0; i < data->count; i++) ra_array_free(data->files[i].array);
    ra_free(data);
}

size_t ra_data_rows(const ra_data *data) {
    return data->rows;
}

size_t ra_data_dimensions(const ra_data *data) {
    return data->dimensions;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

/* The file that a row lies in: the last one that does not begin behind it. */
static const data_file *file_of(const ra_data *data, size_t row) {
    size_t low = 0, high = data->count; /* it is in [low, high) */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (data->files[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    return &data->files[low];
}

void ra_data_read(const ra_data *data, size_t first, size_t n, float *out) {
    size_t d = data->dimensions;
    while (n > 0) { /* the part of the rows that one file holds */
        const data_file *file = file_of(data, first);
        size_t within = first - file->first, rest = file->tensor->shape[0] - within;
        size_t count = n < rest ? n : rest;
        widen(file->tensor, within * d, count * d, out);
        first += count;
        n -= count;
        out += count * d;
    }
}

void ra_data_gather(const ra_data *data, const uint64_t *rows, size_t n, float *out) {
    size_t d = data->dimensions;
    for (size_t i = 0; i < n; i++) {
        const data_file *file = file_of(data, (size_t)rows[i]);
        widen(file->tensor, ((size_t)rows[i] - file->first) * d, d, out + i * d);
    }
}
