#include "harness.h"
#include "http/bodies.h"
#include "ra_memory.h"

#include <pthread.h>

enum { MIB = 1 << 20 };

static char *buffer_of(size_t bytes) {
    char *buffer = ra_malloc(bytes, 1);
    ck_assert_ptr_nonnull(buffer);
    return buffer;
}

static void assert_none(size_t least) {
    size_t capacity = 0;
    ck_assert_ptr_null(http_bodies_take(least, &capacity));
}

START_TEST(test_the_smallest_that_suffices_is_taken) {
    size_t capacity = 0;
    char *small = buffer_of(MIB), *middle = buffer_of(2 * MIB), *large = buffer_of(4 * MIB);
    assert_none(1);
    http_bodies_give(large, 4 * MIB);
    http_bodies_give(small, MIB);
    http_bodies_give(middle, 2 * MIB);
    assert_none(4 * MIB + 1);
    ck_assert_ptr_eq(http_bodies_take(MIB + 1, &capacity), middle);
    ck_assert_uint_eq(capacity, 2 * MIB);
    ck_assert_ptr_eq(http_bodies_take(MIB + 1, &capacity), large);
    ck_assert_ptr_eq(http_bodies_take(1, &capacity), small);
    ck_assert_uint_eq(capacity, MIB);
    assert_none(1);
    ra_free(small);
    ra_free(middle);
    ra_free(large);
}
END_TEST

/* What is not kept is freed: a sanitizer would see a leak. */
START_TEST(test_little_is_kept) {
    size_t capacity = 0, count = 0, bytes = 0;
    http_bodies_give(NULL, 0);
    http_bodies_give(buffer_of(100), 100); /* too small */
    assert_none(1);
    http_bodies_give(buffer_of(17 * MIB), 17 * MIB); /* too large */
    assert_none(1);
    for (int i = 0; i < 20; i++) http_bodies_give(buffer_of(MIB), MIB);
    for (char *kept; (kept = http_bodies_take(1, &capacity)); count++) ra_free(kept);
    ck_assert_uint_eq(count, 8);
    for (int i = 0; i < 5; i++) http_bodies_give(buffer_of(5 * MIB), 5 * MIB);
    for (char *kept; (kept = http_bodies_take(1, &capacity)); bytes += capacity) ra_free(kept);
    ck_assert_uint_eq(bytes, 15 * MIB);
}
END_TEST

static void *look(void *found) {
    *(char **)found = http_bodies_take(1, &(size_t){0});
    http_bodies_give(buffer_of(MIB), MIB); /* freed when the thread ends */
    return NULL;
}

START_TEST(test_each_thread_has_its_own) {
    size_t capacity = 0;
    char *own = buffer_of(MIB), *found = own;
    pthread_t thread;
    http_bodies_give(own, MIB);
    ck_assert_int_eq(pthread_create(&thread, NULL, look, &found), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_ptr_null(found);
    ck_assert_ptr_eq(http_bodies_take(1, &capacity), own);
    ra_free(own);
    assert_none(1);
}
END_TEST

TEST_CASES(bodies, test_the_smallest_that_suffices_is_taken, test_little_is_kept,
           test_each_thread_has_its_own)
