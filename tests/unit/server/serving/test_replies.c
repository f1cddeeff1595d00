#include "serving/replies.h"
#include "emulated.h"
#include "harness.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MIB = 1 << 20 };

static reply_block *take(replies *pool, size_t bytes) {
    reply_block *block = NULL;
    ra_ok(replies_take(pool, bytes, &block, &err));
    ck_assert_uint_ge(block->bytes, bytes);
    memset(block->data, 7, block->bytes);
    return block;
}

static replies *open_pool(ra_backend **backend) {
    replies *pool = NULL;
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, backend, &err));
    ra_ok(replies_new(*backend, &pool, &err));
    return pool;
}

START_TEST(test_the_smallest_that_suffices_is_taken_again) {
    ra_backend *backend = NULL;
    replies *pool = open_pool(&backend);
    reply_block *small = take(pool, 1), *middle = take(pool, 2 * MIB), *large = take(pool, 4 * MIB);
    reply_block_give(middle);
    reply_block_give(large);
    reply_block_give(small);
    reply_block_give(NULL);
    ck_assert_ptr_eq(take(pool, MIB), middle);
    ck_assert_ptr_eq(take(pool, MIB), large);
    ck_assert_ptr_eq(take(pool, 1), small);
    reply_block_give(small);
    reply_block_give(large);
    reply_block_give(middle);
    replies_free(pool);
    ra_backend_release(backend);
}
END_TEST

/* What is not kept is freed: a sanitizer would see a leak. */
START_TEST(test_little_is_kept_and_the_large_ones_first) {
    ra_backend *backend = NULL;
    replies *pool = open_pool(&backend);
    reply_block *blocks[20], *giant = take(pool, 40 * MIB);
    size_t sum = 0, least = 0;
    for (size_t i = 0; i < 20; i++) blocks[i] = take(pool, (i + 1) * MIB / 4);
    for (size_t i = 0; i < 20; i++) reply_block_give(blocks[i]);
    reply_block_give(giant);
    for (size_t i = 0; i < 8; i++) { /* the smallest of those that are kept, each time */
        blocks[i] = take(pool, 1);
        sum += blocks[i]->bytes;
        if (i == 0) least = blocks[i]->bytes;
    }
    ck_assert_uint_le(sum, 32 * MIB);
    ck_assert_uint_gt(least, 12 * MIB / 4); /* those of 13 to 20 quarters */
    for (size_t i = 0; i < 8; i++) reply_block_give(blocks[i]);
    replies_free(pool);
    ra_backend_release(backend);
}
END_TEST

/* A reply may be on its way to a client that reads slowly. */
START_TEST(test_a_block_may_come_back_after_the_end) {
    ra_backend *backend = NULL;
    replies *pool = open_pool(&backend);
    reply_block *block = take(pool, MIB), *other = take(pool, MIB);
    replies_free(pool);
    ra_backend_release(backend); /* the pool has retained it */
    memset(block->data, 1, MIB);
    reply_block_give(block);
    reply_block_give(other);
}
END_TEST

static void *use(void *pool) {
    for (size_t i = 0; i < 500; i++) {
        reply_block *block = NULL;
        ck_assert_int_eq(replies_take(pool, (i % 9 + 1) * MIB / 8, &block, NULL), RA_OK);
        memset(block->data, (int)i, 64);
        reply_block_give(block);
    }
    return NULL;
}

START_TEST(test_threads_share_them) {
    enum { THREADS = 4 };
    ra_backend *backend = NULL;
    replies *pool = open_pool(&backend);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, use, pool), 0);
    for (size_t i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    replies_free(pool);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_without_memory) {
    ra_backend *backend = NULL;
    replies *pool = open_pool(&backend);
    for (size_t n = 1; n <= 2; n++) {
        reply_block *block = NULL;
        ra_memory_fail_at(n);
        ck_assert_int_eq(replies_take(pool, MIB, &block, NULL), RA_ERR_MEMORY);
        ra_memory_fail_at(0);
    }
    ra_fails(replies_take(pool, SIZE_MAX, &(reply_block *){NULL}, &err), RA_ERR_MEMORY, "a reply");
    reply_block_give(take(pool, MIB));
    replies_free(pool);
    ra_backend_release(backend);
}
END_TEST

/* A device writes to it without a stop, and what is kept stays. */
START_TEST(test_a_device_copies_to_it_directly) {
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    replies *pool = NULL;
    void *numbers = NULL;
    const char *live;
    char before[200];
    unsigned char *ordinary = ra_malloc(3 * MIB, 1);
    ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.threads = 1}, &backend, &err));
    ra_ok(replies_new(backend, &pool, &err));
    ra_ok(ra_backend_allocate(backend, 3 * MIB, &numbers, &err));
    reply_block_give(take(pool, 3 * MIB));
    (void)device.live(&live);
    snprintf(before, sizeof before, "%s", live);
    for (int direct = 0; direct < 2; direct++) {
        reply_block *block = take(pool, 3 * MIB);
        (void)device.count();
        ra_ok(ra_backend_get(backend, direct ? block->data : ordinary, numbers, 3 * MIB, &err));
        emulation_counts counts = device.count();
        ck_assert_uint_eq(counts.bytes_down, 3 * MIB);
        ck_assert_uint_eq(counts.bytes_through, direct ? 0 : 3 * MIB);
        ck_assert_uint_eq(counts.downloads, direct ? 1 : 4);
        for (size_t i = 0; direct && i < 3 * MIB; i += 4093) ck_assert_uint_eq(((char *)block->data)[i], 0);
        reply_block_give(block);
    }
    (void)device.live(&live);
    ck_assert_str_eq(live, before);
    ra_free(ordinary);
    ra_backend_deallocate(backend, numbers);
    replies_free(pool);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

TEST_CASES(replies, test_the_smallest_that_suffices_is_taken_again,
           test_little_is_kept_and_the_large_ones_first, test_a_block_may_come_back_after_the_end,
           test_threads_share_them, test_without_memory, test_a_device_copies_to_it_directly)
