#include "harness.h"
#include "http/exchange.h"
#include "http/join.h"

#include <unistd.h>

static void *last(void *milliseconds) {
    usleep((useconds_t)((size_t)milliseconds * 1000));
    return NULL;
}

START_TEST(test_a_thread_that_ends_is_joined) {
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, last, (void *)50), 0);
    ck_assert(join_within(thread, 60000000));
}
END_TEST

START_TEST(test_one_that_does_not_is_left) {
    pthread_t thread;
    uint64_t before = http_now();
    ck_assert_int_eq(pthread_create(&thread, NULL, last, (void *)1500), 0);
    ck_assert(!join_within(thread, 0));
    ck_assert(!join_within(thread, 1000000));
    ck_assert_uint_ge(http_now() - before, 1000000);
    ck_assert(join_within(thread, 60000000));
}
END_TEST

TEST_CASES(join, test_a_thread_that_ends_is_joined, test_one_that_does_not_is_left)
