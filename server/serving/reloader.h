/* reloader.h - reloads dictionaries on a thread of its own: when asked, so that the caller does not wait,
 * and, if it watches, when their files change.
 *
 * Fusing a large checkpoint takes a while; meanwhile the main thread has to answer signals. Requests that
 * arrive during a reload become one more reload after it: the files may have changed since they were read.
 *
 * Thread safety: any thread may ask; start and stop belong to one.
 */
#ifndef RASAED_SERVING_RELOADER_H
#define RASAED_SERVING_RELOADER_H

#include "serving/registry/registry.h"

typedef struct reloader reloader;

/* How often a watching reloader looks at the files; it reloads at the second look that finds the same
 * change. */
enum { RELOADER_WATCH_MS = 500 };

typedef struct reloader_options {
    unsigned watch_ms;    /* between two looks at the files; 0: only when asked */
    void (*begins)(void); /* before a reload that was asked for, on its thread; may be NULL */
    void (*ends)(size_t failed, size_t count); /* after it */
} reloader_options;

ra_status reloader_start(registry *dictionaries, const reloader_options *options, reloader **out,
                         ra_error *err);
void reloader_ask(reloader *worker);

/* Frees it when the current reload is over. False when that takes longer than `seconds`: then the thread, and
 * all that it uses, must be left to the end of the process. NULL is fine. */
bool reloader_stop(reloader *worker, unsigned seconds);

#endif
