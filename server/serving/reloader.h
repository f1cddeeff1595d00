/* reloader.h - reloads dictionaries on a thread of its own: when asked to, so that whoever asks need not
 * wait, and, if it watches, when their files change.
 *
 * Fusing a large checkpoint takes a while; the main thread meanwhile has signals to answer. Requests that
 * come while a reload runs become one more reload after it: the files may have changed since they were read.
 *
 * Thread safety: any thread may ask; start and stop belong to one.
 */
#ifndef RASAED_SERVING_RELOADER_H
#define RASAED_SERVING_RELOADER_H

#include "serving/registry/registry.h"

typedef struct reloader reloader;

/* How often a watching reloader looks at the files: a change is taken at the second look that finds it. */
enum { RELOADER_WATCH_MS = 500 };

typedef struct reloader_options {
    unsigned watch_ms; /* between two looks at the files; 0: only when asked */
    void (*begins)(
        void); /* before what was asked for, on the reloader's thread; NULL: nobody wants to know */
    void (*ends)(size_t failed, size_t count); /* and after it */
} reloader_options;

ra_status reloader_start(registry *dictionaries, const reloader_options *options, reloader **out,
                         ra_error *err);
void reloader_ask(reloader *worker);

/* Frees it once the reload that runs is over. False when that is not within `seconds`: then the thread, and
 * what it uses, must be left to the end of the process. NULL is fine. */
bool reloader_stop(reloader *worker, unsigned seconds);

#endif
