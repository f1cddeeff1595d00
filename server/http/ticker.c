#include "http/ticker.h"
#include "http/join.h"
#include "ra_memory.h"

#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { MILLION = 1000000 };

struct ticker {
    ticker_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool asked, stop;
};

/* With the lock held. */
static void sleep_until_due(ticker *clock) {
    struct timespec until;
    uint64_t every = clock->options.every_us;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(every / MILLION);
    until.tv_nsec += (long)(every % MILLION) * 1000;
    until.tv_sec += until.tv_nsec / (1000 * MILLION);
    until.tv_nsec %= 1000 * MILLION;
    for (int due = 0; !due && !clock->stop && !clock->asked;)
        due = every ? pthread_cond_timedwait(&clock->wake, &clock->lock, &until)
                    : pthread_cond_wait(&clock->wake, &clock->lock);
}

static void *run(void *argument) {
    ticker *clock = argument;
    (void)prctl(PR_SET_NAME, clock->options.thread);
    pthread_mutex_lock(&clock->lock);
    if (!clock->options.every_us) sleep_until_due(clock);
    while (!clock->stop) {
        bool asked = clock->asked;
        clock->asked = false;
        pthread_mutex_unlock(&clock->lock);
        clock->options.work(clock->options.context, asked);
        pthread_mutex_lock(&clock->lock);
        sleep_until_due(clock);
    }
    pthread_mutex_unlock(&clock->lock);
    return NULL;
}

static void release(ticker *clock) {
    pthread_cond_destroy(&clock->wake);
    pthread_mutex_destroy(&clock->lock);
    ra_free(clock);
}

ra_status ticker_start(const ticker_options *options, ticker **out, ra_error *err) {
    ticker *clock = ra_calloc(1, sizeof *clock);
    if (!clock) RA_FAIL_MEMORY(err, options->name, sizeof *clock);
    clock->options = *options;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&clock->lock, NULL);
    pthread_cond_init(&clock->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failure = pthread_create(&clock->thread, NULL, run, clock);
    if (failure) {
        release(clock);
        RA_FAIL(err, RA_ERR_MEMORY, "the thread of %s did not start: %s", options->name, strerror(failure));
    }
    *out = clock;
    return RA_OK;
}

void ticker_ask(ticker *clock) {
    pthread_mutex_lock(&clock->lock);
    clock->asked = true;
    pthread_cond_signal(&clock->wake);
    pthread_mutex_unlock(&clock->lock);
}

bool ticker_stop(ticker *clock, unsigned seconds) {
    if (!clock) return true;
    pthread_mutex_lock(&clock->lock);
    clock->stop = true;
    pthread_cond_signal(&clock->wake);
    pthread_mutex_unlock(&clock->lock);
    if (seconds == TICKER_FOREVER)
        pthread_join(clock->thread, NULL);
    else if (!join_within(clock->thread, (uint64_t)seconds * MILLION))
        return false;
    release(clock);
    return true;
}
