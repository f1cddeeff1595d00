/* A ring of jobs under one lock, a flag for a reload of everything, and a clock for the files. What is to be freed comes
 * first: it is memory that the next load may need. */
#include "serving/reloader.h"
#include "http/join.h"
#include "ra_memory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { THOUSAND = 1000, MILLION = 1000000 };

typedef struct queued_job {
    reloader_job *job;
    void *argument;
} queued_job;

struct reloader {
    registry *dictionaries;
    reloader_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    queued_job *ring;
    size_t first, count;
    bool running; /* a job, which does not count in `count` any more */
    bool asked, retired, stop;
    struct timespec look; /* the next one at the files */
};

/* ---- the work ------------------------------------------------------------------------------------------ */

static void reload_all(const reloader *worker) {
    const reloader_options *options = &worker->options;
    if (options->begins) options->begins(options->context);
    size_t failed = registry_reload_all(worker->dictionaries), count = registry_count(worker->dictionaries);
    ra_log(RA_LOG_INFO, "reloaded, %zu of %zu failed", failed, count);
    if (options->ends) options->ends(options->context, failed, count);
}

static void next_look(reloader *worker) {
    clock_gettime(CLOCK_MONOTONIC, &worker->look);
    worker->look.tv_sec += worker->options.watch_ms / THOUSAND;
    worker->look.tv_nsec += (long)(worker->options.watch_ms % THOUSAND) * MILLION;
    worker->look.tv_sec += worker->look.tv_nsec / (THOUSAND * MILLION);
    worker->look.tv_nsec %= THOUSAND * MILLION;
}

/* With the lock held. True when it is time for a look at the files. */
static bool wait_for_work(reloader *worker) {
    int due = 0;
    while (!due && !worker->stop && !worker->asked && !worker->retired && worker->count == 0)
        due = worker->options.watch_ms ? pthread_cond_timedwait(&worker->wake, &worker->lock, &worker->look)
                                       : pthread_cond_wait(&worker->wake, &worker->lock);
    return due != 0;
}

/* With the lock held, which it releases while it works. */
static void do_next(reloader *worker, bool look) {
    queued_job next = {0};
    bool all = worker->count == 0 && worker->asked;
    worker->retired = false;
    if (worker->count > 0) {
        next = worker->ring[worker->first];
        worker->first = (worker->first + 1) % worker->options.queue;
        worker->count--;
        worker->running = true;
    } else if (all) {
        worker->asked = false;
    }
    pthread_mutex_unlock(&worker->lock);
    registry_free_retired(worker->dictionaries);
    if (next.job)
        next.job(next.argument);
    else if (all)
        reload_all(worker);
    if (look) registry_poll(worker->dictionaries);
    if (look && worker->options.looks) worker->options.looks(worker->options.context);
    if (look) next_look(worker);
    pthread_mutex_lock(&worker->lock);
    worker->running = false;
}

static void *run(void *argument) {
    reloader *worker = argument;
    (void)prctl(PR_SET_NAME, "rasaed-reload");
    next_look(worker);
    pthread_mutex_lock(&worker->lock);
    while (!worker->stop || worker->count > 0) do_next(worker, wait_for_work(worker));
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

/* ---- others ask ---------------------------------------------------------------------------------------- */

bool reloader_submit(reloader *worker, reloader_job *job, void *argument) {
    pthread_mutex_lock(&worker->lock);
    bool fits = worker->count < worker->options.queue && !worker->stop;
    if (fits) {
        worker->ring[(worker->first + worker->count) % worker->options.queue] = (queued_job){job, argument};
        worker->count++;
        pthread_cond_signal(&worker->wake);
    }
    pthread_mutex_unlock(&worker->lock);
    return fits;
}

size_t reloader_waiting(reloader *worker) {
    pthread_mutex_lock(&worker->lock);
    size_t waiting = worker->count + worker->running;
    pthread_mutex_unlock(&worker->lock);
    return waiting;
}

static void set(reloader *worker, bool *flag) {
    pthread_mutex_lock(&worker->lock);
    *flag = true;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
}

void reloader_ask(reloader *worker) {
    set(worker, &worker->asked);
}

static void on_retired(void *context) {
    reloader *worker = context;
    set(worker, &worker->retired);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void release(reloader *worker) {
    pthread_cond_destroy(&worker->wake);
    pthread_mutex_destroy(&worker->lock);
    ra_free(worker->ring);
    ra_free(worker);
}

ra_status reloader_start(registry *dictionaries, const reloader_options *options, reloader **out,
                         ra_error *err) {
    reloader *worker = ra_calloc(1, sizeof *worker);
    if (!worker) RA_FAIL_MEMORY(err, "the reloader", sizeof *worker);
    worker->dictionaries = dictionaries;
    worker->options = *options;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    worker->ring = ra_calloc(options->queue ? options->queue : 1, sizeof *worker->ring);
    int failure = worker->ring ? pthread_create(&worker->thread, NULL, run, worker) : 0;
    if (!worker->ring || failure) {
        release(worker);
        RA_FAIL(err, RA_ERR_MEMORY, "the reloader did not start: %s", strerror(failure ? failure : ENOMEM));
    }
    registry_on_retired(dictionaries, on_retired, worker);
    *out = worker;
    return RA_OK;
}

bool reloader_stop(reloader *worker, unsigned seconds) {
    if (!worker) return true;
    set(worker, &worker->stop);
    if (!join_within(worker->thread, (uint64_t)seconds * MILLION)) return false;
    registry_on_retired(worker->dictionaries, NULL, NULL);
    release(worker);
    return true;
}
