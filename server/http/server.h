/* server.h - an address that is served: an acceptor, I/O threads, and what they share.
 *
 *     http_server *server = NULL;
 *     RA_TRY(http_server_start(&(http_server_options){.descriptor = fd, .threads = 2, .service = &service},
 *                              &server, err));
 *     ...
 *     http_server_refuse(server);                  no new connections
 *     while (http_server_in_flight(server)) ...    let the requests finish
 *     http_server_stop(server);
 *     http_server_free(server);
 *
 * Heavy requests are answered on the threads of service->submit() while their connections are suspended
 * (deferred.h). I/O threads cut what is too slow (connections.h); a thread of the server ends what is too late.
 *
 * Ownership: the server owns the socket from the call of start on, even when that fails. The service must
 * outlive it, and the jobs that it was given must be over before the service goes. Thread safety: any thread
 * may ask, until free; the other functions belong to the thread that started the server.
 */
#ifndef RASAED_HTTP_SERVER_H
#define RASAED_HTTP_SERVER_H

#include "http/exchange.h"
#include "http/proxies.h"
#include "http/tls.h"

typedef struct http_server http_server;

typedef struct http_server_options {
    int descriptor;              /* bound by http_listener_open(), or from http_listener_adopt() */
    bool shared;                 /* with other processes: refusing leaves the socket listening for them */
    size_t threads;              /* I/O threads, at least 1 */
    unsigned idle_seconds;       /* closes a connection after so long without traffic */
    unsigned header_seconds;     /* from the first byte of a request to the end of its head */
    size_t deadline_ms;          /* from the last byte of a request to its answer, if deferred */
    size_t max_connections;      /* at least 1 */
    size_t spares;               /* connections beyond these, for what is vital; 0: none */
    size_t max_per_address;      /* connections of one client, or its requests through proxies; 0: no limit */
    const http_proxies *proxies; /* that are trusted to name their clients; NULL: none */
    size_t max_in_flight;        /* requests at once that are not vital; 0: no limit */
    http_capacity *bodies;       /* bytes of bodies at once, of all addresses; NULL: no limit */
    bool admin;                  /* marks requests as from the address for administration */
    const http_tls *tls;         /* NULL or without certificate: plain http; only used during start */
    const http_service *service;
} http_server_options;

ra_status http_server_start(const http_server_options *options, http_server **server, ra_error *err);

/* New connections to a shared socket wait for the next process that listens on it. */
void http_server_refuse(http_server *server);

/* Requests that have begun and are not answered in full, and requests that are on the way on open connections
 * (http_connections_expecting()). */
size_t http_server_in_flight(const http_server *server);
size_t http_server_connections(const http_server *server);

/* How many connections are in each state; these have names for the metrics. One that waits is not accepted yet. */
enum { HTTP_STATES = 7 };
extern const char *const http_server_states[HTTP_STATES];
void http_server_count_states(const http_server *server, size_t counts[HTTP_STATES]);

/* Connections of addresses that had all that they may have; requests on spare connections. */
size_t http_server_refused(const http_server *server);
size_t http_server_refused_when_full(const http_server *server);
size_t http_server_requests(const http_server *server); /* that count in max_in_flight */

/* How many microseconds the connections of the I/O thread that is the latest have waited for it until now. */
uint64_t http_server_lag(const http_server *server);

/* The same of each I/O thread, at the worst in the last while (worker.h). */
size_t http_server_threads(const http_server *server);
uint64_t http_server_lag_of(const http_server *server, size_t thread);

/* Answers what waits for a computation with 503, then ends every connection and thread. NULL is fine. */
void http_server_stop(http_server *server);
void http_server_free(http_server *server); /* stops it first; NULL is fine */

#endif
