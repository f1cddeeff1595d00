/* conditions.h - conditional and range requests: what a client says about a representation that it knows
 * already or wants a part of.
 *
 * Pure functions of header texts. Source: RFC 9110, sections 5.6.7 (dates), 8.8.3 (tags), 13.1 and 13.2.2
 * (preconditions and their order), 14.1.2 and 14.2 (ranges of bytes). Thread safety: no state.
 */
#ifndef RASAED_HTTP_CONDITIONS_H
#define RASAED_HTTP_CONDITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a client wants to be true of the representation; NULL: the header is absent. */
typedef struct preconditions {
    const char *if_match, *if_none_match, *if_modified_since, *if_unmodified_since;
} preconditions;

typedef enum precondition_outcome {
    PRECONDITION_HOLDS,
    PRECONDITION_NOT_MODIFIED, /* 304 */
    PRECONDITION_FAILS         /* 412 */
} precondition_outcome;

/* For GET and HEAD of a representation that exists: its tag, with its quotes, and when it changed (0: unknown, then
 * dates are ignored). */
precondition_outcome preconditions_check(const preconditions *wanted, const char *tag, int64_t modified);

/* True when the list names `tag`, or is "*". If-None-Match compares weakly: W/"a" and "a" are equal. If-Match compares
 * strongly: a weak tag equals none. */
bool tag_list_holds(const char *list, const char *tag, bool weakly);

/* A date in any of the three forms; false: it is none. */
bool http_date_read(const char *header, int64_t *seconds);

enum { HTTP_DATE_SIZE = 30 };

/* "Sun, 06 Nov 1994 08:49:37 GMT"; returns date. */
const char *http_date_write(int64_t seconds, char date[HTTP_DATE_SIZE]);

/* If-Range: true when it is exactly this tag, and strong. A date never is: two loads can have the same second. */
bool tag_is_current(const char *if_range, const char *tag);

typedef enum range_outcome {
    RANGE_WHOLE, /* no range, one that is malformed, another unit, or several: send everything */
    RANGE_PART,
    RANGE_OUTSIDE /* 416 */
} range_outcome;

/* Range, for a representation of `size` bytes: *first and *length, within it, on RANGE_PART. */
range_outcome range_parse(const char *range, size_t size, size_t *first, size_t *length);

#endif
