/* The compute threads: every accepted job runs once, the queue is bounded, and stopping waits. */
#include "serving/compute.h"
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static compute *start(size_t threads, size_t queue) {
    compute *workers = NULL;
    ra_ok(compute_start(&(compute_options){.threads = threads, .queue = queue}, &workers, &err));
    return workers;
}

/* A job that runs until it is released. */
typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t inside;
    bool open;
} gate;

#define GATE                                                                                                 \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false }

static void pass_gate(void *argument) {
    gate *own = argument;
    pthread_mutex_lock(&own->lock);
    own->inside++;
    pthread_cond_broadcast(&own->changed);
    while (!own->open) pthread_cond_wait(&own->changed, &own->lock);
    pthread_mutex_unlock(&own->lock);
}

static void wait_inside(gate *own, size_t count) {
    pthread_mutex_lock(&own->lock);
    while (own->inside < count) pthread_cond_wait(&own->changed, &own->lock);
    pthread_mutex_unlock(&own->lock);
}

static void open_gate(gate *own) {
    pthread_mutex_lock(&own->lock);
    own->open = true;
    pthread_cond_broadcast(&own->changed);
    pthread_mutex_unlock(&own->lock);
}

static void count(void *argument) {
    atomic_fetch_add((atomic_size_t *)argument, 1);
}

START_TEST(test_what_is_taken_runs_once) {
    enum { JOBS = 2000 };
    static atomic_size_t runs[JOBS];
    compute *workers = start(4, JOBS);
    for (int i = 0; i < JOBS; i++) ck_assert(compute_submit(workers, count, &runs[i], false));
    ck_assert(compute_stop(workers, 60));
    for (int i = 0; i < JOBS; i++) ck_assert_uint_eq(atomic_load(&runs[i]), 1);
}
END_TEST

START_TEST(test_a_full_queue_takes_nothing) {
    static atomic_size_t ran;
    gate own = GATE;
    compute *workers = start(2, 3);
    for (size_t i = 1; i <= 2; i++) {
        ck_assert(compute_submit(workers, pass_gate, &own, false));
        wait_inside(&own, i);
    }
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(compute_waiting(workers), i);
        ck_assert(compute_submit(workers, count, &ran, false));
    }
    for (int i = 0; i < 10; i++) ck_assert(!compute_submit(workers, count, &ran, false));
    open_gate(&own);
    while (compute_waiting(workers)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    ck_assert(compute_submit(workers, count, &ran, false));
    ck_assert(compute_stop(workers, 60));
    ck_assert_uint_eq(atomic_load(&ran), 4);
}
END_TEST

typedef struct order {
    size_t next;
    bool good;
} order;

static struct numbered {
    order *of;
    size_t number;
} numbered[100];

static void follow(void *argument) {
    struct numbered *mine = argument;
    mine->of->good &= mine->of->next++ == mine->number;
}

START_TEST(test_jobs_start_in_their_order) {
    order of = {0, true};
    compute *workers = start(1, 100);
    for (size_t i = 0; i < 100; i++) {
        numbered[i] = (struct numbered){&of, i};
        ck_assert(compute_submit(workers, follow, &numbered[i], false));
    }
    ck_assert(compute_stop(workers, 60));
    ck_assert(of.good);
    ck_assert_uint_eq(of.next, 100);
}
END_TEST

typedef struct crowd {
    compute *workers;
    atomic_size_t taken, refused, ran;
} crowd;

static void run_one(void *argument) {
    atomic_fetch_add(&((crowd *)argument)->ran, 1);
}

static void *submit_many(void *argument) {
    crowd *all = argument;
    for (int i = 0; i < 500; i++)
        atomic_fetch_add(compute_submit(all->workers, run_one, all, false) ? &all->taken : &all->refused, 1);
    return NULL;
}

START_TEST(test_many_threads_submit_to_a_short_queue) {
    crowd all = {.workers = start(3, 8)};
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_many, &all), 0);
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
    ck_assert(compute_stop(all.workers, 60));
    ck_assert_uint_eq(atomic_load(&all.taken) + atomic_load(&all.refused), 3000);
    ck_assert_uint_eq(atomic_load(&all.ran), atomic_load(&all.taken));
}
END_TEST

START_TEST(test_the_end_does_not_wait_for_ever) {
    gate own = GATE;
    compute *workers = start(1, 1);
    ck_assert(compute_submit(workers, pass_gate, &own, false));
    wait_inside(&own, 1);
    ck_assert(!compute_stop(workers, 0));
    ck_assert(!compute_submit(workers, pass_gate, &own, false));
    open_gate(&own);
    ck_assert(compute_stop(workers, 60));
    ck_assert(compute_stop(NULL, 0));
}
END_TEST

static atomic_size_t told;

static void tell(void *context) {
    atomic_fetch_add((atomic_size_t *)context, 1);
}

/* Brief jobs with a thread, and those that get one at once; not those that have to wait for a thread. */
START_TEST(test_brief_jobs_are_under_way) {
    static atomic_size_t ran;
    gate own = GATE;
    compute *workers = NULL;
    atomic_store(&told, 0);
    ra_ok(compute_start(&(compute_options){.threads = 3, .queue = 8, .fewer = tell, .context = &told},
                        &workers, &err));
    ck_assert_uint_eq(compute_under_way(workers), 0);
    ck_assert(compute_submit(workers, pass_gate, &own, false));
    for (int i = 0; i < 2; i++) ck_assert(compute_submit(workers, pass_gate, &own, true));
    ck_assert_uint_eq(compute_under_way(workers), 2); /* whether or not threads have taken them by now */
    wait_inside(&own, 3);
    ck_assert_uint_eq(compute_under_way(workers), 2);
    for (int i = 0; i < 2; i++) ck_assert(compute_submit(workers, count, &ran, true));
    ck_assert_uint_eq(compute_under_way(workers), 2); /* no thread is free */
    ck_assert_uint_eq(atomic_load(&told), 0);
    open_gate(&own);
    while (atomic_load(&ran) < 2 || compute_running(workers))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    ck_assert_uint_eq(compute_under_way(workers), 0);
    ck_assert(compute_stop(workers, 60));
    ck_assert_uint_ge(atomic_load(&told), 1); /* the last one was told */
}
END_TEST

TEST_CASES_SLOW(compute, 60, test_what_is_taken_runs_once, test_a_full_queue_takes_nothing,
                test_jobs_start_in_their_order, test_many_threads_submit_to_a_short_queue,
                test_the_end_does_not_wait_for_ever, test_brief_jobs_are_under_way)
