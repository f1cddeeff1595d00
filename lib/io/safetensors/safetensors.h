/* safetensors.h - what the two halves of the safetensors reader share: header.c turns the JSON into the lists
 * below, read.c maps the file and checks the lists against it and each other. */
#ifndef RA_IO_SAFETENSORS_SAFETENSORS_H
#define RA_IO_SAFETENSORS_SAFETENSORS_H

#include "ra_io.h"
#include "io/json.h"

typedef struct ra_safetensors_entry {
    char *name;        /* owned; without `module.` */
    char *foreign;     /* owned; type and shape of a tensor that cannot be a view; NULL for others */
    ra_status refusal; /* of a foreign one: RA_ERR_DTYPE, RA_ERR_SHAPE, or RA_ERR_FORMAT if misaligned */
    ra_tensor tensor;
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
    ra_safetensors_position *names, *keys; /* of entries [count] and of texts [text_count] */
};

/* Reads the header and adds entries and texts. Each entry is complete and fits its own shape and type; the
 * caller checks whether names repeat and where the bytes are. On failure the lists keep what was read. */
ra_status ra_safetensors_parse_header(ra_safetensors *file, ra_json_span header, ra_error *err);

#endif
