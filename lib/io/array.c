/* One array from a file of either kind. The first bytes tell the kind, not the file's name: an npy file
 * begins with its magic number, a safetensors file has a brace after eight bytes of length. */
#include "ra_io.h"
#include "ra_memory.h"

#include <string.h>

struct ra_array {
    char *path;
    ra_npy *npy; /* one of these two owns the mapping */
    ra_safetensors *safetensors;
    ra_tensor tensor;
};

typedef enum kind { EMPTY, NPY, SAFETENSORS, ZIP, OTHER } kind;

static kind kind_of(const void *data, size_t size) {
    const char *bytes = data;
    if (size == 0) return EMPTY;
    if (size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0) return NPY;
    if (size >= 9 && bytes[8] == '{') return SAFETENSORS;
    if (size >= 4 && memcmp(bytes, "PK\x03\x04", 4) == 0) return ZIP;
    return OTHER;
}

static ra_status open_npy(ra_array *array, const char *tensor_name, ra_error *err) {
    if (tensor_name)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is an npy file, whose one array has no name; leave \"%s\" out",
                array->path, tensor_name);
    RA_TRY(ra_npy_open(array->path, &array->npy, err));
    array->tensor = *ra_npy_tensor(array->npy);
    return RA_OK;
}

static ra_status open_safetensors(ra_array *array, const char *tensor_name, ra_error *err) {
    RA_TRY(ra_safetensors_open(array->path, &array->safetensors, err));
    const ra_safetensors *file = array->safetensors;
    if (tensor_name) return ra_safetensors_get(file, tensor_name, &array->tensor, err);
    const char *only = ra_safetensors_name(file, 0), *second = ra_safetensors_name(file, 1);
    const char *foreign = ra_safetensors_foreign(file, 0, NULL);
    if (!second) second = only ? foreign : ra_safetensors_foreign(file, 1, NULL);
    if (!only) only = foreign;
    if (!only) RA_FAIL(err, RA_ERR_NOT_FOUND, "%s holds no tensors", array->path);
    if (second)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s holds several tensors (\"%s\", \"%s\"...); give the name of one",
                array->path, only, second);
    return ra_safetensors_get(file, only, &array->tensor, err);
}

static ra_status load(ra_array *array, const char *tensor_name, ra_error *err) {
    ra_mapping mapping;
    RA_TRY(ra_mapping_open(array->path, &mapping, err));
    kind found = kind_of(mapping.data, mapping.size);
    ra_mapping_close(&mapping);
    switch (found) {
    case NPY:
        return open_npy(array, tensor_name, err);
    case SAFETENSORS:
        return open_safetensors(array, tensor_name, err);
    case EMPTY:
        RA_FAIL(err, RA_ERR_FORMAT, "%s is empty", array->path);
    case ZIP:
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s is a zip archive (.npz, .pt), but only .npy and .safetensors files can be read",
                array->path);
    case OTHER:
        break;
    }
    RA_FAIL(err, RA_ERR_FORMAT, "%s is neither an npy nor a safetensors file", array->path);
}

ra_status ra_array_open(const char *path, const char *tensor_name, ra_array **out, ra_error *err) {
    ra_array *array = ra_calloc(1, sizeof *array);
    if (!array) RA_FAIL_MEMORY(err, "an open file", sizeof *array);
    array->path = ra_strdup(path);
    ra_status status = array->path ? load(array, tensor_name, err)
                                   : ra_error_set(err, RA_ERR_MEMORY, "out of memory: the name of a file");
    if (status != RA_OK) {
        ra_array_free(array);
        return status;
    }
    *out = array;
    return RA_OK;
}

void ra_array_free(ra_array *array) {
    if (!array) return;
    ra_npy_free(array->npy);
    ra_safetensors_free(array->safetensors);
    ra_free(array->path);
    ra_free(array);
}

const ra_tensor *ra_array_tensor(const ra_array *array) {
    return &array->tensor;
}

const char *ra_array_path(const ra_array *array) {
    return array->path;
}
