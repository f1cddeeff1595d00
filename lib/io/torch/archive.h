/* archive.h - a file of torch.save: its pickle, and where its storages are.
 *
 * A zip archive has NAME/data.pkl, and NAME/data/KEY for each storage; stored, never packed. The legacy format is five
 * pickles (a magic number, a version, the machine's byte order, the object, the keys), then for each key 8 bytes with its
 * number of elements, and the elements.
 *
 * Storages are bytes of the file; nothing of them is read here. The pickle is copied before it is read, because
 * others may write the file meanwhile. */
#ifndef RA_IO_TORCH_ARCHIVE_H
#define RA_IO_TORCH_ARCHIVE_H

#include "io/torch/pickle.h"
#include "ra_tensor.h"

/* The type of a storage's or a tensor's elements. */
typedef struct ra_torch_type {
    bool readable; /* dtype is meaningful */
    ra_dtype dtype;
    size_t size;      /* of an element; 0: unknown */
    const char *name; /* as safetensors calls it, or torch; NULL: the storage has none (UntypedStorage) */
} ra_torch_type;

/* *type <- that of a global, torch.FloatStorage or torch.float32; false if it is none. */
bool ra_torch_type_of(const ra_pickle_value *global, ra_torch_type *type);

/* A storage, by its key. */
typedef struct ra_torch_storage {
    const ra_pickle_value *key; /* a text */
    ra_torch_type type;
    uint64_t count;             /* of elements; of bytes, if it has no type */
    const unsigned char *bytes; /* in the file */
    size_t size;
} ra_torch_storage;

/* {0} is an empty one. */
typedef struct ra_torch_archive {
    const char *path;
    size_t size; /* of the file */
    ra_pickle pickle;
    void *copy; /* of its bytes */
    const ra_pickle_value *root;
    ra_torch_storage *storages; /* sorted by key */
    size_t storage_count;
    size_t copied; /* bytes that tensors took which could not be read in place */
} ra_torch_archive;

/* The bytes must outlive it; release it in any case. */
ra_status ra_torch_archive_open(ra_torch_archive *archive, const void *bytes, size_t size, const char *path,
                                ra_error *err);
void ra_torch_archive_release(ra_torch_archive *archive);

/* The storage of a value of that kind. */
const ra_torch_storage *ra_torch_archive_storage(const ra_torch_archive *archive,
                                                 const ra_pickle_value *value);

#endif
