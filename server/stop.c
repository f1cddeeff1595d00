/* Only signals from outside count as signals: a device that is lost asks for a stop, and the SIGTERM with which a
 * supervisor then answers is the first one, so the status that tells why stays. */
#include "stop.h"
#include "http/exchange.h"
#include "signals.h"
#include "telemetry/log.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_DEVICE = 3, LOG_END_MS = 500 };

static const struct {
    const char *text;
    int status;    /* when everything was given back, or the time was over */
    int at_once;   /* when a second signal ends it */
    bool signaled; /* it is a signal itself */
} causes[] = {
    [STOP_NOT_ASKED] = {"nothing", EXIT_SUCCESS, EXIT_FAILURE, false},
    [STOP_SIGTERM] = {"SIGTERM", EXIT_SUCCESS, EXIT_FAILURE, true},
    [STOP_SIGINT] = {"SIGINT", EXIT_SUCCESS, EXIT_FAILURE, true},
    [STOP_DEVICE] = {"no device", EXIT_DEVICE, EXIT_DEVICE, false},
    [STOP_FAILED] = {"a failed start", EXIT_FAILURE, EXIT_FAILURE, false},
};

static atomic_int strongest, signals_seen;

void stop_ask(stop_cause cause) {
    int before = atomic_load(&strongest);
    if (causes[cause].signaled) atomic_fetch_add(&signals_seen, 1);
    while (before < (int)cause && !atomic_compare_exchange_weak(&strongest, &before, (int)cause)) continue;
    if (!causes[cause].signaled) signals_wake();
}

stop_cause stop_cause_now(void) {
    return (stop_cause)atomic_load(&strongest);
}

const char *stop_cause_text(stop_cause cause) {
    return causes[cause].text;
}

int stop_status(void) {
    return causes[stop_cause_now()].status;
}

int stop_status_at_once(void) {
    return causes[stop_cause_now()].at_once;
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

static void pause_stop(void) {
    int signal = signals_pause();
    if (signal == SIGNALS_WOKEN) return;
    stop_ask(signal == SIGTERM ? STOP_SIGTERM : STOP_SIGINT);
    if (atomic_load(&signals_seen) < 2) return;
    ra_log(RA_LOG_WARNING, "a second signal: stopping at once");
    log_flush(LOG_END_MS);
    _exit(stop_status_at_once());
}

static uint64_t in_seconds(size_t seconds) {
    return http_now() + (uint64_t)seconds * 1000000;
}

void stop_delay(size_t seconds) {
    for (uint64_t end = in_seconds(seconds); http_now() < end;) pause_stop();
}

static size_t all_left(const stop_count *counts, size_t count) {
    size_t left = 0;
    for (size_t i = 0; i < count; i++) left += counts[i].left(counts[i].context);
    return left;
}

bool stop_drain(const stop_count *counts, size_t count, size_t seconds) {
    for (uint64_t end = in_seconds(seconds); all_left(counts, count) > 0;) {
        pause_stop();
        if (http_now() < end) continue;
        for (size_t i = 0; i < count; i++) {
            size_t left = counts[i].left(counts[i].context);
            if (left > 0)
                ra_log(RA_LOG_WARNING, "%zu %s were not done within %zu s", left, counts[i].what, seconds);
        }
        return false;
    }
    return true;
}
