/* server.h - connections and I/O threads: libmicrohttpd behind a door of our own.
 *
 *     http_server *server = NULL;
 *     RA_TRY(http_server_start(&(http_server_options){.descriptor = fd, .threads = 2, .service = &service},
 *                              &server, err));
 *     ...
 *     http_server_refuse(server);                  no new connections
 *     while (http_server_in_flight(server)) ...    let what has begun finish
 *     http_server_stop(server);
 *
 * Requests that take long are answered on the threads of service->submit(), while their connections are
 * suspended (deferred.h); what is too slow or too late is found by a thread of the server (watchdog.h).
 *
 * Ownership: the server owns the socket from the call of start on, also when that fails; the service must
 * outlive it, and the jobs that it was given must be run or over before the service goes. Thread safety: any
 * thread may ask in_flight; the others belong to the thread that started it.
 */
#ifndef RASAED_HTTP_SERVER_H
#define RASAED_HTTP_SERVER_H

#include "http/exchange.h"
#include "http/tls.h"

typedef struct http_server http_server;

typedef struct http_server_options {
    int descriptor;          /* bound by http_listener_open(), or from http_listener_adopt() */
    bool shared;             /* others have the socket, too: refusing leaves it listening, for them */
    size_t threads;          /* I/O threads, at least 1 */
    unsigned idle_seconds;   /* a connection without traffic for so long is closed */
    unsigned header_seconds; /* from the first byte of a request to the end of its head */
    size_t deadline_ms;      /* from the last byte of a request to its answer, when that is deferred */
    size_t max_connections;  /* 0: as many as there may be open files */
    size_t max_per_address;  /* connections of one client; 0: no limit */
    size_t max_in_flight;    /* requests at once that are not vital; 0: no limit */
    bool admin;              /* the address for administration: requests are marked so */
    const http_tls *tls;     /* NULL or without certificate: plain http; needed until the start is over */
    const http_service *service;
} http_server_options;

ra_status http_server_start(const http_server_options *options, http_server **server, ra_error *err);

/* A shared socket's new connections then wait for whoever listens on it next. */
void http_server_refuse(http_server *server);

/* A connection that comes from this process, past the socket: our side of it, which the caller closes, and
 * whether it speaks TLS. -1 with errno; ENFILE: it has all the connections that it may have. */
int http_server_join(http_server *server, bool *secure);

/* Requests begun and not yet answered in full, and those that are on their way on connections that were let
 * in (http_connections_expecting()). */
size_t http_server_in_flight(const http_server *server);
size_t http_server_connections(const http_server *server);
void http_server_stop(http_server *server); /* ends every connection, frees; NULL is fine */

#endif
