#include "http/trace.h"

#include <string.h>

enum { VERSION = 0, TRACE = 3, PARENT = 36, FLAGS = 53, END = 55 };

/* n hexadecimal digits in lower case, as the standard demands. */
static bool is_hex(const char *at, size_t n) {
    return strspn(at, "0123456789abcdef") >= n;
}

static bool is_zero(const char *at, size_t n) {
    return strspn(at, "0") >= n;
}

bool trace_parent_is_good(const char *header) {
    if (!header || strlen(header) < END) return false;
    bool shaped = is_hex(header + VERSION, 2) && header[TRACE - 1] == '-' && is_hex(header + TRACE, 32) &&
                  header[PARENT - 1] == '-' && is_hex(header + PARENT, 16) && header[FLAGS - 1] == '-' &&
                  is_hex(header + FLAGS, 2);
    if (!shaped || is_zero(header + TRACE, 32) || is_zero(header + PARENT, 16)) return false;
    if (strncmp(header, "ff", 2) == 0) return false;
    bool first_version = strncmp(header, "00", 2) == 0;
    return header[END] == '\0' || (!first_version && header[END] == '-' && strlen(header) < 256);
}

const char *trace_id(const char *header, char id[TRACE_ID_SIZE]) {
    size_t size = trace_parent_is_good(header) ? TRACE_ID_SIZE - 1 : 0;
    if (size) memcpy(id, header + TRACE, size);
    id[size] = '\0';
    return id;
}
