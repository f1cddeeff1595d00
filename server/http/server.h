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
 * Ownership: the server owns the socket from the call of start on, also when that fails; the service must
 * outlive it. Thread safety: any thread may ask in_flight; the others belong to the thread that started it.
 */
#ifndef RASAED_HTTP_SERVER_H
#define RASAED_HTTP_SERVER_H

#include "http/exchange.h"

typedef struct http_server http_server;

typedef struct http_server_options {
    int descriptor;        /* bound by http_listener_open() */
    size_t threads;        /* I/O threads, at least 1 */
    unsigned idle_seconds; /* a connection without traffic for so long is closed */
    const http_service *service;
} http_server_options;

ra_status http_server_start(const http_server_options *options, http_server **server, ra_error *err);

void http_server_refuse(http_server *server);
size_t http_server_in_flight(const http_server *server); /* requests begun and not yet answered in full */
void http_server_stop(http_server *server);              /* ends every connection, frees; NULL is fine */

#endif
