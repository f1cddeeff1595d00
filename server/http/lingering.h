/* lingering.h - connections that the server has closed for writing while their clients still send.
 *
 * When a socket is closed that has bytes nobody read, the system resets the connection, and the client loses an
 * answer that it has not read yet. So these sockets stay open until the client closes its side: what it sends is
 * discarded in the kernel, without a copy, up to HTTP_LINGER_BYTES, HTTP_LINGER_SILENCE_US without a byte, and
 * HTTP_LINGER_US in all.
 *
 *     http_lingering *lingering = http_lingering_new(connections, over, context);
 *     http_lingering_take(lingering, connection);            it is closed for writing from now on
 *     ... wait until http_lingering_descriptor(lingering) can be read, 0.1 seconds at most ...
 *     http_lingering_run(lingering, http_now());             calls over() for each that is at its end
 *     http_lingering_free(lingering);
 *
 * Ownership: it holds a descriptor of its own for each connection, and over() removes the connection. Thread safety: all
 * of it belongs to one thread.
 */
#ifndef RASAED_HTTP_LINGERING_H
#define RASAED_HTTP_LINGERING_H

#include "http/connections.h"

enum { HTTP_LINGER_BYTES = 128 << 20, HTTP_LINGER_US = 10000000, HTTP_LINGER_SILENCE_US = 3000000 };

typedef struct http_lingering http_lingering;

typedef void http_lingering_over(void *context, http_connection *connection);

/* NULL: out of memory or descriptors; errno says which. */
http_lingering *http_lingering_new(http_connections *connections, http_lingering_over *over, void *context);
void http_lingering_free(http_lingering *lingering); /* ends all of them; NULL is fine */

/* The descriptor of the connection is about to be closed. False: it cannot linger, and still belongs to the caller. */
bool http_lingering_take(http_lingering *lingering, http_connection *connection);

int http_lingering_descriptor(const http_lingering *lingering); /* for poll(); -1: none lingers now */
void http_lingering_run(http_lingering *lingering, uint64_t now);

#endif
