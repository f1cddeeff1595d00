/* ticker.h - a thread that does the same work again and again, by the clock or when asked.
 *
 *     ticker *clock = NULL;
 *     RA_TRY(ticker_start(&options, &clock, err));
 *     ticker_ask(clock);                     as soon as possible; several requests become one
 *     ticker_stop(clock, TICKER_FOREVER);
 *
 * Thread safety: any thread may ask; start and stop belong to one.
 */
#ifndef RASAED_HTTP_TICKER_H
#define RASAED_HTTP_TICKER_H

#include "ra_status.h"

#include <stdbool.h>
#include <stdint.h>

enum { TICKER_FOREVER = 0 };

typedef struct ticker ticker;

typedef struct ticker_options {
    const char *name;                        /* in messages; a constant */
    const char *thread;                      /* what the system calls its thread: 15 characters at most */
    uint64_t every_us;                       /* microseconds between two runs; 0: only when asked */
    void (*work)(void *context, bool asked); /* asked: by ticker_ask(), not by the clock */
    void *context;
} ticker_options;

/* With a clock, the first run comes at once. */
ra_status ticker_start(const ticker_options *options, ticker **out, ra_error *err);
void ticker_ask(ticker *clock);

/* Frees it when the current run is over. False when that takes longer than `seconds`: then the thread, and
 * all that it uses, must be left to the end of the process. NULL is fine. */
bool ticker_stop(ticker *clock, unsigned seconds);

#endif
