/* ra_text.h - text that grows.
 *
 *     ra_text line = {0};
 *     ra_text_add(&line, "cat");
 *     ra_text_add(&line, ", dog");
 *     if (line.failed) RA_FAIL_MEMORY(err, "a line", line.size);
 *     ra_text_release(&line);
 *
 * {0} is a valid, empty text. The first `size` bytes of `data` are the text; it is not terminated. Memory
 * grows geometrically. If there is not enough, `failed` is set, and every later operation does nothing: one
 * check at the end is enough. Thread safety: one thread at a time.
 */
#ifndef RA_TEXT_H
#define RA_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ra_text {
    char *data;
    size_t size, capacity;
    bool failed;
} ra_text;

/* Makes room for `more` bytes, and one more for a NUL, behind the text; returns their address (add what was
 * written to `size`), or NULL if the text has failed. */
char *ra_text_reserve(ra_text *text, size_t more);

void ra_text_add(ra_text *text, const char *string); /* up to its NUL */
void ra_text_add_bytes(ra_text *text, const void *bytes, size_t n);
void ra_text_release(ra_text *text); /* leaves {0} */

#endif
