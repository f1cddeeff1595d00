#include "http/conditions.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* ---- tags ---------------------------------------------------------------------------------------------- */

static const char *strip_weak(const char *tag) {
    return tag[0] == 'W' && tag[1] == '/' ? tag + 2 : tag;
}

bool tag_list_holds(const char *list, const char *tag) {
    const char *wanted = strip_weak(tag);
    size_t size = strlen(wanted);
    while (*(list += strspn(list, " \t,"))) {
        if (*list == '*') return true;
        list = strip_weak(list);
        if (*list != '"') return false; /* not a list of tags */
        const char *end = strchr(list + 1, '"');
        if (!end) return false;
        if ((size_t)(end + 1 - list) == size && memcmp(list, wanted, size) == 0) return true;
        list = end + 1;
    }
    return false;
}

bool tag_is_current(const char *if_range, const char *tag) {
    return tag[0] == '"' && strcmp(if_range, tag) == 0;
}

/* ---- ranges -------------------------------------------------------------------------------------------- */

/* The digits at *at; false when there are none. A number that is too large becomes SIZE_MAX. */
static bool read_number(const char **at, size_t *value) {
    const char *from = *at;
    *value = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        bool full = *value > (SIZE_MAX - 9) / 10;
        *value = full ? SIZE_MAX : *value * 10 + (size_t)(**at - '0');
    }
    return *at > from;
}

range_outcome range_parse(const char *range, size_t size, size_t *first, size_t *length) {
    size_t from = 0, to = SIZE_MAX;
    if (strncasecmp(range, "bytes=", 6) != 0) return RANGE_WHOLE;
    const char *at = range + 6 + strspn(range + 6, " \t");
    bool has_from = read_number(&at, &from);
    if (*at++ != '-') return RANGE_WHOLE;
    bool has_to = read_number(&at, &to);
    at += strspn(at, " \t");
    if (*at || (!has_from && !has_to) || (has_from && has_to && to < from)) return RANGE_WHOLE;
    if (!has_from) { /* the last `to` bytes */
        if (to == 0 || size == 0) return RANGE_OUTSIDE;
        *length = to < size ? to : size;
        *first = size - *length;
        return RANGE_PART;
    }
    if (from >= size) return RANGE_OUTSIDE;
    if (!has_to || to > size - 1) to = size - 1;
    *first = from;
    *length = to - from + 1;
    return RANGE_PART;
}
