/* acceptor.h - a thread that accepts connections, as long as there is room for them, and hands each to the I/O
 * thread that has the fewest.
 *
 *     http_acceptor *acceptor = NULL;
 *     RA_TRY(http_acceptor_start(&options, &acceptor, err));
 *     http_acceptor_closed(acceptor, connection);      a connection has ended: there is room for another one
 *     http_acceptor_stop(acceptor);                    no new connections
 *     http_acceptor_free(acceptor);
 *
 * When all connections are taken, further ones wait in the system's queue. After HTTP_FULL_US of that, some are
 * accepted all the same, as spare ones: these are answered only what is vital (exchange.h), once, and are cut when they
 * are not quick; the log warns of it, once per minute at most. A client that has all that it may have (clients.h) gets no
 * other: the connection is closed at once.
 *
 * Ownership: the listening socket is the acceptor's from the call of start on, even when that fails. Thread safety:
 * any thread may report closed connections; the others belong to one thread.
 */
#ifndef RASAED_HTTP_ACCEPTOR_H
#define RASAED_HTTP_ACCEPTOR_H

#include "http/clients.h"
#include "http/worker.h"

enum { HTTP_FULL_US = 200000 };

typedef struct http_acceptor http_acceptor;

typedef struct http_acceptor_options {
    int descriptor;        /* listening, not blocking */
    bool shared;           /* with other processes: it stays open for them when this one stops */
    http_worker **workers; /* [worker_count] they outlive the acceptor's thread */
    size_t worker_count;
    size_t max_connections; /* at least 1 */
    size_t spares;          /* beyond these; 0: none */
    http_clients *clients;  /* they outlive the acceptor */
} http_acceptor_options;

ra_status http_acceptor_new(const http_acceptor_options *options, http_acceptor **out, ra_error *err);
ra_status http_acceptor_start(http_acceptor *acceptor, ra_error *err);

void http_acceptor_closed(http_acceptor *acceptor, const http_connection *connection);

/* Accepts those that wait already, as far as there is room, so that no client is lost that was let in, and then no
 * more. New connections to a shared socket wait for the next process that listens on it. */
void http_acceptor_stop(http_acceptor *acceptor);
void http_acceptor_free(http_acceptor *acceptor); /* stops it first; NULL is fine */

size_t http_acceptor_connections(const http_acceptor *acceptor); /* at present, without the spare ones */

size_t http_acceptor_waiting(const http_acceptor *acceptor); /* in the system's queue */

#endif
