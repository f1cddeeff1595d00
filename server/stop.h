/* stop.h - why the server ends, when it may, and with which status.
 *
 * A cause is a value that any thread may set: the strongest one counts, and the main thread hears of it. What has begun
 * and is not given back yet is counted, by the part that counts it; a stop waits until all counts are zero.
 *
 *     stop_ask(STOP_DEVICE);                              any thread
 *     while (stop_cause_now() == STOP_NOT_ASKED) ...      the main thread, in signals_wait()
 *     stop_drain(under_way, n, seconds);
 *     exit(stop_status());
 *
 * Thread safety: any thread may ask and be told; drain belongs to the main thread.
 */
#ifndef RASAED_STOP_H
#define RASAED_STOP_H

#include <stdbool.h>
#include <stddef.h>

/* From the weakest to the strongest. */
typedef enum stop_cause { STOP_NOT_ASKED, STOP_SIGTERM, STOP_SIGINT, STOP_DEVICE, STOP_FAILED } stop_cause;

void stop_ask(stop_cause cause); /* wakes the main thread */
stop_cause stop_cause_now(void);
const char *stop_cause_text(stop_cause cause);

/* The exit status for the causes until now; and when the process ends before everything is given back, because a second
 * signal asked for it. Safe in a signal handler. */
int stop_status(void);
int stop_status_at_once(void);

/* Something that has begun and is not given back. */
typedef struct stop_count {
    const char *what; /* "requests" */
    size_t (*left)(void *context);
    void *context;
} stop_count;

/* Waits until nothing is left, at most so many seconds of a clock that is never set; true when nothing is. A signal that
 * is the first one, after a cause that was none, changes nothing; the second ends the process. */
bool stop_drain(const stop_count *counts, size_t count, size_t seconds);

/* Waits so many seconds, or until a second signal ends the process. */
void stop_delay(size_t seconds);

#endif
