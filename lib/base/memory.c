/* The allocator. A small header before each piece of memory keeps its size, which ra_realloc() needs because
 * no libc function grows aligned memory; the header takes one alignment unit, so the memory stays aligned. */
#include "ra_memory.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct header {
    size_t bytes;
} header;

static atomic_size_t requests;
static atomic_size_t fail_at; /* 0: never */

static int must_fail(void) {
    size_t limit = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (!limit) return 0;
    return atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed) + 1 >= limit;
}

size_t ra_memory_fail_at(size_t n) {
    size_t seen = atomic_exchange(&requests, 0);
    atomic_store(&fail_at, n);
    return seen;
}

static header *header_of(void *memory) {
    return (header *)(void *)((char *)memory - RA_MEMORY_ALIGNMENT);
}

void *ra_malloc(size_t count, size_t size) {
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(count, size, &bytes)) return NULL;
    if (bytes > (size_t)PTRDIFF_MAX - 2 * RA_MEMORY_ALIGNMENT) return NULL;
    size_t padded = (bytes + 2 * RA_MEMORY_ALIGNMENT - 1) & ~(size_t)(RA_MEMORY_ALIGNMENT - 1);
    char *base = aligned_alloc(RA_MEMORY_ALIGNMENT, padded);
    if (!base) return NULL;
    char *memory = base + RA_MEMORY_ALIGNMENT;
    header_of(memory)->bytes = bytes;
    return memory;
}

void *ra_calloc(size_t count, size_t size) {
    void *memory = ra_malloc(count, size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

void *ra_realloc(void *memory, size_t count, size_t size) {
    void *grown = ra_malloc(count, size);
    if (!grown || !memory) return grown;
    size_t old = header_of(memory)->bytes, now = count * size;
    memcpy(grown, memory, old < now ? old : now);
    ra_free(memory);
    return grown;
}

char *ra_strdup(const char *text) {
    if (!text) return NULL;
    size_t bytes = strlen(text) + 1;
    char *copy = ra_malloc(bytes, 1);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

void ra_free(void *memory) {
    if (memory) free(header_of(memory));
}
