/* connections.h - the open connections, each with a clock.
 *
 * The HTTP library closes a silent connection, but a connection that sends a byte now and then it keeps
 * forever. So each connection is in a phase, and each phase has a limit:
 *
 *     PHASE_IDLE     between requests: no limit here, the library ends silence; the first byte of a request
 *                    starts the clock of its head
 *     PHASE_HEAD     the first line is read: the whole head within header_seconds of its first byte
 *     PHASE_BODY     the body: at least HTTP_LEAST_RATE bytes per second, measured over header_seconds
 *     PHASE_ANSWER   the server's own time
 *     PHASE_SENDING  the reply: the same rate, in bytes that the client has acknowledged
 *     PHASE_LINGERING  everything is sent, and the client still sends: lingering.h has the limits
 *
 * A spare connection has HTTP_SPARE_US for its one request.
 *
 * http_connections_check() cuts the connections that are over their limit: it shuts both directions down, and
 * the library finds the connection closed. It also cuts those whose client has closed its side in the middle of
 * a request and will never send the rest: the library does not see that when the end comes together with the
 * last bytes. Each call looks at a slice of the connections, so that no thread is kept from them for long.
 *
 * Each I/O thread has a table of its own connections. The acceptor adds to it, the I/O thread does the rest,
 * and the thread that stops the server asks.
 *
 * Ownership: the table owns its connections; the descriptor stays open until http_connections_remove().
 * Thread safety: any thread may add and ask; the others, and phases, belong to the I/O thread.
 */
#ifndef RASAED_HTTP_CONNECTIONS_H
#define RASAED_HTTP_CONNECTIONS_H

#include "http/http.h"

#include <sys/socket.h>

enum {
    HTTP_LEAST_RATE = 512,
    HTTP_FIRST_REQUEST_US = 1000000,
    HTTP_SPARE_US = 1000000,
    HTTP_NEXT_REQUEST_US = 200000
};

typedef enum http_phase {
    PHASE_IDLE,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_ANSWER,
    PHASE_SENDING,
    PHASE_LINGERING,
    HTTP_PHASES
} http_phase;

typedef struct http_connections http_connections;

/* For lingering.c. */
typedef struct http_linger {
    uint64_t since, heard; /* when it began, when the last byte came */
    size_t bytes;          /* thrown away */
    bool over;
} http_linger;

typedef struct http_connection {
    int descriptor;
    char client[HTTP_CLIENT_SIZE]; /* the address in numbers */
    struct sockaddr_storage peer;
    socklen_t peer_size;
    struct http_connection *next; /* for the thread that it is handed to */
    bool spare;                   /* beyond the limit; acceptor.h */
    bool proxy;                   /* of a trusted proxy; clients.h */
    bool lingers;                 /* the server ends it with its last answer, and the client may still send */
    http_linger lingering;
    /* private */
    atomic_uint turn; /* the phase, and a counter that grows with every change */
    atomic_size_t received;
    uint64_t made;           /* when it was added */
    _Atomic uint64_t rested; /* when its last answer was sent; 0: it had none */
    unsigned seen;           /* the turn that the clock below is for */
    uint64_t since;          /* when the clock started; 0: it is not running */
    uint64_t head_since;     /* the same for the head, which begins in PHASE_IDLE */
    uint64_t bytes;          /* the bytes that had passed by then */
    uint64_t ended; /* when a look first found the client's side closed in this turn; 0: it is open */
    bool cut;
    struct http_connection *before, *after;
} http_connection;

/* NULL: out of memory. */
http_connection *http_connection_new(int descriptor, const struct sockaddr *peer, socklen_t size);

http_connections *http_connections_new(unsigned header_seconds); /* NULL: out of memory */
void http_connections_free(http_connections *table);             /* empty by then; NULL is fine */

void http_connections_add(http_connections *table, http_connection *connection);
void http_connections_remove(http_connections *table, http_connection *connection); /* frees it */

/* The connection goes on with another descriptor, in PHASE_LINGERING. */
void http_connections_linger(http_connections *table, http_connection *connection, int descriptor);

void http_connection_enter(http_connection *connection, http_phase phase);
void http_connection_received(http_connection *connection, size_t bytes); /* of a body */

/* The only connection in PHASE_HEAD; NULL when there is none or more than one. */
http_connection *http_connections_lone_head(http_connections *table);

/* Looks at the connections whose turn has come, so that each is looked at once per second or more often; cuts
 * those over their limit, and returns how many. `now` is http_now(). */
size_t http_connections_check(http_connections *table, uint64_t now);

/* How many microseconds later the next call should be. */
uint64_t http_connections_pause(http_connections *table);

size_t http_connections_count(http_connections *table);

/* Adds how many are in each phase. */
void http_connections_phases(http_connections *table, size_t counts[HTTP_PHASES]);

/* How many have a request on the way: bytes have arrived that nobody has read yet, or the connection is
 * younger than HTTP_FIRST_REQUEST_US and has not sent its first one, or its last answer is younger than
 * HTTP_NEXT_REQUEST_US, so that its client may be sending the next one. Closing these would lose the request of
 * a client that was let in. */
size_t http_connections_expecting(http_connections *table, uint64_t now);

#endif
