#include "base/pool.h"
#include "ra_memory.h"
#include "ra_waiting.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

enum { MAX_THREADS = 1024 };

struct ra_pool {
    size_t helpers; /* threads of the pool; the caller is one more */
    int nice;
    pthread_t *threads;
    pthread_mutex_t run; /* one loop at a time */
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
    /* the loop in progress, guarded by lock except for `next` */
    unsigned long generation;
    bool open;   /* helpers may still join in */
    size_t busy; /* helpers that have joined in and are not done */
    bool stop;
    ra_pool_part *part;
    void *context;
    size_t parts;
    atomic_size_t next;
};

static void take_parts(ra_pool *pool, ra_pool_part *part, void *context, size_t parts) {
    for (;;) {
        size_t number = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (number >= parts) return;
        part(context, number);
    }
}

static void *helper(void *argument) {
    ra_pool *pool = argument;
    unsigned long seen = 0;
    /* On Linux each thread has its own priority, at first its creator's. A failure does no harm. */
    if (pool->nice) (void)!nice(pool->nice);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && (!pool->open || pool->generation == seen))
            pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->stop) break;
        seen = pool->generation;
        pool->busy++;
        ra_pool_part *part = pool->part;
        void *context = pool->context;
        size_t parts = pool->parts;
        pthread_mutex_unlock(&pool->lock);
        take_parts(pool, part, context, parts);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->finished);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static size_t usable_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (size_t)count : 1;
}

ra_status ra_pool_new(size_t threads, int nice, ra_pool **out, ra_error *err) {
    if (threads > MAX_THREADS)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the number of threads is %zu; expected at most %d", threads,
                MAX_THREADS);
    if (threads == 0) threads = usable_cores();
    ra_pool *pool = ra_calloc(1, sizeof *pool);
    if (!pool) RA_FAIL_MEMORY(err, "a thread pool", sizeof *pool);
    pool->nice = nice;
    pthread_mutex_init(&pool->run, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->threads = ra_calloc(threads, sizeof *pool->threads);
    if (!pool->threads) {
        ra_pool_free(pool);
        RA_FAIL_MEMORY(err, "a thread pool", threads * sizeof *pool->threads);
    }
    for (size_t i = 1; i < threads; i++) {
        if (pthread_create(&pool->threads[pool->helpers], NULL, helper, pool) != 0) {
            size_t got = pool->helpers + 1;
            ra_pool_free(pool);
            RA_FAIL(err, RA_ERR_MEMORY, "the system started only %zu of %zu threads; try a smaller number",
                    got, threads);
        }
        pool->helpers++;
    }
    *out = pool;
    return RA_OK;
}

void ra_pool_free(ra_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->helpers; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->run);
    ra_free(pool->threads);
    ra_free(pool);
}

size_t ra_pool_threads(const ra_pool *pool) {
    return pool ? pool->helpers + 1 : 1;
}

void ra_pool_run(ra_pool *pool, size_t parts, ra_pool_part *part, void *context) {
    if (!pool || pool->helpers == 0 || parts < 2) {
        for (size_t i = 0; i < parts; i++) part(context, i);
        return;
    }
    ra_waiting_check("the thread pool");
    pthread_mutex_lock(&pool->run);
    pthread_mutex_lock(&pool->lock);
    pool->part = part;
    pool->context = context;
    pool->parts = parts;
    pool->open = true;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    pool->generation++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    take_parts(pool, part, context, parts);
    pthread_mutex_lock(&pool->lock);
    pool->open = false; /* no part is left: a helper that the system has not woken yet is not waited for */
    while (pool->busy) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_unlock(&pool->run);
}
