/* safetensors.h - what the parts of the safetensors reader share: header.c turns the JSON into the lists below (lists.c),
 * names.c finds tensors by their names, read.c maps the file and checks the lists against it and each other. torch.c
 * fills the lists from a file of torch.save instead, npz.c from Gemma Scope's, and config.c from a config.json beside it. */
#ifndef RA_IO_SAFETENSORS_SAFETENSORS_H
#define RA_IO_SAFETENSORS_SAFETENSORS_H

#include "ra_io.h"
#include "io/json.h"
#include "ra_digest.h"

typedef struct ra_safetensors_entry {
    char *name;        /* owned; without `module.` and the common prefix */
    char *foreign;     /* owned; type and shape of a tensor that cannot be a view; NULL for others */
    ra_status refusal; /* of a foreign one: RA_ERR_DTYPE or RA_ERR_SHAPE */
    ra_tensor tensor;
    void *copy;        /* owned; the data of a tensor that cannot be read in place; NULL for others */
    size_t begin, end; /* its bytes within the data */
    size_t position;   /* in the header */
} ra_safetensors_entry;

typedef struct ra_safetensors_text {
    char *key, *text; /* owned */
} ra_safetensors_text;

/* An entry of an index, which is sorted by name. */
typedef struct ra_safetensors_position {
    const char *name;
    size_t index;
} ra_safetensors_position;

struct ra_safetensors {
    char *path;
    ra_mapping mapping;
    ra_safetensors_entry
        *entries; /* once opened: the readable ones, then the foreign ones, each by position */
    size_t count, readable, entry_capacity;
    ra_safetensors_text *texts; /* __metadata__, in the order of the header */
    size_t text_count, text_capacity;
    bool has_metadata;
    ra_safetensors_position *names, *keys; /* of entries [name_count], and of texts [text_count] */
    size_t name_count;                     /* count, and one for each other name of a tensor */
    char *prefix;                          /* owned; NULL: none was removed */
    bool npz;                              /* the file is an archive of arrays */
    size_t header_size;                    /* of the JSON; 0 in files of another kind */
    char digest[RA_DIGEST_SIZE];           /* that the file has of itself; "": none */
    ra_integrity integrity;
};

/* Add to the lists; key and text are copied. *out is valid until the next call. */
ra_status ra_safetensors_add_entry(ra_safetensors *file, const char *name, ra_safetensors_entry **out,
                                   ra_error *err);
ra_status ra_safetensors_add_text(ra_safetensors *file, const char *key, const char *text, ra_error *err);

/* Fills the lists from a file of torch.save (torch.c). careful: copy all but matrices of floats. */
ra_status ra_safetensors_load_torch(ra_safetensors *file, bool careful, ra_error *err);

/* Fills the lists from an archive of arrays that is a model, and sets file->npz; else does nothing (npz.c). careful: copy
 * all of it. */
ra_status ra_safetensors_load_npz(ra_safetensors *file, bool careful, ra_error *err);

/* Adds the settings that the lists lack and a config.json beside the file has (config.c). */
ra_status ra_safetensors_load_config(ra_safetensors *file, ra_error *err);

/* Gives the tensors of another library's layout our names, and adds its settings (layouts.c). *adapted: it was one. */
ra_status ra_safetensors_adapt(ra_safetensors *file, bool *adapted, ra_error *err);

/* Reads the header and adds entries and texts. Each entry is complete and fits its own shape and type; the
 * caller checks whether names repeat and where the bytes are. On failure the lists keep what was read. */
ra_status ra_safetensors_parse_header(ra_safetensors *file, ra_json_span header, ra_error *err);

/* Removes the prefix that the names of one state dict have in common. */
ra_status ra_safetensors_remove_prefix(ra_safetensors *file, ra_error *err);

/* Fills `names` and `keys`, once the entries have their places; names and keys that repeat are an error. */
ra_status ra_safetensors_index_names(ra_safetensors *file, ra_error *err);
const ra_safetensors_position *ra_safetensors_look_up(const ra_safetensors_position *names, size_t count,
                                                      const char *name); /* NULL: there is none */

/* The file that tensors are views of. */
const ra_mapping *ra_safetensors_mapping(const ra_safetensors *file);

#endif
