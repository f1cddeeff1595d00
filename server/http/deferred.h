/* deferred.h - requests that a compute thread answers while their connection waits.
 *
 *     if (http_defer(deferrals, exchange, connection, descriptor)) ... suspended: resume() will be called ...
 *     http_deferrals_check(deferrals, http_now());         called several times a second
 *     http_deferrals_end(deferrals);                       settles all requests; further ones are refused
 *
 * A deferred exchange is settled exactly once, by the first of these: the compute thread with the answer, the
 * check at the deadline or after the client has hung up, the end of the server. Then its connection is
 * resumed, and http_exchange_reply() says what to send. A compute thread that comes too late skips the
 * computation or drops the answer, and frees the exchange if the connection no longer needs it.
 *
 * A client that closes its side of the connection counts as gone, even if it would still read: the two cannot
 * be told apart.
 *
 * Thread safety: any thread may call any of these.
 */
#ifndef RASAED_HTTP_DEFERRED_H
#define RASAED_HTTP_DEFERRED_H

#include "http/exchange.h"

typedef struct http_deferrals http_deferrals;

typedef struct http_deferrals_options {
    const http_service *service;
    uint64_t deadline;                 /* microseconds from the end of the body to the answer */
    void (*suspend)(void *connection); /* before the exchange leaves this thread */
    void (*resume)(void *connection);  /* from any thread, without locks held */
} http_deferrals_options;

http_deferrals *http_deferrals_new(const http_deferrals_options *options); /* NULL: out of memory */
void http_deferrals_release(http_deferrals *list); /* freed with the last exchange; NULL is fine */

/* The exchange is complete (http_exchange_received()). False when the queue is full or memory is short; then
 * the response is filled. */
bool http_defer(http_deferrals *list, http_exchange *exchange, void *connection, int descriptor);

/* The connection no longer needs the exchange, deferred or not. */
void http_deferred_give(http_exchange *exchange);

void http_deferrals_check(http_deferrals *list, uint64_t now);
size_t http_deferrals_end(http_deferrals *list); /* how many it settled */
size_t http_deferrals_count(http_deferrals *list);

#endif
