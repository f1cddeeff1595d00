/* pool.h - a thread pool that runs the parts of one loop.
 *
 * ra_pool_run() distributes the part numbers 0..parts-1; the calling thread works too and returns when all
 * parts are complete. Which thread takes which part varies, so callers make every part independent of the
 * others, and the number of parts depends only on shapes, never on the number of threads: results are then
 * bit-identical for any number of threads.
 *
 * Thread safety: runs from several threads follow one after another. A part must not call ra_pool_run().
 */
#ifndef RA_BASE_POOL_H
#define RA_BASE_POOL_H

#include "ra_status.h"

#include <stddef.h>

typedef struct ra_pool ra_pool;
typedef void ra_pool_part(void *context, size_t part);

/* threads: how many work at the same time, including the caller; 0: one per core that this process may
 * use. nice: added to the nice value of the pool's own threads. */
ra_status ra_pool_new(size_t threads, int nice, ra_pool **pool, ra_error *err);
void ra_pool_free(ra_pool *pool);
size_t ra_pool_threads(const ra_pool *pool); /* 1 for NULL */

/* A NULL pool runs the parts in order on the calling thread. */
void ra_pool_run(ra_pool *pool, size_t parts, ra_pool_part *part, void *context);

/* A loop over n in parts of `size`, the last of which may be smaller: the number of parts, the end of
 * each. */
static inline size_t ra_pool_parts(size_t n, size_t size) {
    return n / size + (n % size != 0);
}

static inline size_t ra_pool_part_end(size_t part, size_t size, size_t n) {
    return (part + 1) * size < n ? (part + 1) * size : n;
}

#endif
