/* worker.h - an I/O thread: it serves its own connections from start to end, and no other thread touches them.
 *
 *     http_worker *worker = NULL;
 *     RA_TRY(http_worker_start(&options, &worker, err));
 *     http_worker_take(worker, connection);                a new connection for it
 *     http_worker_resume(exchange);                        a deferred exchange of one of its connections is settled
 *     ...
 *     http_worker_end(worker);                             then the others
 *     http_worker_join(worker);
 *     http_worker_free(worker);
 *
 * Others only leave word in its mailbox. Each turn of its loop, at least HTTP_TICK_US apart, it notes the time,
 * so that anybody can see how long its connections have waited.
 *
 * Thread safety: any thread may take, resume and ask; start, end and free belong to one.
 */
#ifndef RASAED_HTTP_WORKER_H
#define RASAED_HTTP_WORKER_H

#include "http/engine.h"

enum { HTTP_TICK_US = 100000 };

typedef struct http_worker http_worker;

typedef struct http_worker_options {
    http_engine_options engine; /* but connections and home, which the worker has */
    unsigned header_seconds;    /* of http_connections_new() */
} http_worker_options;

ra_status http_worker_start(const http_worker_options *options, http_worker **out, ra_error *err);

void http_worker_take(http_worker *worker, http_connection *connection); /* it owns the connection now */
void http_worker_resume(http_exchange *exchange); /* exchange->deferral.home is the worker */

size_t http_worker_connections(http_worker *worker); /* with those that it has not looked at yet */
void http_worker_phases(http_worker *worker, size_t counts[HTTP_PHASES]); /* adds to the counts */
size_t http_worker_in_flight(const http_worker *worker);
size_t http_worker_expecting(http_worker *worker, uint64_t now); /* http_connections_expecting() */

/* How many microseconds its connections have waited for it: now, or, if that was longer, at the worst in the
 * last HTTP_LAG_MEMORY_US to twice as many. */
enum { HTTP_LAG_MEMORY_US = 15000000 };
uint64_t http_worker_lag_now(const http_worker *worker, uint64_t now);
uint64_t http_worker_lag_worst(const http_worker *worker, uint64_t now);

/* Asks it to end: once no exchange is suspended and the answers to those that were are sent, or half a second
 * has passed for these. All exchanges are settled by now, or will be soon. */
void http_worker_end(http_worker *worker);
void http_worker_join(http_worker *worker); /* waits for the end; all connections are closed then */
void http_worker_free(http_worker *worker); /* ends it first; NULL is fine */

#endif
