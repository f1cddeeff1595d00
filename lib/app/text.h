/* text.h - a growing byte buffer, the paper that replies and documents are written on.
 *
 *     text reply = {0};
 *     text_string(&reply, "{\"reconstructions\":");
 *     text_f32_array(&reply, row, n);            (numbers.h; json.h writes whole documents)
 *     text_string(&reply, "}");
 *     if (reply.failed) ...                      one check, at the end
 *     char *body = text_detach(&reply, &size);   the caller frees it with ra_free()
 *
 * Invariants: {0} is a valid, empty buffer. The first `size` bytes of `data` are the text; it is not
 * terminated. Memory grows geometrically. When memory is short `failed` is set, and from then on every
 * operation does nothing, so a text is written without looking at each step.
 *
 * Ownership: the buffer owns `data` until text_detach() or text_release(). Errors: `failed`, see above.
 * Thread safety: a buffer belongs to one thread at a time.
 */
#ifndef RA_APP_TEXT_H
#define RA_APP_TEXT_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct text {
    char *data;
    size_t size, capacity;
    bool failed;
} text;

/* Room for `more` bytes behind the text; returns where they go (then add what was written to `size`), or NULL
 * when the buffer has failed. */
char *text_reserve(text *buffer, size_t more);

void text_append(text *buffer, const void *bytes, size_t n);
void text_string(text *buffer, const char *string); /* up to its NUL */
void text_format(text *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns the block: `*size` (may be NULL) bytes of text, then a NUL; the caller frees it with ra_free().
 * NULL if the buffer has failed. Leaves {0} either way. */
char *text_detach(text *buffer, size_t *size);

/* Writes the text to the file and empties the buffer, which keeps its memory. RA_ERR_MEMORY if the buffer has
 * failed; ask ferror() at the end for failed writes, as after every other write. */
ra_status text_print(text *buffer, FILE *file, ra_error *err);

void text_release(text *buffer); /* leaves {0} */

#endif
