/* engine.h - libmicrohttpd behind an interface of our own: it reads requests from connections and writes the
 * responses, on the thread that runs it. It has no thread and no listening socket of its own.
 *
 *     http_engine *engine = NULL;
 *     RA_TRY(http_engine_new(&options, &engine, err));
 *     for (;;) {
 *         ... wait until one of both descriptors can be read, at most http_engine_timeout(engine) ...
 *         ... http_engine_add(engine, connection) for new connections ...
 *         http_engine_run(engine);
 *     }
 *     http_engine_free(engine);
 *
 * Ownership: the engine owns the connections that it is given, and their descriptors; what the options point
 * to must outlive it. Thread safety: everything belongs to one thread, but new() may be called by another one
 * before; any thread may ask how many requests are in flight.
 */
#ifndef RASAED_HTTP_ENGINE_H
#define RASAED_HTTP_ENGINE_H

#include "http/clients.h"
#include "http/connections.h"
#include "http/deferred.h"
#include "http/exchange.h"
#include "http/tls.h"

typedef struct http_engine http_engine;

typedef struct http_engine_options {
    unsigned idle_seconds; /* closes a connection after so long without traffic */
    bool admin;            /* marks requests as from the address for administration */
    const http_tls *tls;   /* NULL or without certificate: plain http; only used by new() */
    const http_service *service;
    http_capacity *capacity;       /* of requests at once */
    atomic_size_t *refused;        /* counts requests that were refused because all connections are taken */
    http_clients *clients;         /* NULL: nobody is counted or named by a proxy */
    http_capacity *bodies;         /* of bytes of bodies; NULL: no limit */
    http_connections *connections; /* those of this thread: the engine removes what it closes */
    http_deferrals *deferrals;
    void *home; /* given to deferrals.resume() with each exchange, in its deferral */
    void (*closed)(void *context, const http_connection *connection); /* about to be removed */
    void *context;
} http_engine_options;

ra_status http_engine_new(const http_engine_options *options, http_engine **out, ra_error *err);

/* Ends every connection; no exchange may be suspended. Nothing but questions and free() may follow. */
void http_engine_close(http_engine *engine);
void http_engine_free(http_engine *engine); /* closes it first; NULL is fine */

int http_engine_descriptor(const http_engine *engine); /* for poll(): can be read when there is work */
int http_engine_second_descriptor(
    const http_engine *engine);                     /* the same, for connections that linger; -1: none now */
int http_engine_timeout(const http_engine *engine); /* milliseconds until there is work anyway; -1: none */
void http_engine_run(http_engine *engine);          /* does what there is to do; never waits */

/* The connection is in the table already. When that fails, it is closed and removed. */
void http_engine_add(http_engine *engine, http_connection *connection);

/* A suspended exchange of this engine is settled: its connection goes on with the next run. */
void http_engine_resume(http_engine *engine, http_exchange *exchange);

size_t http_engine_suspended(const http_engine *engine);
size_t http_engine_owed(const http_engine *engine);      /* resumed, and not answered in full */
size_t http_engine_in_flight(const http_engine *engine); /* begun, and not answered in full */

#endif
