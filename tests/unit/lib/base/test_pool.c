#include "harness.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void count_part(void *context, size_t part) {
    atomic_int *seen = context;
    atomic_fetch_add(&seen[part], 1);
}

START_TEST(test_every_part_runs_exactly_once) {
    enum { PARTS = 1000 };
    static atomic_int seen[PARTS];
    for (size_t threads = 1; threads <= 5; threads++) {
        ra_pool *pool = NULL;
        ra_ok(ra_pool_new(threads, 0, &pool, &err));
        ck_assert_uint_eq(ra_pool_threads(pool), threads);
        for (int i = 0; i < PARTS; i++) atomic_store(&seen[i], 0);
        for (int run = 0; run < 20; run++) ra_pool_run(pool, PARTS, count_part, seen);
        for (int i = 0; i < PARTS; i++) ck_assert_int_eq(atomic_load(&seen[i]), 20);
        ra_pool_free(pool);
    }
}
END_TEST

START_TEST(test_zero_threads_means_the_cores) {
    ra_pool *pool = NULL;
    ra_ok(ra_pool_new(0, 0, &pool, &err));
    ck_assert_uint_ge(ra_pool_threads(pool), 1);
    ra_pool_free(pool);
}
END_TEST

START_TEST(test_refuses_absurd_thread_counts) {
    ra_pool *pool = NULL;
    ra_fails(ra_pool_new(1000000, 0, &pool, &err), RA_ERR_ARGUMENT, "1000000");
    ck_assert_ptr_null(pool);
}
END_TEST

START_TEST(test_parts_cover_a_loop) {
    for (size_t n = 0; n < 40; n++)
        for (size_t size = 1; size < 45; size++) {
            size_t parts = ra_pool_parts(n, size), next = 0;
            for (size_t part = 0; part < parts; part++) {
                ck_assert_uint_eq(part * size, next);
                next = ra_pool_part_end(part, size, n);
                ck_assert(part + 1 < parts ? next == (part + 1) * size : next > part * size);
            }
            ck_assert_uint_eq(next, n);
        }
    ck_assert_uint_eq(ra_pool_parts(SIZE_MAX, 2), SIZE_MAX / 2 + 1);
}
END_TEST

typedef struct seen_nice {
    pthread_barrier_t all;
    int value[3];
    atomic_size_t count;
} seen_nice;

/* Waits for the others, so that each thread takes one part. */
static void look_at_nice(void *context, size_t part) {
    seen_nice *seen = context;
    (void)part;
    seen->value[atomic_fetch_add(&seen->count, 1)] = getpriority(PRIO_PROCESS, (id_t)gettid());
    pthread_barrier_wait(&seen->all);
}

START_TEST(test_its_threads_can_stand_back) {
    ra_pool *pool;
    seen_nice seen = {.count = 0};
    int own = getpriority(PRIO_PROCESS, (id_t)gettid()), least = 99, lower = 0;
    ck_assert_int_eq(pthread_barrier_init(&seen.all, NULL, 3), 0);
    ra_ok(ra_pool_new(3, 3, &pool, &err));
    ra_pool_run(pool, 3, look_at_nice, &seen);
    for (size_t i = 0; i < 3; i++) {
        least = seen.value[i] < least ? seen.value[i] : least;
        lower += seen.value[i] == (own + 3 < 19 ? own + 3 : 19);
    }
    ck_assert_int_eq(least, own);
    ck_assert_int_eq(lower, own < 19 ? 2 : 3);
    ra_pool_free(pool);
    pthread_barrier_destroy(&seen.all);
}
END_TEST

TEST_CASES(pool, test_its_threads_can_stand_back, test_every_part_runs_exactly_once,
           test_zero_threads_means_the_cores, test_refuses_absurd_thread_counts, test_parts_cover_a_loop)
