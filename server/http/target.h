/* target.h - the request target ("/v1/dictionaries/words/atoms?limit=5"), split and decoded once.
 *
 * The path is first cut at its slashes, then each segment is percent-decoded, so that an encoded slash is
 * part of a name and never a separator; likewise the query. Decoding is strict: two hexadecimal digits must
 * follow "%", NUL is refused, the input must be printable ASCII and the output UTF-8. "+" is a plus sign. The
 * absolute form ("http://host/path") is accepted. "*" has the path "*" and no segments.
 *
 * Source: RFC 3986 (sections 2.1, 3.3, 3.4), RFC 9112 (section 3.2). Thread safety: plain data.
 */
#ifndef RASAED_HTTP_TARGET_H
#define RASAED_HTTP_TARGET_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>

/* Enough parameters for a list that a client sends one by one: libmicrohttpd has room for about 450. */
enum { HTTP_MAX_SEGMENTS = 16, HTTP_MAX_PARAMETERS = 512 };

typedef struct http_parameter {
    const char *name, *value; /* "" when there is no "=" */
} http_parameter;

/* {0} is a valid target without segments. */
typedef struct http_target {
    const char *path; /* as it was sent, without the query; safe in an answer. "" when malformed */
    size_t segment_count;
    const char *segments[HTTP_MAX_SEGMENTS]; /* "/a/b" has "a" and "b", as has "/a//b/"; "/" has one, "" */
    size_t parameter_count;
    http_parameter *parameters; /* [parameter_count], in order */
    bool bare;                  /* it was the prefix alone, without a slash behind it */
    const char *base;           /* what links begin with: "/rasae"; NULL or "": nothing */
    void *storage;              /* everything above points into it */
} http_target;

/* Fills *target. base: a prefix, "/rasae", that a proxy in front has taken off the path, or leaves there: then it is taken
 * off here; borrowed; NULL or "": none. RA_ERR_FORMAT for a malformed target, RA_ERR_TOO_LARGE for too many segments or parameters;
 * then the target has no segments. */
ra_status http_target_parse(http_target *target, const char *raw, const char *base, ra_error *err);
void http_target_release(http_target *target); /* leaves {0} */

/* The value of the first parameter of this name, NULL when there is none. */
const char *http_target_parameter(const http_target *target, const char *name);

/* The entries of a list, which clients write as "ids=1,5" or as "ids=1&ids=5" (as generated clients do), and
 * mixed. A parameter without a value has one empty entry.
 *
 *     http_list list = {0};
 *     while (http_target_list(target, "ids", &list)) read(list.entry, list.end);
 */
typedef struct http_list {
    const char *entry, *end; /* not terminated */
    size_t next;             /* the parameter after the one that has this entry */
} http_list;

/* Moves to the first or next entry; false after the last one. */
bool http_target_list(const http_target *target, const char *name, http_list *list);

#endif
