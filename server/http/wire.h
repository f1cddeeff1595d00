/* wire.h - the bytes between the parts of a request's head, which libmicrohttpd 0.9.75 does not show.
 *
 * That version reads lines that end in a bare line feed, headers that are folded over several lines, and
 * bytes after a NUL, which it then loses: each of them a difference between two servers in a row. But its
 * pointers lead into the buffer that it read, where it has put zeros in place of what it cut at. So the
 * distance between two parts tells which bytes are between them: one space in the first line, a colon and
 * blanks in a header, CR and LF (now two zeros) after a line. Anything else is refused.
 *
 *     http_wire wire;
 *     http_wire_begin(&wire, method, target, target_size, version)
 *     for each header in order: http_wire_header(&wire, name, name_size, value, value_size)
 *     http_wire_end(&wire)
 *     if (!wire.good) ... refuse ...
 *
 * This depends on that one version, so http_wire_begin() is called for no other: versions from 1.0 on refuse
 * such requests themselves. Thread safety: plain data.
 */
#ifndef RASAED_HTTP_WIRE_H
#define RASAED_HTTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct http_wire {
    bool good;
    const char *next; /* where the next line must begin; NULL: nothing is checked */
} http_wire;

/* Whether a library of this version (MHD_get_version()) lays its buffer out like that. */
bool http_wire_is_known(const char *version);

/* `target` as it is in the first line, target_size bytes; all three point into the buffer. */
void http_wire_begin(http_wire *wire, const char *method, const char *target, size_t target_size,
                     const char *version);
void http_wire_header(http_wire *wire, const char *name, size_t name_size, const char *value,
                      size_t value_size);
void http_wire_end(http_wire *wire);

#endif
