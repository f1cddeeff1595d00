#include "engine/reloader.h"
#include "ra_memory.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

struct reloader {
    registry *dictionaries;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool asked, stop;
};

static void *work(void *argument) {
    reloader *worker = argument;
    pthread_mutex_lock(&worker->lock);
    while (!worker->stop) {
        if (!worker->asked) {
            pthread_cond_wait(&worker->wake, &worker->lock);
            continue;
        }
        worker->asked = false;
        pthread_mutex_unlock(&worker->lock);
        size_t failed = registry_reload_all(worker->dictionaries);
        ra_log(RA_LOG_INFO, "reloaded, %zu of %zu failed", failed, registry_count(worker->dictionaries));
        pthread_mutex_lock(&worker->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

ra_status reloader_start(registry *dictionaries, reloader **out, ra_error *err) {
    reloader *worker = ra_calloc(1, sizeof *worker);
    if (!worker) return ra_error_set(err, RA_ERR_MEMORY, "out of memory: the reloader");
    worker->dictionaries = dictionaries;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->wake, NULL);
    int failure = pthread_create(&worker->thread, NULL, work, worker);
    if (failure) {
        ra_free(worker);
        return ra_error_set(err, RA_ERR_MEMORY, "the reloader's thread did not start: %s", strerror(failure));
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
