/* deferred.h - requests whose answer is made on a compute thread while their connection waits.
 *
 *     if (http_defer(deferrals, exchange, connection, descriptor)) ... suspended: resume() will be called ...
 *     http_deferrals_check(deferrals, http_now());         a watchdog, now and then
 *     http_deferrals_end(deferrals);                       nobody is left waiting; new ones are refused
 *
 * A deferred exchange is settled exactly once, by whoever is first: the compute thread with the answer, the
 * watchdog at the deadline or when the client has hung up, the end of the server. Then its connection is
 * resumed, and http_exchange_reply() says what to send. A compute thread that comes too late finds that out,
 * computes nothing or throws its answer away, and frees the exchange if the connection is done with it.
 *
 * A client that closes its side of the connection is taken for gone, also if it would still read: nothing
 * tells the two apart.
 *
 * Thread safety: any thread may call any of these.
 */
#ifndef RASAED_HTTP_DEFERRED_H
#define RASAED_HTTP_DEFERRED_H

#include "http/exchange.h"

typedef struct http_deferrals http_deferrals;

typedef struct http_deferrals_options {
    const http_service *service;
    uint64_t deadline;                 /* microseconds from the last byte of the body to the answer */
    void (*suspend)(void *connection); /* before the exchange leaves this thread */
    void (*resume)(void *connection);  /* from any thread, without locks held */
} http_deferrals_options;

http_deferrals *http_deferrals_new(const http_deferrals_options *options); /* NULL: out of memory */
void http_deferrals_release(http_deferrals *waiting); /* freed with the last exchange; NULL is fine */

/* The exchange is complete (http_exchange_received()). False: the response is filled instead, because the
 * queue is full or memory short. */
bool http_defer(http_deferrals *waiting, http_exchange *exchange, void *connection, int descriptor);

/* The connection is done with the exchange, deferred or not. */
void http_deferred_give(http_exchange *exchange);

void http_deferrals_check(http_deferrals *waiting, uint64_t now);
size_t http_deferrals_end(http_deferrals *waiting); /* how many were given up */
size_t http_deferrals_count(http_deferrals *waiting);

#endif
