/* text.h - a growing byte buffer, the paper that replies and documents are written on.
 *
 *     text reply = {0};
 *     text_string(&reply, "{\"reconstructions\":");
 *     text_format(&reply, "[%zu]}", n);        // json.h writes whole documents
 *     char *body = text_detach(&reply, NULL);  // NULL if reply.failed: one check, at the end
 *     ra_free(body);
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
#include "ra_text.h"

#include <stdio.h>

typedef ra_text text;

static inline char *text_reserve(text *buffer, size_t more) {
    return ra_text_reserve(buffer, more);
}
static inline void text_append(text *buffer, const void *bytes, size_t n) {
    ra_text_add_bytes(buffer, bytes, n);
}
static inline void text_string(text *buffer, const char *string) {
    ra_text_add(buffer, string);
}
static inline void text_release(text *buffer) {
    ra_text_release(buffer);
}

void text_format(text *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns the block: `*size` (may be NULL) bytes of text, then a NUL; the caller frees it with ra_free().
 * NULL if the buffer has failed. Leaves {0} either way. */
char *text_detach(text *buffer, size_t *size);

/* Writes the text to the file and empties the buffer, which keeps its memory. RA_ERR_MEMORY if the buffer has
 * failed; ask ferror() at the end for failed writes, as after every other write. */
ra_status text_print(text *buffer, FILE *file, ra_error *err);

#endif
