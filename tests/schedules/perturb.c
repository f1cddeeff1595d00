/* Other orders of threads than those of a quiet machine, for ThreadSanitizer: make tsan PERTURB=7.
 *
 * Linked into the programs of that build with --wrap for each function below: locks, conditions, and the calls that the
 * compiler makes of atomic operations. Before such a call, and after those that let others go on, a thread may yield or sleep.
 * Whether it does is a hash of the seed, the thread, the place in the program and how often the thread was there; of the places,
 * some are slow with one seed and others with another. A thread sleeps a quarter of its time at most, so that what has a
 * deadline keeps it.
 *
 * Without the variable PERTURB nothing changes. The choices of a seed are the same each time; what the system makes of them is
 * not, so a seed that has found a race finds it again more often than others, not always.
 *
 * This file is built without the sanitizer: its own atomic operations would call it. Source of the idea: Burckhardt and
 * others, "A randomized scheduler with probabilistic guarantees of finding bugs", 2010; here without its guarantees, since
 * nothing is made to wait for long. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

enum {
    SLOW_PLACES = 8, /* one place of so many is slow */
    YIELDS = 16,     /* at any place, once of so many times */
    SLEEPS = 256,
    SLEEPS_SLOW = 4, /* at a slow one */
    LONGEST_US = 2000,
    MOST_SLEEP = 4 /* a part of so many of the thread's time */
};

static uint64_t seed;
static bool given;
static atomic_uint threads;

static __thread struct {
    uint64_t number, count; /* of the thread, from 1 on; of its choices */
    uint64_t began, slept;  /* nanoseconds */
} own;

__attribute__((constructor)) static void read_seed(void) {
    const char *text = getenv("PERTURB");
    given = text && *text;
    if (given) seed = strtoull(text, NULL, 10);
}

static uint64_t mix(uint64_t x) { /* SplitMix64's last step */
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void sleep_some(uint64_t hash) {
    if (!own.began) own.began = now();
    uint64_t before = now();
    if (own.slept * MOST_SLEEP > before - own.began) return;
    /* most are short */
    uint64_t longest = 1 + (mix(hash) % LONGEST_US);
    struct timespec time = {.tv_nsec = (long)(1000 * (mix(hash + 1) % longest))};
    nanosleep(&time, NULL);
    own.slept += now() - before;
}

extern char __executable_start[]; /* the linker's */

/* `place` is the caller's address: in a program that lies elsewhere each time, its distance from the beginning stays. */
static void perturb(const void *place) {
    if (!given) return;
    if (!own.number) own.number = atomic_fetch_add(&threads, 1) + 1;
    uint64_t site = mix(seed ^ (uint64_t)((const char *)place - __executable_start));
    uint64_t hash = mix(site ^ mix(own.number << 40 ^ own.count++));
    if (hash % (site % SLOW_PLACES ? SLEEPS : SLEEPS_SLOW) == 0)
        sleep_some(hash);
    else if (hash % YIELDS == 1)
        sched_yield();
}

#define HERE __builtin_return_address(0)
#define WRAP(type, name, ...)                                                                                \
    type __real_##name(__VA_ARGS__);                                                                         \
    type __wrap_##name(__VA_ARGS__);                                                                         \
    type __wrap_##name(__VA_ARGS__)

/* ---- locks and conditions ------------------------------------------------------------------------------- */

WRAP(int, pthread_mutex_lock, pthread_mutex_t *lock) {
    perturb(HERE);
    return __real_pthread_mutex_lock(lock);
}

WRAP(int, pthread_mutex_unlock, pthread_mutex_t *lock) {
    int failed = __real_pthread_mutex_unlock(lock);
    perturb(HERE);
    return failed;
}

WRAP(int, pthread_cond_wait, pthread_cond_t *condition, pthread_mutex_t *lock) {
    perturb(HERE);
    return __real_pthread_cond_wait(condition, lock);
}

WRAP(int, pthread_cond_timedwait, pthread_cond_t *condition, pthread_mutex_t *lock,
     const struct timespec *until) {
    perturb(HERE);
    return __real_pthread_cond_timedwait(condition, lock, until);
}

WRAP(int, pthread_cond_signal, pthread_cond_t *condition) {
    perturb(HERE);
    return __real_pthread_cond_signal(condition);
}

WRAP(int, pthread_cond_broadcast, pthread_cond_t *condition) {
    perturb(HERE);
    return __real_pthread_cond_broadcast(condition);
}

WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
     void *argument) {
    int failed = __real_pthread_create(thread, how, run, argument);
    perturb(HERE);
    return failed;
}

WRAP(int, pthread_join, pthread_t thread, void **result) {
    perturb(HERE);
    return __real_pthread_join(thread, result);
}

#ifndef PERTURB_LOCKS_ALONE /* a program that the sanitizer is not linked with */
/* ---- atomic operations ---------------------------------------------------------------------------------- */

#define READ(bits, type)                                                                                     \
    WRAP(type, __tsan_atomic##bits##_load, const volatile type *at, int order) {                             \
        perturb(HERE);                                                                                       \
        return __real___tsan_atomic##bits##_load(at, order);                                                 \
    }
#define STORE(bits, type)                                                                                    \
    WRAP(void, __tsan_atomic##bits##_store, volatile type *at, type value, int order) {                      \
        perturb(HERE);                                                                                       \
        __real___tsan_atomic##bits##_store(at, value, order);                                                \
    }
#define CHANGE(bits, type, kind)                                                                             \
    WRAP(type, __tsan_atomic##bits##_##kind, volatile type *at, type value, int order) {                     \
        perturb(HERE);                                                                                       \
        return __real___tsan_atomic##bits##_##kind(at, value, order);                                        \
    }
#define COMPARE(bits, type, kind)                                                                            \
    WRAP(int, __tsan_atomic##bits##_compare_exchange_##kind, volatile type *at, type *expected, type value,  \
         int order, int otherwise) {                                                                         \
        perturb(HERE);                                                                                       \
        return __real___tsan_atomic##bits##_compare_exchange_##kind(at, expected, value, order, otherwise);  \
    }
#define ALL(bits, type)                                                                                      \
    READ(bits, type)                                                                                         \
    STORE(bits, type)                                                                                        \
    CHANGE(bits, type, exchange)                                                                             \
    CHANGE(bits, type, fetch_add)                                                                            \
    CHANGE(bits, type, fetch_sub)                                                                            \
    CHANGE(bits, type, fetch_or)                                                                             \
    CHANGE(bits, type, fetch_and)                                                                            \
    COMPARE(bits, type, strong)                                                                              \
    COMPARE(bits, type, weak)
ALL(8, uint8_t)
ALL(32, uint32_t)
ALL(64, uint64_t)
#endif
