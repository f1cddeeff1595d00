/* bodies.h - the memory of large bodies, which a thread keeps for its next ones.
 *
 * A body of megabytes in fresh memory costs a page fault for each of its pages, and a copy each time it grows. Thread
 * safety: each thread has buffers of its own. */
#ifndef RASAED_HTTP_BODIES_H
#define RASAED_HTTP_BODIES_H

#include <stddef.h>

/* The smallest buffer of at least so many bytes; NULL: none is there. The caller frees it with ra_free(), or gives it. */
char *http_bodies_take(size_t least, size_t *capacity);

/* Keeps the buffer, which is of ra_malloc() or NULL, or frees it. */
void http_bodies_give(char *buffer, size_t capacity);

#endif
