/* negotiate.h - which form a body is in, and which one the client wants back.
 *
 * The same numbers travel as JSON, as raw little-endian tensors, as npy, and the whole dictionary also as
 * safetensors (proto/tensors.md). What a request's body is in says Content-Type; what the reply shall be in
 * say `format=json|raw|npy|safetensors` in the query, which is the last word, or Accept.
 *
 * Source: RFC 9110, sections 8.3, 12.4.2, 12.5.1, 12.5.3. Thread safety: no state.
 */
#ifndef RASAED_CODEC_NEGOTIATE_H
#define RASAED_CODEC_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>

/* One row a form: name for `format=`, media type. Sets of forms have a bit 1 << FORM_X each. */
#define FORM_LIST(X)                                                                                         \
    X(JSON, "json", "application/json")                                                                      \
    X(RAW, "raw", "application/octet-stream")                                                                \
    X(NPY, "npy", "application/x-npy")                                                                       \
    X(SAFETENSORS, "safetensors", "application/x-safetensors")

typedef enum form {
#define X(id, name, media) FORM_##id,
    FORM_LIST(X)
#undef X
        FORM_COUNT
} form;

const char *form_media_type(form which);
bool form_from_name(const char *name, form *which); /* of `format=` */

/* Content-Type to form, parameters aside. NULL and "" are JSON, and so is what curl sends unasked for -d. */
bool form_from_content_type(const char *type, form *which);

/* The form of the set `offered` that Accept gives the highest quality, `standard` (one of the set) among
 * equals. NULL, "", and a header without a media range accept anything. False when it excludes all. */
bool form_choose(const char *accept, unsigned offered, form standard, form *chosen);

/* "json, raw and npy": the names of a set, for messages; returns `list`. */
const char *form_names(unsigned set, char *list, size_t size);

/* True when Accept-Encoding names gzip (or *) with a quality above 0. */
bool accepts_gzip(const char *accept_encoding);

#endif
