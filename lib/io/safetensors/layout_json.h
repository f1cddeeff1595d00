/* layout_json.h - what the readers of the JSON files beside weights have in common. */
#ifndef RA_IO_SAFETENSORS_LAYOUT_JSON_H
#define RA_IO_SAFETENSORS_LAYOUT_JSON_H

#include "io/config.h"
#include "io/safetensors/layouts.h"

#include <stdio.h>

/* A file and the JSON beside it. */
typedef struct ra_layout_reading {
    ra_safetensors *file;
    const cJSON *json;
    const char *path; /* of the JSON */
} ra_layout_reading;

#define RA_LAYOUT_REFUSE(r, err, ...)                                                                        \
    do {                                                                                                     \
        char why_[256];                                                                                      \
        snprintf(why_, sizeof why_, __VA_ARGS__);                                                            \
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: %s", (r)->path, why_);                                         \
    } while (0)

static inline ra_status ra_layout_add(const ra_layout_reading *r, const char *key, const char *text,
                                      ra_error *err) {
    return ra_safetensors_add_text(r->file, key, text, err);
}

static inline ra_status ra_layout_add_number(const ra_layout_reading *r, const char *key, double number,
                                             ra_error *err) {
    char text[64];
    ra_config_number(number, text, sizeof text);
    return ra_layout_add(r, key, text, err);
}

static inline const cJSON *ra_layout_member(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static inline const char *ra_layout_text(const cJSON *object, const char *key) {
    return cJSON_GetStringValue(ra_layout_member(object, key));
}

/* Llama Scope's hyperparams.json, and the config.json of the library's later files (openmoss.c). */
ra_status ra_layout_llama_scope(const ra_layout_reading *r, ra_error *err);
ra_status ra_layout_openmoss(const ra_layout_reading *r, ra_error *err);

#endif
