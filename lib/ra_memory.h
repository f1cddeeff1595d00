/* ra_memory.h - the one allocator.
 *
 * The library and the daemon allocate all memory through these functions: they check sizes for overflow,
 * align memory to 64 bytes (a cache line, and the widest vector register), and let a test make the n-th
 * allocation fail. ra_free() takes what these return, or NULL.
 *
 * Thread safety: any thread may call these functions; ra_memory_fail_at() is for single-threaded tests.
 */
#ifndef RA_MEMORY_H
#define RA_MEMORY_H

#include <stddef.h>

enum { RA_MEMORY_ALIGNMENT = 64 };

/* count * size bytes, uninitialized; NULL on overflow or if there is not enough memory. Zero bytes give a
 * valid pointer. */
void *ra_malloc(size_t count, size_t size) __attribute__((malloc));

/* The same, zeroed. */
void *ra_calloc(size_t count, size_t size) __attribute__((malloc));

/* Grows or shrinks `memory` (may be NULL) and keeps its first min(old, new) bytes; if the result is NULL,
 * `memory` stays valid. */
void *ra_realloc(void *memory, size_t count, size_t size);

/* A copy of a string; NULL if `text` is NULL or there is not enough memory. */
char *ra_strdup(const char *text) __attribute__((malloc));

void ra_free(void *memory);

/* For tests: the n-th allocation from now (1: the next) and all later ones return NULL, until a call with 0
 * switches failing off. Returns the number of allocations since the last call. */
size_t ra_memory_fail_at(size_t n);

#endif
