#include "serving/replies.h"
#include "ra_memory.h"

#include <pthread.h>

/* The larger ones are kept: they serve small replies as well. */
enum { MOST = 8, KEPT_BYTES = 32 << 20 /* in all */, UNIT = 64 << 10 };

struct replies {
    ra_backend *backend;
    pthread_mutex_t lock;
    reply_block *kept; /* the smallest first */
    size_t count, bytes;
    size_t taken; /* blocks that have to come back */
    bool ended;
};

static void free_block(const ra_backend *backend, reply_block *block) {
    ra_backend_host_deallocate(backend, block->data);
    ra_free(block);
}

static void free_list(const ra_backend *backend, reply_block *list) {
    for (reply_block *next; list; list = next) {
        next = list->next;
        free_block(backend, list);
    }
}

static void free_pool(replies *pool) {
    free_list(pool->backend, pool->kept);
    ra_backend_release(pool->backend);
    pthread_mutex_destroy(&pool->lock);
    ra_free(pool);
}

ra_status replies_new(ra_backend *backend, replies **out, ra_error *err) {
    replies *pool = ra_calloc(1, sizeof *pool);
    if (!pool) RA_FAIL_MEMORY(err, "the memory of replies", sizeof *pool);
    pool->backend = ra_backend_retain(backend);
    pthread_mutex_init(&pool->lock, NULL);
    *out = pool;
    return RA_OK;
}

/* The last block that comes back frees the rest. */
void replies_free(replies *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->ended = true;
    bool last = pool->taken == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last) free_pool(pool);
}

/* ---- taking and giving --------------------------------------------------------------------------------- */

static reply_block *take_kept(replies *pool, size_t bytes) {
    reply_block **at = &pool->kept;
    while (*at && (*at)->bytes < bytes) at = &(*at)->next;
    reply_block *taken = *at;
    if (!taken) return NULL;
    *at = taken->next;
    pool->count--;
    pool->bytes -= taken->bytes;
    return taken;
}

static ra_status make(replies *pool, size_t bytes, reply_block **out, ra_error *err) {
    if (bytes > SIZE_MAX - UNIT) RA_FAIL_MEMORY(err, "a reply", bytes);
    reply_block *made = ra_malloc(1, sizeof *made);
    if (!made) RA_FAIL_MEMORY(err, "a reply", sizeof *made);
    *made = (reply_block){.bytes = (bytes / UNIT + 1) * UNIT, .pool = pool};
    ra_status status = ra_backend_host_allocate(pool->backend, made->bytes, &made->data, err);
    if (status == RA_OK)
        *out = made;
    else
        ra_free(made);
    return status;
}

/* A block has come back, or was never made. */
static void count_back(replies *pool) {
    pthread_mutex_lock(&pool->lock);
    bool last = --pool->taken == 0 && pool->ended;
    pthread_mutex_unlock(&pool->lock);
    if (last) free_pool(pool);
}

ra_status replies_take(replies *pool, size_t bytes, reply_block **block, ra_error *err) {
    pthread_mutex_lock(&pool->lock);
    *block = take_kept(pool, bytes);
    pool->taken++;
    pthread_mutex_unlock(&pool->lock);
    if (*block) return RA_OK;
    ra_status status = make(pool, bytes, block, err);
    if (status != RA_OK) count_back(pool);
    return status;
}

static void keep(replies *pool, reply_block *block) {
    reply_block **at = &pool->kept;
    while (*at && (*at)->bytes < block->bytes) at = &(*at)->next;
    block->next = *at;
    *at = block;
    pool->count++;
    pool->bytes += block->bytes;
}

/* Keeps it. Returns what is then beyond the limits, as a list: the smallest blocks, or this one. */
static reply_block *exchange(replies *pool, reply_block *block) {
    reply_block *excess = NULL;
    if (block->bytes > KEPT_BYTES) {
        block->next = NULL;
        return block;
    }
    keep(pool, block);
    while (pool->count > MOST || pool->bytes > KEPT_BYTES) {
        reply_block *out = take_kept(pool, 0);
        out->next = excess;
        excess = out;
    }
    return excess;
}

void reply_block_give(void *given) {
    reply_block *block = given;
    if (!block) return;
    replies *pool = block->pool;
    pthread_mutex_lock(&pool->lock);
    reply_block *excess = exchange(pool, block);
    pthread_mutex_unlock(&pool->lock);
    free_list(pool->backend, excess);
    count_back(pool);
}
