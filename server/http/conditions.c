#include "http/conditions.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* ---- tags ---------------------------------------------------------------------------------------------- */

static const char *strip_weak(const char *tag) {
    return tag[0] == 'W' && tag[1] == '/' ? tag + 2 : tag;
}

bool tag_list_holds(const char *list, const char *tag, bool weakly) {
    const char *wanted = weakly ? strip_weak(tag) : tag;
    size_t size = strlen(wanted);
    while (*(list += strspn(list, " \t,"))) {
        if (*list == '*') return true;
        const char *opaque = strip_weak(list);
        if (*opaque != '"') return false; /* not a list of tags */
        const char *end = strchr(opaque + 1, '"');
        if (!end) return false;
        bool comparable = weakly || (opaque == list && *wanted == '"');
        if (comparable && (size_t)(end + 1 - opaque) == size && memcmp(opaque, wanted, size) == 0)
            return true;
        list = end + 1;
    }
    return false;
}

bool tag_is_current(const char *if_range, const char *tag) {
    return tag[0] == '"' && strcmp(if_range, tag) == 0;
}

/* ---- dates --------------------------------------------------------------------------------------------- */

bool http_date_read(const char *header, int64_t *seconds) {
    static const char *const forms[] = {"%a, %d %b %Y %T GMT", "%A, %d-%b-%y %T GMT", "%a %b %e %T %Y"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm date = {0};
        const char *end = strptime(header, forms[i], &date);
        if (!end || end[strspn(end, " \t")]) continue;
        *seconds = timegm(&date);
        return true;
    }
    return false;
}

/* Replies have the date of the load of their dictionary, again and again. */
const char *http_date_write(int64_t seconds, char date[HTTP_DATE_SIZE]) {
    static _Thread_local int64_t last;
    static _Thread_local char written[HTTP_DATE_SIZE];
    if (seconds != last || !written[0]) {
        struct tm utc;
        time_t time = (time_t)seconds;
        gmtime_r(&time, &utc);
        strftime(written, sizeof written, "%a, %d %b %Y %T GMT", &utc);
        last = seconds;
    }
    return memcpy(date, written, sizeof written);
}

/* ---- preconditions ------------------------------------------------------------------------------------- */

static bool changed_after(const char *header, int64_t modified) {
    int64_t date;
    return modified && http_date_read(header, &date) && modified > date;
}

static bool unchanged_since(const char *header, int64_t modified) {
    int64_t date;
    return modified && http_date_read(header, &date) && modified <= date;
}

precondition_outcome preconditions_check(const preconditions *wanted, const char *tag, int64_t modified) {
    if (wanted->if_match) {
        if (!tag_list_holds(wanted->if_match, tag, false)) return PRECONDITION_FAILS;
    } else if (wanted->if_unmodified_since && changed_after(wanted->if_unmodified_since, modified)) {
        return PRECONDITION_FAILS;
    }
    bool same = wanted->if_none_match
                    ? tag_list_holds(wanted->if_none_match, tag, true)
                    : wanted->if_modified_since && unchanged_since(wanted->if_modified_since, modified);
    return same ? PRECONDITION_NOT_MODIFIED : PRECONDITION_HOLDS;
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
