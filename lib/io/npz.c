/* npz: a zip archive whose members are npy files, NAME.npy; numpy.savez stores them, numpy.savez_compressed
 * deflates them. A stored array is read in place if it happens to be aligned, like any other npy. */
#include "ra_io.h"
#include "ra_memory.h"
#include "io/npy.h"
#include "io/zip.h"

#include <string.h>

static const char suffix[] = ".npy";

struct ra_npz {
    char *path;
    ra_mapping mapping;
    ra_zip zip;
    size_t count; /* of arrays, which come first in zip.members */
};

static bool is_array(const ra_zip_member *member) {
    size_t length = strlen(member->name), tail = sizeof suffix - 1;
    return length > tail && strcmp(member->name + length - tail, suffix) == 0;
}

/* Arrays first, in the order of the archive, without the suffix of their names. */
static void set_arrays_apart(ra_npz *npz) {
    for (size_t i = 0; i < npz->zip.count; i++) {
        ra_zip_member found = npz->zip.members[i];
        if (!is_array(&found)) continue;
        found.name[strlen(found.name) - (sizeof suffix - 1)] = '\0';
        memmove(npz->zip.members + npz->count + 1, npz->zip.members + npz->count,
                (i - npz->count) * sizeof found);
        npz->zip.members[npz->count++] = found;
    }
}

static ra_status open_archive(ra_npz *npz, const char *path, ra_error *err) {
    npz->path = ra_strdup(path);
    if (!npz->path) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the name of a file");
    RA_TRY(ra_mapping_open(path, &npz->mapping, err));
    RA_TRY(ra_zip_open(npz->mapping.data, npz->mapping.size, path, &npz->zip, err));
    set_arrays_apart(npz);
    return RA_OK;
}

ra_status ra_npz_open(const char *path, ra_npz **out, ra_error *err) {
    ra_npz *npz = ra_calloc(1, sizeof *npz);
    if (!npz) RA_FAIL_MEMORY(err, "an open file", sizeof *npz);
    ra_status status = open_archive(npz, path, err);
    if (status != RA_OK) {
        ra_npz_free(npz);
        return status;
    }
    *out = npz;
    return RA_OK;
}

const ra_mapping *ra_npz_mapping(const ra_npz *npz) {
    return &npz->mapping;
}

void ra_npz_free(ra_npz *npz) {
    if (!npz) return;
    ra_zip_release(&npz->zip);
    ra_mapping_close(&npz->mapping);
    ra_free(npz->path);
    ra_free(npz);
}

size_t ra_npz_count(const ra_npz *npz) {
    return npz->count;
}

const char *ra_npz_name(const ra_npz *npz, size_t i) {
    return i < npz->count ? npz->zip.members[i].name : NULL;
}

ra_status ra_npz_describe(const ra_npz *npz, size_t i, ra_tensor *tensor, ra_error *err) {
    enum { HEADER_MOST = 1 << 16 };
    const void *data;
    void *copy;
    size_t size;
    RA_TRY(ra_zip_read(&npz->zip.members[i], npz->path, HEADER_MOST, &data, &size, &copy, err));
    ra_status status = ra_npy_describe(data, size, npz->path, tensor, err);
    ra_free(copy);
    return status;
}

ra_status ra_npz_read(const ra_npz *npz, size_t i, ra_tensor *tensor, void **copy, ra_error *err) {
    const void *data;
    void *unpacked, *reordered;
    size_t size;
    *copy = NULL;
    RA_TRY(ra_zip_read(&npz->zip.members[i], npz->path, SIZE_MAX, &data, &size, &unpacked, err));
    ra_status status = ra_npy_load(data, size, npz->path, tensor, &reordered, err);
    if (status == RA_OK && !reordered) {
        *copy = unpacked;
        return RA_OK;
    }
    ra_free(unpacked);
    *copy = reordered;
    return status;
}
