/* connections.h - the open connections, and a clock for each of them.
 *
 * The HTTP library closes a connection that is silent, but one that sends a byte now and then it keeps for
 * ever. So each connection has a phase, and each phase a limit:
 *
 *     PHASE_IDLE     between requests: none here, silence is the library's to judge; a request's first byte
 *                   starts the clock of its head
 *     PHASE_HEAD     the first line is there: the whole head within header_seconds of its first byte
 *     PHASE_BODY     the body: at least HTTP_LEAST_RATE bytes a second, looked at once every header_seconds
 *     PHASE_ANSWER   the server's own time
 *     PHASE_SENDING  the reply: the same least rate, in bytes that the client has acknowledged
 *
 * http_connections_check() cuts those that are over theirs: both directions are shut down, and the library
 * finds the connection closed.
 *
 * Ownership: the table owns its connections; the descriptor stays open until http_connections_remove().
 * Thread safety: any thread may add, remove and check; a connection's phase is its I/O thread's to set.
 */
#ifndef RASAED_HTTP_CONNECTIONS_H
#define RASAED_HTTP_CONNECTIONS_H

#include "http/http.h"

enum { HTTP_LEAST_RATE = 512, HTTP_FIRST_REQUEST_US = 1000000 };

typedef enum http_phase { PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_ANSWER, PHASE_SENDING } http_phase;

typedef struct http_connections http_connections;

typedef struct http_connection {
    int descriptor;
    int thread;                    /* the I/O thread's; set by who adds it */
    char client[HTTP_CLIENT_SIZE]; /* its address in numbers */
    /* private */
    atomic_uint turn; /* which phase, and the how many-th: grows with every change */
    atomic_size_t received;
    uint64_t made;       /* when it was added */
    unsigned seen;       /* the turn that the clock below belongs to */
    uint64_t since;      /* when the clock was started, 0: it is not running */
    uint64_t head_since; /* the same for the head, which begins in PHASE_IDLE */
    uint64_t bytes;      /* that had passed by then */
    bool cut;
    struct http_connection *before, *after;
} http_connection;

http_connections *http_connections_new(unsigned header_seconds); /* NULL: out of memory */
void http_connections_free(http_connections *table);             /* when it is empty; NULL is fine */

/* NULL: out of memory. `thread` is the number of the I/O thread that will serve it. */
http_connection *http_connections_add(http_connections *table, int descriptor, int thread);
void http_connections_remove(http_connections *table, http_connection *connection);

void http_connection_enter(http_connection *connection, http_phase phase);
void http_connection_received(http_connection *connection, size_t bytes); /* of a body */

/* The one connection of a thread that is in PHASE_HEAD; NULL when there is none or several. */
http_connection *http_connections_lone_head(http_connections *table, int thread);

/* Cuts the late ones; returns how many. `now` is http_now(). */
size_t http_connections_check(http_connections *table, uint64_t now);
size_t http_connections_count(http_connections *table);

/* Those whose next request is under way: bytes have come that nobody has read yet, or the connection was made
 * so short a time ago (HTTP_FIRST_REQUEST_US) that its first must be. To close these would lose a request
 * whose client was let in. */
size_t http_connections_expecting(http_connections *table, uint64_t now);

#endif
