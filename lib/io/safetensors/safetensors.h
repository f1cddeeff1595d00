/* safetensors.h - what the two halves of the safetensors reader share: safetensors_header.c turns the JSON
 * into the lists below, safetensors_read.c maps the file and checks the lists against it and each other. */
#ifndef RA_IO_SAFETENSORS_SAFETENSORS_H
#define RA_IO_SAFETENSORS_SAFETENSORS_H

#include "ra_io.h"
#include "io/json.h"

typedef struct ra_safetensors_entry {
    char *name;        /* owned; without `module.` */
    char *foreign;     /* owned; NULL, or type and shape of a tensor that cannot be given out as a view */
    ra_status refusal; /* of a foreign one: RA_ERR_DTYPE, RA_ERR_SHAPE, or RA_ERR_FORMAT when misaligned */
    ra_tensor tensor;
    size_t begin, end; /* its bytes within the data */
    size_t position;   /* in the header */
} ra_safetensors_entry;

typedef struct ra_safetensors_text {
    char *key, *text; /* owned */
} ra_safetensors_text;

/* Where in its list something is, by name: these are sorted by name. */
typedef struct ra_safetensors_place {
    const char *name;
    size_t index;
} ra_safetensors_place;

struct ra_safetensors {
    char *path;
    ra_mapping mapping;
    ra_safetensors_entry
        *entries; /* once opened: [0, readable) then the foreign ones, each by place in file */
    size_t count, readable, entry_capacity;
    ra_safetensors_text *texts; /* __metadata__, in the order of the header */
    size_t text_count, text_capacity;
    bool has_metadata;
    ra_safetensors_place *names, *keys; /* of entries [count] and of texts [text_count] */
};

/* Reads the header, adding entries and texts. Each entry is whole and fits its own shape and type; whether
 * names repeat and where the bytes lie is for the caller. On failure the lists keep what was read. */
ra_status ra_safetensors_parse_header(ra_safetensors *file, ra_json_span header, ra_error *err);

#endif
