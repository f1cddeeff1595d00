/* ra_memory.h - the one allocator.
 *
 * The library and the daemon allocate all memory through these functions: they check sizes for overflow,
 * align memory to 64 bytes (a cache line, and the widest vector register), and let a test make the n-th
 * allocation fail. ra_free() takes what these return, or NULL.
 *
 * Thread safety: any thread may call these functions; ra_memory_fail_at() is for single-threaded tests.
 * Source of the limits: the kernel's Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
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

/* Before a large variable of a function that is called often, which writes it before it reads it: the build sets all other
 * variables to zero (-ftrivial-auto-var-init), which costs as much as what such a function does. */
#if defined __has_attribute
#if __has_attribute(uninitialized)
#define RA_UNINITIALIZED __attribute__((uninitialized))
#endif
#endif
#ifndef RA_UNINITIALIZED
#define RA_UNINITIALIZED
#endif

/* A copy of a string; NULL if `text` is NULL or there is not enough memory. */
char *ra_strdup(const char *text) __attribute__((malloc));

void ra_free(void *memory);

/* The bytes of memory that this process may use: those of the machine, or fewer if a control group (what a
 * container, a Kubernetes pod or a systemd unit has) or a limit of the process (ulimit -v, ulimit -d) says so.
 * What other processes use now does not count: the same machine always gives the same number, and results that
 * follow from it do not depend on the moment. */
size_t ra_memory_limit(void);

/* The same for control groups that are described below `root` ("" for this machine, a folder for tests): the
 * smallest limit of the group of this process and of the groups above it, of version 1 and 2; SIZE_MAX without
 * any. */
size_t ra_memory_group_limit(const char *root);

/* For tests: the n-th allocation from now (1: the next) and all later ones return NULL, until a call with 0
 * switches failing off. Returns the number of allocations since the last call. */
size_t ra_memory_fail_at(size_t n);

#endif
