/* deferred.h - requests that a compute thread answers while their connection waits.
 *
 *     if (http_defer(deferrals, exchange, connection, home, descriptor)) ... suspend the connection ...
 *     http_deferrals_check(deferrals, http_now());         called several times a second
 *     http_deferrals_end(deferrals);                       settles all requests; further ones are refused
 *
 * A deferred exchange is settled exactly once, by the first of these: the compute thread with the answer, the
 * check at the deadline or after the client has hung up, the end of the server. Then resume() is called, by the
 * thread that settled it, and leaves word for the thread of the connection, which goes on with it when it is
 * ready. http_exchange_reply() says what to send. A compute thread that comes too late skips the
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
    uint64_t deadline; /* microseconds from the end of the body to the answer */
    /* Called once for each exchange, from any thread, without locks held; its deferral has what http_defer()
     * was given. It may come before http_defer() returns. */
    void (*resume)(http_exchange *exchange);
} http_deferrals_options;

http_deferrals *http_deferrals_new(const http_deferrals_options *options); /* NULL: out of memory */
void http_deferrals_release(http_deferrals *list); /* freed with the last exchange; NULL is fine */

/* The exchange is complete (http_exchange_received()). False when the queue is full or memory is short; then
 * the response is filled. */
bool http_defer(http_deferrals *list, http_exchange *exchange, void *connection, void *home, int descriptor);

/* The connection no longer needs the exchange, deferred or not. */
void http_deferred_give(http_exchange *exchange);

void http_deferrals_check(http_deferrals *list, uint64_t now);
size_t http_deferrals_end(http_deferrals *list); /* how many it settled */
size_t http_deferrals_count(http_deferrals *list);

#endif
