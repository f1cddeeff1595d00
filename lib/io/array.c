/* One array from a file of any kind. The first bytes tell the kind, not the file's name: an npy file begins
 * with its magic number, a safetensors file has a brace after eight bytes of length, an npz is a zip archive. */
#include "ra_io.h"
#include "ra_memory.h"
#include "io/kinds.h"
#include "io/npy.h"
#include "io/safetensors/safetensors.h"
#include "io/zip.h"

#include <stdio.h>

#include <string.h>

struct ra_array {
    char *path;
    ra_npy *npy;                 /* one of these three owns the mapping */
    ra_safetensors *safetensors; /* or a file of torch.save */
    ra_npz *npz;
    void *copy; /* of an array of the npz; NULL: it is read in place */
    ra_tensor tensor;
};

typedef enum kind { EMPTY, NPY, SAFETENSORS, TORCH, NPZ, OTHER } kind;

static kind kind_of(const void *data, size_t size) {
    const char *bytes = data;
    if (size == 0) return EMPTY;
    if (size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0) return NPY;
    if (size >= 9 && bytes[8] == '{') return SAFETENSORS;
    if (ra_torch_is(data, size)) return TORCH;
    if (ra_zip_is(data, size)) return NPZ;
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

/* "a, b, ..." */
static const char *list_arrays(const ra_npz *npz, char *text, size_t size) {
    size_t used = 0;
    const char *name;
    text[0] = '\0';
    for (size_t i = 0; (name = ra_npz_name(npz, i)); i++) {
        if (used + strlen(name) + 8 > size) {
            snprintf(text + used, size - used, ", ...");
            break;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", name);
    }
    return text;
}

static ra_status open_npz(ra_array *array, const char *tensor_name, ra_error *err) {
    char names[192];
    size_t found = 0;
    RA_TRY(ra_npz_open(array->path, &array->npz, err));
    size_t count = ra_npz_count(array->npz);
    if (count == 0) RA_FAIL(err, RA_ERR_NOT_FOUND, "%s is an archive without arrays", array->path);
    list_arrays(array->npz, names, sizeof names);
    if (!tensor_name && count > 1)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s holds several arrays (%s); give the name of one", array->path,
                names);
    while (tensor_name && found < count && strcmp(ra_npz_name(array->npz, found), tensor_name) != 0) found++;
    if (found == count)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "%s has no array \"%s\"; it has %s", array->path, tensor_name, names);
    return ra_npz_read(array->npz, found, &array->tensor, &array->copy, err);
}

static ra_status load(ra_array *array, const char *tensor_name, ra_error *err) {
    ra_mapping mapping;
    RA_TRY(ra_mapping_open(array->path, &mapping, err));
    kind found = kind_of(mapping.data, mapping.size);
    bool foreign = found == NPZ || found == OTHER;
    ra_status known = foreign ? ra_kinds_refuse(array->path, mapping.data, mapping.size, false, err) : RA_OK;
    ra_mapping_close(&mapping);
    RA_TRY(known);
    switch (found) {
    case NPY:
        return open_npy(array, tensor_name, err);
    case SAFETENSORS:
    case TORCH:
        return open_safetensors(array, tensor_name, err);
    case EMPTY:
        RA_FAIL(err, RA_ERR_FORMAT, "%s is empty", array->path);
    case NPZ:
        return open_npz(array, tensor_name, err);
    case OTHER:
        break;
    }
    RA_FAIL(err, RA_ERR_FORMAT, "%s is none of the files that can be read: .npy, .npz, .safetensors, .pt",
            array->path);
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
    ra_npz_free(array->npz);
    ra_free(array->copy);
    ra_free(array->path);
    ra_free(array);
}

const ra_tensor *ra_array_tensor(const ra_array *array) {
    return &array->tensor;
}

bool ra_array_offset(const ra_array *array, size_t *offset) {
    const ra_mapping *mapping = array->npy   ? ra_npy_mapping(array->npy)
                                : array->npz ? ra_npz_mapping(array->npz)
                                             : ra_safetensors_mapping(array->safetensors);
    uintptr_t start = (uintptr_t)mapping->data, at = (uintptr_t)array->tensor.data;
    if (at < start || at - start >= mapping->size) return false;
    *offset = at - start;
    return true;
}

const char *ra_array_path(const ra_array *array) {
    return array->path;
}
