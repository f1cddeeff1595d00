#include "http/watchdog.h"
#include "ra_memory.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { TICK_NANOSECONDS = 100000000, SECOND = 1000000000 };

struct http_watchdog {
    http_connections *connections;
    http_deferrals *deferrals;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
};

static void wait_for_tick(http_watchdog *watchdog) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_NANOSECONDS;
    if (until.tv_nsec >= SECOND) {
        until.tv_nsec -= SECOND;
        until.tv_sec++;
    }
    while (!watchdog->stop && pthread_cond_timedwait(&watchdog->wake, &watchdog->lock, &until) == 0) continue;
}

static void *watch(void *argument) {
    http_watchdog *watchdog = argument;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->stop) {
        pthread_mutex_unlock(&watchdog->lock);
        uint64_t now = http_now();
        http_deferrals_check(watchdog->deferrals, now);
        http_connections_check(watchdog->connections, now);
        pthread_mutex_lock(&watchdog->lock);
        wait_for_tick(watchdog);
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

static void release(http_watchdog *watchdog) {
    pthread_cond_destroy(&watchdog->wake);
    pthread_mutex_destroy(&watchdog->lock);
    ra_free(watchdog);
}

ra_status http_watchdog_start(http_connections *connections, http_deferrals *deferrals, http_watchdog **out,
                              ra_error *err) {
    http_watchdog *watchdog = ra_calloc(1, sizeof *watchdog);
    if (!watchdog) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the watchdog");
    watchdog->connections = connections;
    watchdog->deferrals = deferrals;
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->wake, &clock);
    pthread_condattr_destroy(&clock);
    int failure = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    if (failure) {
        release(watchdog);
        RA_FAIL(err, RA_ERR_MEMORY, "the watchdog's thread did not start: %s", strerror(failure));
    }
    *out = watchdog;
    return RA_OK;
}

void http_watchdog_stop(http_watchdog *watchdog) {
    if (!watchdog) return;
    pthread_mutex_lock(&watchdog->lock);
    watchdog->stop = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->lock);
    pthread_join(watchdog->thread, NULL);
    release(watchdog);
}
