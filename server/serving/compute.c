/* A ring of jobs under one lock, and threads that take them out. A job costs far more than the lock, so a
 * more clever queue would gain nothing.
 */
#include "serving/compute.h"
#include "http/exchange.h"
#include "http/join.h"
#include "ra_memory.h"

#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct queued_job {
    compute_job *job;
    void *argument;
    bool brief;
} queued_job;

struct compute {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    queued_job *ring;
    size_t capacity, first, count, running;
    size_t brief_count, brief_running; /* of these */
    bool stop;
    pthread_t *threads;
    size_t started;
    void (*fewer)(void *context);
    void *context;
};

static void *work(void *argument) {
    compute *workers = argument;
    (void)prctl(PR_SET_NAME, "rasaed-compute");
    /* On Linux each thread has its own priority. A failure does no harm. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), COMPUTE_NICENESS);
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        while (workers->count == 0 && !workers->stop) pthread_cond_wait(&workers->wake, &workers->lock);
        if (workers->count == 0) break;
        queued_job next = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->capacity;
        workers->count--;
        workers->running++;
        workers->brief_count -= next.brief;
        workers->brief_running += next.brief;
        pthread_mutex_unlock(&workers->lock);
        next.job(next.argument);
        pthread_mutex_lock(&workers->lock);
        workers->running--;
        workers->brief_running -= next.brief;
        if (!next.brief || workers->brief_count || !workers->fewer) continue;
        pthread_mutex_unlock(&workers->lock);
        workers->fewer(workers->context);
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

static void release(compute *workers) {
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->lock);
    ra_free(workers->ring);
    ra_free(workers->threads);
    ra_free(workers);
}

static void ask_to_stop(compute *workers) {
    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
}

ra_status compute_start(const compute_options *options, compute **out, ra_error *err) {
    compute *workers = ra_calloc(1, sizeof *workers);
    if (!workers) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the compute threads");
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->wake, NULL);
    workers->capacity = options->queue;
    workers->fewer = options->fewer;
    workers->context = options->context;
    workers->ring = ra_calloc(options->queue, sizeof *workers->ring);
    workers->threads = ra_calloc(options->threads, sizeof *workers->threads);
    if (!workers->ring || !workers->threads) {
        release(workers);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the queue of the compute threads");
    }
    for (; workers->started < options->threads; workers->started++) {
        int failure = pthread_create(&workers->threads[workers->started], NULL, work, workers);
        if (!failure) continue;
        size_t got = workers->started;
        compute_stop(workers, 1);
        RA_FAIL(err, RA_ERR_MEMORY, "only %zu of %zu compute threads started: %s", got, options->threads,
                strerror(failure));
    }
    *out = workers;
    return RA_OK;
}

bool compute_submit(compute *workers, compute_job *job, void *argument, bool brief) {
    pthread_mutex_lock(&workers->lock);
    bool fits = workers->count < workers->capacity && !workers->stop;
    if (fits) {
        workers->ring[(workers->first + workers->count) % workers->capacity] =
            (queued_job){job, argument, brief};
        workers->count++;
        workers->brief_count += brief;
        pthread_cond_signal(&workers->wake);
    }
    pthread_mutex_unlock(&workers->lock);
    return fits;
}

size_t compute_waiting(compute *workers) {
    pthread_mutex_lock(&workers->lock);
    size_t waiting = workers->count;
    pthread_mutex_unlock(&workers->lock);
    return waiting;
}

size_t compute_running(compute *workers) {
    pthread_mutex_lock(&workers->lock);
    size_t running = workers->running;
    pthread_mutex_unlock(&workers->lock);
    return running;
}

size_t compute_under_way(compute *workers) {
    pthread_mutex_lock(&workers->lock);
    size_t free = workers->started - workers->running;
    size_t next = workers->brief_count < free ? workers->brief_count : free,
           under_way = workers->brief_running + next;
    pthread_mutex_unlock(&workers->lock);
    return under_way;
}

bool compute_stop(compute *workers, unsigned seconds) {
    if (!workers) return true;
    ask_to_stop(workers);
    uint64_t end = http_now() + (uint64_t)seconds * 1000000;
    for (size_t i = 0; i < workers->started; i++) {
        uint64_t now = http_now();
        if (!join_within(workers->threads[i], now < end ? end - now : 0)) return false;
    }
    release(workers);
    return true;
}
