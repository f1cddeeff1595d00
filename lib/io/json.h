/* json.h - strict reading of the JSON in file headers.
 *
 * cJSON builds trees and decodes strings, but it is lenient: it accepts `[01]`, `[1.]`, control characters
 * and invalid UTF-8, cuts strings at \u0000 and turns 1e999 into infinity, and a tree takes some hundred
 * bytes per value. So this code checks a header against the grammar of RFC 8259, member by member, and passes
 * only valid pieces to cJSON, one at a time. The largest piece bounds cJSON's memory, and if cJSON still
 * fails, memory has run out.
 *
 * Headers need less than RFC 8259 allows: numbers are plain digits (no sign, fraction or exponent), nesting
 * is at most 8 deep, and no string contains a NUL.
 *
 * The bodies of requests have another reader (server/codec/json/scan.h): they are short envelopes around tens of
 * thousands of numbers, which go straight into their arrays there.
 *
 * cJSON allocates through ra_malloc(): its hooks are set when the program starts, before any tree exists.
 * Thread safety: no state except those hooks.
 */
#ifndef RA_IO_JSON_H
#define RA_IO_JSON_H

#include "ra_status.h"

#include <cjson/cJSON.h>
#include <stddef.h>

/* A piece of a header, not owned. */
typedef struct ra_json_span {
    const char *text;
    size_t size;
} ra_json_span;

/* Called for each member in order. `name` is decoded and lives for this call only; `value` is valid. */
typedef ra_status ra_json_member(void *context, const char *name, ra_json_span value, ra_error *err);

/* Calls `member` for the members of `object`, which is a part of `header` (or all of it, with white space
 * after it); the first failure ends the calls. `header` is valid UTF-8; messages begin with `where` and count
 * bytes from its start. Names may repeat: the callback decides. */
ra_status ra_json_each_member(const char *where, ra_json_span header, ra_json_span object,
                              ra_json_member *member, void *context, ra_error *err);

/* Called for each string of an array in order: `value` is valid, with its quotes. */
typedef ra_status ra_json_item(void *context, ra_json_span value, ra_error *err);

/* Calls `item` for the strings of an array, which is all of `array`; the first failure ends the calls. *problem <- what is
 * wrong, and *at <- how many bytes are in front of it; NULL if nothing is. `array` is valid UTF-8. */
ra_status ra_json_each_string(ra_json_span array, ra_json_item *item, void *context, const char **problem,
                              size_t *at, ra_error *err);

/* *tree <- a valid value; the caller's to cJSON_Delete(). */
ra_status ra_json_tree(ra_json_span value, cJSON **tree, ra_error *err);

/* *tree <- JSON of a person or another program, as cJSON reads it, leniently; the caller's to cJSON_Delete(). No message:
 * RA_ERR_FORMAT if it is no JSON. */
ra_status ra_json_parse(const char *text, size_t size, cJSON **tree);

/* *text <- a valid string value, decoded; the caller's to ra_free(). */
ra_status ra_json_string(ra_json_span value, char **text, ra_error *err);

#endif
