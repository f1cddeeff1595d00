/* seldom.h - for warnings about what may happen a thousand times per second: once per minute is enough.
 *
 *     static or shared:  seldom about = {0};
 *     size_t since;
 *     if (seldom_is_due(&about, &since)) ra_log(RA_LOG_WARNING, "%zu connections refused ...", since);
 *
 * Thread safety: any thread may ask.
 */
#ifndef RASAED_HTTP_SELDOM_H
#define RASAED_HTTP_SELDOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct seldom {
    _Atomic uint64_t last; /* 0: never */
    atomic_size_t since;   /* what it is about has happened so often since then */
} seldom;

/* It has happened. Whether it is time for the warning; *since <- how often since the last one, this one included. */
bool seldom_is_due(seldom *about, size_t *since);

#endif
