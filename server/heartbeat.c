#include "heartbeat.h"
#include "http/probe.h"
#include "ra_memory.h"
#include "supervise.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { BEATS = 3, MILLION = 1000000, LONGEST_PROBE = 60, LEAST_US = 1000 };

struct heartbeat {
    http_server *server;
    uint64_t every_us;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
};

/* A server with all the connections that it may have is not one that hangs: it turns the new one away. */
static ra_status ask(const heartbeat *beating, ra_error *err) {
    uint64_t seconds = beating->every_us / MILLION;
    bool secure;
    int descriptor = http_server_join(beating->server, &secure);
    if (descriptor < 0 && errno == ENFILE) return RA_OK;
    if (descriptor < 0) RA_FAIL(err, RA_ERR_IO, "no connection: %s", strerror(errno));
    return http_probe_over(descriptor, secure, "the server", "/health/live",
                           seconds < 1               ? 1
                           : seconds > LONGEST_PROBE ? LONGEST_PROBE
                                                     : (unsigned)seconds,
                           err);
}

static void beat(const heartbeat *beating) {
    ra_error why = {0};
    if (ask(beating, &why) == RA_OK)
        supervise_tell("WATCHDOG=1");
    else
        ra_log(RA_LOG_ERROR, "the service manager is not told that all is well: %s", why.message);
}

/* With the lock held. */
static void rest(heartbeat *beating) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(beating->every_us / MILLION);
    until.tv_nsec += (long)(beating->every_us % MILLION) * 1000;
    if (until.tv_nsec >= 1000 * MILLION) {
        until.tv_nsec -= 1000 * MILLION;
        until.tv_sec++;
    }
    while (!beating->stop && pthread_cond_timedwait(&beating->wake, &beating->lock, &until) == 0) continue;
}

static void *work(void *argument) {
    heartbeat *beating = argument;
    pthread_mutex_lock(&beating->lock);
    while (!beating->stop) {
        pthread_mutex_unlock(&beating->lock);
        beat(beating);
        pthread_mutex_lock(&beating->lock);
        rest(beating);
    }
    pthread_mutex_unlock(&beating->lock);
    return NULL;
}

static void release(heartbeat *beating) {
    pthread_cond_destroy(&beating->wake);
    pthread_mutex_destroy(&beating->lock);
    ra_free(beating);
}

ra_status heartbeat_start(http_server *server, uint64_t within_us, heartbeat **out, ra_error *err) {
    if (!within_us) return RA_OK;
    heartbeat *beating = ra_calloc(1, sizeof *beating);
    if (!beating) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the heartbeat");
    beating->server = server;
    beating->every_us = within_us / BEATS > LEAST_US ? within_us / BEATS : LEAST_US;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&beating->lock, NULL);
    pthread_cond_init(&beating->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failure = pthread_create(&beating->thread, NULL, work, beating);
    if (failure) {
        release(beating);
        RA_FAIL(err, RA_ERR_MEMORY, "the heartbeat's thread did not start: %s", strerror(failure));
    }
    *out = beating;
    return RA_OK;
}

void heartbeat_stop(heartbeat *beating) {
    if (!beating) return;
    pthread_mutex_lock(&beating->lock);
    beating->stop = true;
    pthread_cond_signal(&beating->wake);
    pthread_mutex_unlock(&beating->lock);
    pthread_join(beating->thread, NULL);
    release(beating);
}
