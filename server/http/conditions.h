/* conditions.h - conditional and range requests: what a client says about a representation that it knows
 * already or wants a part of.
 *
 * Pure functions of header texts. Source: RFC 9110, sections 8.8.3 (tags), 13.1.2 (If-None-Match), 13.1.5
 * (If-Range), 14.1.2 and 14.2 (ranges of bytes). Thread safety: no state.
 */
#ifndef RASAED_HTTP_CONDITIONS_H
#define RASAED_HTTP_CONDITIONS_H

#include <stdbool.h>
#include <stddef.h>

/* If-None-Match: true when the list names `tag` (with its quotes), or is "*". Weak and strong tags compare
 * equal here. */
bool tag_list_holds(const char *list, const char *tag);

/* If-Range: true when it is exactly this tag, and strong. A date never is: replies have none. */
bool tag_is_current(const char *if_range, const char *tag);

typedef enum range_outcome {
    RANGE_WHOLE, /* no range, one that is malformed, another unit, or several: send everything */
    RANGE_PART,
    RANGE_OUTSIDE /* 416 */
} range_outcome;

/* Range, for a representation of `size` bytes: *first and *length, within it, on RANGE_PART. */
range_outcome range_parse(const char *range, size_t size, size_t *first, size_t *length);

#endif
