/* replies.h - the memory that large replies of numbers are computed in and sent from.
 *
 *     reply_block *block;
 *     RA_TRY(replies_take(pool, bytes, &block, err));
 *     ... compute into block->data, send it as the tail of a response, whose release() is ...
 *     reply_block_give(block);
 *
 * A device copies to it without a stop in another buffer (ra_backend_host_allocate()), and what is sent from where it was
 * computed is not copied on the way. Some blocks are kept, because such memory is slow to make, and fresh memory costs a
 * page fault for each of its pages.
 *
 * Thread safety: any thread may take and give. A block may be given after replies_free().
 */
#ifndef RASAED_SERVING_REPLIES_H
#define RASAED_SERVING_REPLIES_H

#include "ra_backend.h"

typedef struct replies replies;

typedef struct reply_block {
    void *data;
    size_t bytes; /* at least those that were asked for */
    /* private */
    replies *pool;
    struct reply_block *next;
} reply_block;

/* Smaller replies are better copied. */
enum { REPLIES_LEAST_BYTES = 64 << 10 };

ra_status replies_new(ra_backend *backend, replies **pool, ra_error *err); /* retains the backend */
void replies_free(replies *pool);                                          /* NULL is fine */

/* The smallest kept block of at least so many bytes, or a new one. */
ra_status replies_take(replies *pool, size_t bytes, reply_block **block, ra_error *err);

void reply_block_give(void *block); /* keeps it, or frees it; NULL is fine */

#endif
