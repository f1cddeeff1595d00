/* One thread, asleep on a condition: woken by who asks, and when it watches also by the clock. What it is
 * asked while it works stays noted, so that nothing is lost and many questions become one reload. */
#include "serving/reloader.h"
#include "ra_memory.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

struct reloader {
    registry *dictionaries;
    reloader_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool asked, stop;
};

/* With the lock held. */
static void wait(reloader *worker) {
    if (!worker->options.watch_ms) {
        pthread_cond_wait(&worker->wake, &worker->lock);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += worker->options.watch_ms / 1000;
    until.tv_nsec += (long)(worker->options.watch_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&worker->wake, &worker->lock, &until);
}

static void reload(const reloader *worker) {
    if (worker->options.begins) worker->options.begins();
    size_t failed = registry_reload_all(worker->dictionaries), count = registry_count(worker->dictionaries);
    ra_log(RA_LOG_INFO, "reloaded, %zu of %zu failed", failed, count);
    if (worker->options.ends) worker->options.ends(failed, count);
}

static void *work(void *argument) {
    reloader *worker = argument;
    pthread_mutex_lock(&worker->lock);
    while (!worker->stop) {
        if (!worker->asked) wait(worker);
        bool asked = worker->asked;
        if (worker->stop || (!asked && !worker->options.watch_ms)) continue;
        worker->asked = false;
        pthread_mutex_unlock(&worker->lock);
        if (asked)
            reload(worker);
        else
            registry_poll(worker->dictionaries);
        pthread_mutex_lock(&worker->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

ra_status reloader_start(registry *dictionaries, const reloader_options *options, reloader **out,
                         ra_error *err) {
    reloader *worker = ra_calloc(1, sizeof *worker);
    if (!worker) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the reloader");
    worker->dictionaries = dictionaries;
    worker->options = *options;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failure = pthread_create(&worker->thread, NULL, work, worker);
    if (failure) {
        ra_free(worker);
        RA_FAIL(err, RA_ERR_MEMORY, "the reloader's thread did not start: %s", strerror(failure));
    }
    *out = worker;
    return RA_OK;
}

void reloader_ask(reloader *worker) {
    pthread_mutex_lock(&worker->lock);
    worker->asked = true;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
}

bool reloader_stop(reloader *worker, unsigned seconds) {
    if (!worker) return true;
    pthread_mutex_lock(&worker->lock);
    worker->stop = true;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    if (pthread_timedjoin_np(worker->thread, NULL, &until) != 0) return false;
    pthread_cond_destroy(&worker->wake);
    pthread_mutex_destroy(&worker->lock);
    ra_free(worker);
    return true;
}
