/* An archive of arrays in place of a safetensors file: Gemma Scope's params.npz is a model in this form. An archive that
 * is none stays refused, with the line of Python that converts it. */
#include "io/safetensors/safetensors.h"
#include "io/npy.h"
#include "io/order.h"
#include "io/zip.h"
#include "ra_memory.h"

#include <string.h>

static const char suffix[] = ".npy";

static bool has_member(const ra_zip *zip, const char *name) {
    for (size_t i = 0; i < zip->count; i++)
        if (strcmp(zip->members[i].name, name) == 0) return true;
    return false;
}

/* The array of a member, in place, or in a copy that the entry owns. */
static ra_status add_array(ra_safetensors *file, const ra_zip_member *member, const char *name, bool careful,
                           ra_error *err) {
    const void *data;
    void *unpacked, *reordered = NULL;
    size_t size;
    ra_safetensors_entry *entry;
    RA_TRY(ra_safetensors_add_entry(file, name, &entry, err));
    RA_TRY(ra_zip_read(member, file->path, SIZE_MAX, &data, &size, &unpacked, err));
    ra_status status = ra_npy_load(data, size, file->path, &entry->tensor, &reordered, err);
    if (status == RA_OK && !reordered && !unpacked && careful)
        status = ra_order_copy(&entry->tensor, entry->tensor.data, false, false, file->path, &reordered, err);
    if (status == RA_OK && reordered) entry->tensor.data = reordered;
    if (reordered || status != RA_OK) ra_free(unpacked);
    entry->copy = reordered ? reordered : status == RA_OK ? unpacked : NULL;
    return status;
}

static ra_status add_arrays(ra_safetensors *file, const ra_zip *zip, bool careful, ra_error *err) {
    size_t tail = sizeof suffix - 1;
    for (size_t i = 0; i < zip->count; i++) {
        char *name = zip->members[i].name;
        size_t length = strlen(name);
        if (length <= tail || strcmp(name + length - tail, suffix) != 0) continue;
        name[length - tail] = '\0';
        RA_TRY(add_array(file, &zip->members[i], name, careful, err));
    }
    return RA_OK;
}

ra_status ra_safetensors_load_npz(ra_safetensors *file, bool careful, ra_error *err) {
    ra_zip zip;
    if (!ra_zip_is(file->mapping.data, file->mapping.size)) return RA_OK;
    RA_TRY(ra_zip_open(file->mapping.data, file->mapping.size, file->path, &zip, err));
    ra_status status = RA_OK;
    file->npz = has_member(&zip, "W_enc.npy") && has_member(&zip, "W_dec.npy");
    if (file->npz) status = add_arrays(file, &zip, careful, err);
    ra_zip_release(&zip);
    return status;
}
