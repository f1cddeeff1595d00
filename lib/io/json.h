/* json.h - the JSON of file headers, read strictly.
 *
 * cJSON builds trees and decodes strings, but it is lenient: it takes `[01]`, `[1.]`, control characters and
 * invalid UTF-8, cuts strings at \u0000, turns 1e999 into infinity, and a tree takes some hundred bytes a
 * value. So a header is walked here, member by member, against the grammar of RFC 8259, and only pieces that
 * have passed are handed to cJSON, one at a time: its memory is bounded by the largest piece, and when it
 * still says no, memory was short.
 *
 * Narrower than RFC 8259, because headers need no more: numbers are plain digits (no sign, fraction or
 * exponent), nesting is at most 8 deep, no string holds a NUL.
 *
 * The bodies of requests have another reader (server/codec/json/scan.h): they are short envelopes around tens of
 * thousands of numbers, which go straight into their arrays there.
 *
 * cJSON allocates through ra_malloc(): its hooks are set when the program starts, before any tree exists.
 * Thread safety: no state but those hooks.
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

/* Called for each member in order. `name` is decoded, for this call only; `value` has passed the grammar. */
typedef ra_status ra_json_member(void *context, const char *name, ra_json_span value, ra_error *err);

/* Walks the members of `object`, a part of `header` (or all of it, with white space after it). `header` is
 * valid UTF-8; messages give bytes from its start and begin with `where`. The first failure of `member` ends
 * the walk. Names may repeat: the callback decides. */
ra_status ra_json_each_member(const char *where, ra_json_span header, ra_json_span object,
                              ra_json_member *member, void *context, ra_error *err);

/* A value that has passed, as a tree for cJSON_Delete(). */
ra_status ra_json_tree(ra_json_span value, cJSON **tree, ra_error *err);

/* A string value that has passed, decoded into a block for ra_free(). */
ra_status ra_json_string(ra_json_span value, char **text, ra_error *err);

#endif
