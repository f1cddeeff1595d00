/* reloader.h - the thread that loads, unloads and frees dictionaries: one queue, in the order of asking.
 *
 * Fusing a large checkpoint takes a while, and so does giving back the memory of one; neither an I/O thread nor a
 * compute thread may spend that time, and the main thread has to answer signals. Requests for a reload, a load or an
 * unload are jobs of this thread, without a deadline: what is answered with "try again" has not happened. Those that wait
 * for the same dictionary are joined (registry_reload_since()). Generations that nobody holds any more are freed between two
 * jobs. A reload of everything (SIGHUP), asked for several times while it waits, becomes one.
 *
 * Thread safety: any thread may submit and ask; start and stop belong to one.
 */
#ifndef RASAED_SERVING_RELOADER_H
#define RASAED_SERVING_RELOADER_H

#include "serving/registry/registry.h"

typedef struct reloader reloader;
typedef void reloader_job(void *argument);

/* How often a watching reloader looks at the files; it reloads at the second look that finds the same
 * change. */
enum { RELOADER_WATCH_MS = 500 };

typedef struct reloader_options {
    size_t queue;                  /* jobs that may wait; 0: none */
    unsigned watch_ms;             /* between two looks at the files; 0: only when asked */
    void (*looks)(void *context);  /* beside each look at the files; may be NULL */
    void (*begins)(void *context); /* before a reload of everything, on this thread; may be NULL */
    void (*ends)(void *context, size_t failed, size_t count); /* after it; may be NULL */
    void *context;
} reloader_options;

ra_status reloader_start(registry *dictionaries, const reloader_options *options, reloader **out,
                         ra_error *err);

/* Runs the job on this thread, after those that wait; false when the queue is full or it stops. */
bool reloader_submit(reloader *worker, reloader_job *job, void *argument);
size_t reloader_waiting(reloader *worker); /* jobs that wait or run */

/* Reloads everything, as SIGHUP does. */
void reloader_ask(reloader *worker);

/* Runs the jobs that wait, which know that the server ends, and frees it. False when that takes longer than `seconds`:
 * then the thread, and all that it uses, must be left to the end of the process. NULL is fine. */
bool reloader_stop(reloader *worker, unsigned seconds);

#endif
