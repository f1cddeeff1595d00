/* negotiate.h - the form of a body, and the form that a client wants back.
 *
 * The same numbers travel as JSON, as raw little-endian tensors and as npy; the whole dictionary also travels
 * as safetensors, lists of objects as NDJSON, one per line, and a table as CSV or as the page of DinoVision reads it (proto/tensors.md). Content-Type gives the form of the
 * request body. `format=json|raw|npy|safetensors|ndjson|csv|dinovision` in the query, or else Accept, chooses the form of the reply.
 *
 * Source: RFC 9110, sections 8.3, 12.4.2, 12.5.1, 12.5.3. Thread safety: no state.
 */
#ifndef RASAED_CODEC_NEGOTIATE_H
#define RASAED_CODEC_NEGOTIATE_H

#include "codec/coding.h"

#include <stdbool.h>
#include <stddef.h>

/* One row per form: its name in `format=` and its media type. A set of forms has the bit 1 << FORM_X for
 * each. */
#define FORM_LIST(X)                                                                                         \
    X(JSON, "json", "application/json")                                                                      \
    X(RAW, "raw", "application/octet-stream")                                                                \
    X(NPY, "npy", "application/x-npy")                                                                       \
    X(SAFETENSORS, "safetensors", "application/x-safetensors")                                               \
    X(NDJSON, "ndjson", "application/x-ndjson")                                                              \
    X(CSV, "csv", "text/csv")                                                                                \
    X(DINOVISION, "dinovision", "application/vnd.dinovision+json")

typedef enum form {
#define X(id, name, media) FORM_##id,
    FORM_LIST(X)
#undef X
        FORM_COUNT
} form;

const char *form_name(form which); /* in `format=` */
const char *form_media_type(form which);
bool form_from_name(const char *name, form *which); /* of `format=` */

/* Content-Type without its parameters. NULL and "" are JSON, and so is the type that curl adds to -d. */
bool form_from_content_type(const char *type, form *which);

/* The form of the set `offered` that Accept gives the highest quality; among equals `preferred`, which is in
 * the set. NULL, "" and a header without a media range accept anything. False when Accept excludes them
 * all. */
bool form_choose(const char *accept, unsigned offered, form preferred, form *chosen);

/* "json, raw and npy": the names of a set, for messages; returns `list`. */
const char *form_names(unsigned set, char *list, size_t size);

/* The coding of the set `offered`, 1 << CODING_GZIP and so on, that Accept-Encoding gives the highest quality; among
 * equals the later in the enumeration. "*" stands for gzip, which everything reads. CODING_IDENTITY: none. */
content_coding coding_choose(const char *accept_encoding, unsigned offered);

#endif
