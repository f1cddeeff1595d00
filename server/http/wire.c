#include "http/wire.h"

#include <string.h>

bool http_wire_is_known(const char *version) {
    return strcmp(version, "0.9.75") == 0;
}

/* The line whose last part ends at `end`: CR and LF have become zeros. A NUL that the client sent looks like
 * the first of them, but then the second one is missing. */
static void end_line(http_wire *wire, const char *end) {
    wire->good &= end[0] == '\0' && end[1] == '\0';
    wire->next = end + 2;
}

void http_wire_begin(http_wire *wire, const char *method, const char *target, size_t target_size,
                     const char *version) {
    *wire = (http_wire){.good = true};
    wire->good = target == method + strlen(method) + 1 && version == target + target_size + 1;
    if (wire->good) end_line(wire, version + strlen(version));
}

/* The library copies a folded header elsewhere, so its name is not where the line must begin. */
void http_wire_header(http_wire *wire, const char *name, size_t name_size, const char *value,
                      size_t value_size) {
    wire->good &= name == wire->next;
    if (!wire->good) return;
    const char *at = name + name_size + 1;
    while (at < value && (*at == ' ' || *at == '\t')) at++;
    wire->good = at == value;
    if (wire->good) end_line(wire, value + value_size);
}

/* The empty line. */
void http_wire_end(http_wire *wire) {
    if (wire->good) end_line(wire, wire->next);
}
