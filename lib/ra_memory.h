/* ra_memory.h - the one allocator.
 *
 * Every allocation of the library and the daemon goes through these functions: sizes are checked for
 * overflow, blocks are aligned to 64 bytes (a cache line, and the widest vector register), and a test can
 * make the n-th allocation fail. ra_free() takes what these return, and NULL.
 *
 * Thread safety: all functions may be called from any thread; ra_memory_fail_at() is for single-threaded
 * tests.
 */
#ifndef RA_MEMORY_H
#define RA_MEMORY_H

#include <stddef.h>

enum { RA_MEMORY_ALIGNMENT = 64 };

/* count * size bytes, uninitialized; NULL when that overflows or memory is short. Zero bytes give a valid
 * block. */
void *ra_malloc(size_t count, size_t size) __attribute__((malloc));

/* The same, zeroed. */
void *ra_calloc(size_t count, size_t size) __attribute__((malloc));

/* Grows or shrinks; `block` (may be NULL) stays valid when NULL is returned. The first min(old, new) bytes
 * are kept. */
void *ra_realloc(void *block, size_t count, size_t size);

/* A copy of a string; NULL when `text` is NULL or memory is short. */
char *ra_strdup(const char *text) __attribute__((malloc));

void ra_free(void *block);

/* For tests: the n-th allocation from now (1 = the next) returns NULL, and so does every later one until the
 * call with 0, which switches failing off. Returns how many allocations were asked for since
 * the last call. */
size_t ra_memory_fail_at(size_t n);

#endif
