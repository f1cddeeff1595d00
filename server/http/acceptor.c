/* One thread accepts for all I/O threads: it sees how many connections each of them has, and no I/O thread ever waits
 * for the listening socket. Handing a connection over costs some microseconds, once per connection.
 */
#include "http/acceptor.h"
#include "http/exchange.h"
#include "http/last.h"
#include "http/points.h"
#include "http/seldom.h"
#include "ra_memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    AT_ONCE = 64,           /* connections that are accepted before the thread looks whether it shall stop */
    LAST = 512,             /* as many may wait to be accepted when it stops */
    LAST_ROUNDS = 8,        /* how often it looks for handshakes under way when it stops */
    LAST_MS = 5,            /* and how long each time */
    WITHOUT_MEMORY_MS = 50, /* until the next attempt when the system had no memory or descriptor */
    FULL_MS = 60000,        /* between two warnings that connections wait */
    MILLISECOND = 1000
};

struct http_acceptor {
    http_acceptor_options options;
    pthread_t thread;
    bool running;
    atomic_int listening; /* options.descriptor, for those who ask; -1 when it is closed */
    int bell;
    atomic_size_t connections, spares;
    atomic_bool full;    /* the thread waits for a connection to end */
    uint64_t full_since; /* 0: there was room at the last look */
    seldom when_full;
    atomic_bool stop;
    bool complained;
    size_t turn; /* the first I/O thread to look at: equals take turns */
};

static void ring(const http_acceptor *acceptor) {
    uint64_t one = 1;
    while (write(acceptor->bell, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static http_worker *choose(http_acceptor *acceptor) {
    size_t count = acceptor->options.worker_count, least = SIZE_MAX;
    http_worker *chosen = NULL;
    for (size_t i = 0; i < count; i++) {
        http_worker *worker = acceptor->options.workers[(acceptor->turn + i) % count];
        size_t has = http_worker_connections(worker);
        if (has >= least) continue;
        least = has;
        chosen = worker;
    }
    acceptor->turn++;
    return chosen;
}

static void warn_full(http_acceptor *acceptor) {
    size_t since;
    if (!seldom_is_due(&acceptor->when_full, &since)) return;
    ra_log(
        RA_LOG_WARNING,
        "all %zu connections are taken, and clients wait: only health and metrics are answered on new ones; "
        "raise --max-connections, or lower --idle-seconds",
        acceptor->options.max_connections);
}

static void hand_over(http_acceptor *acceptor, int descriptor, const struct sockaddr *peer, socklen_t size,
                      bool spare) {
    http_connection *connection = http_connection_new(descriptor, peer, size);
    if (!connection || !http_clients_arrive(acceptor->options.clients, peer, &connection->proxy)) {
        ra_free(connection);
        close(descriptor);
        return;
    }
    if (atomic_load(&acceptor->stop)) last_accepted(descriptor);
    connection->spare = spare;
    atomic_fetch_add(spare ? &acceptor->spares : &acceptor->connections, 1);
    http_worker *worker = choose(acceptor);
    point_reached(POINT_taken);
    http_worker_take(worker, connection);
}

typedef enum room { ROOM, SPARE_ROOM, NO_ROOM_YET, NO_ROOM } room;

static room look_for_room(http_acceptor *acceptor) {
    const http_acceptor_options *options = &acceptor->options;
    uint64_t now = http_now();
    if (atomic_load(&acceptor->connections) < options->max_connections) {
        acceptor->full_since = 0;
        return ROOM;
    }
    if (!acceptor->full_since) acceptor->full_since = now;
    if (now - acceptor->full_since < HTTP_FULL_US) return NO_ROOM_YET;
    return atomic_load(&acceptor->spares) < options->spares ? SPARE_ROOM : NO_ROOM;
}

/* A connection that ends after the first look rings. */
static room find_room(http_acceptor *acceptor) {
    room found = look_for_room(acceptor);
    if (found == ROOM) return found;
    atomic_store(&acceptor->full, true);
    found = look_for_room(acceptor);
    if (found == ROOM) atomic_store(&acceptor->full, false);
    return found;
}

static void complain(http_acceptor *acceptor, int reason) {
    if (!acceptor->complained)
        ra_log(RA_LOG_WARNING, "new connections wait: the system accepts none now: %s", strerror(reason));
    acceptor->complained = true;
}

/* What the thread waits for: the bell in any case, the socket, and for so many milliseconds; -1: for ever. */
typedef struct wait {
    bool socket;
    int milliseconds;
} wait;

static wait accept_some(http_acceptor *acceptor, int most) {
    const wait for_socket = {true, -1}, for_memory = {false, WITHOUT_MEMORY_MS};
    for (int i = 0; i < most; i++) {
        room found = find_room(acceptor);
        if (found == NO_ROOM_YET) return (wait){false, HTTP_FULL_US / MILLISECOND};
        if (found == NO_ROOM || (found == SPARE_ROOM && atomic_load(&acceptor->stop))) {
            if (http_acceptor_waiting(acceptor) > 0) warn_full(acceptor);
            return (wait){false, FULL_MS};
        }
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        int descriptor = accept4(acceptor->options.descriptor, (struct sockaddr *)&peer, &size,
                                 SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor >= 0) {
            acceptor->complained = false;
            if (found == SPARE_ROOM) warn_full(acceptor);
            hand_over(acceptor, descriptor, (struct sockaddr *)&peer, size, found == SPARE_ROOM);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            complain(acceptor, errno);
            return for_memory;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINVAL) return for_socket;
        /* else it was gone before it was accepted */
    }
    return for_socket;
}

static void *run(void *argument) {
    http_acceptor *acceptor = argument;
    (void)prctl(PR_SET_NAME, "rasaed-accept");
    wait next = {true, -1};
    while (!atomic_load(&acceptor->stop)) {
        struct pollfd on[] = {{.fd = acceptor->bell, .events = POLLIN},
                              {.fd = next.socket ? acceptor->options.descriptor : -1, .events = POLLIN}};
        uint64_t count;
        (void)poll(on, 2, next.milliseconds);
        if (on[0].revents) (void)!read(acceptor->bell, &count, sizeof count);
        if (!atomic_load(&acceptor->stop)) next = accept_some(acceptor, AT_ONCE);
    }
    return NULL;
}

void http_acceptor_closed(http_acceptor *acceptor, const http_connection *connection) {
    http_clients_leave(acceptor->options.clients, (const struct sockaddr *)&connection->peer,
                       connection->proxy);
    atomic_fetch_sub(connection->spare ? &acceptor->spares : &acceptor->connections, 1);
    if (atomic_exchange(&acceptor->full, false)) ring(acceptor);
}

size_t http_acceptor_connections(const http_acceptor *acceptor) {
    return atomic_load(&acceptor->connections);
}

/* Of a listening socket, the kernel tells the length of its queue as what is not acknowledged. */
size_t http_acceptor_waiting(const http_acceptor *acceptor) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    int descriptor = atomic_load(&acceptor->listening);
    return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_unacked : 0;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

ra_status http_acceptor_new(const http_acceptor_options *options, http_acceptor **out, ra_error *err) {
    http_acceptor *acceptor = ra_calloc(1, sizeof *acceptor);
    if (!acceptor) {
        close(options->descriptor);
        RA_FAIL_MEMORY(err, "the acceptor", sizeof *acceptor);
    }
    acceptor->options = *options;
    atomic_init(&acceptor->listening, options->descriptor);
    acceptor->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (acceptor->bell >= 0) {
        *out = acceptor;
        return RA_OK;
    }
    int reason = errno;
    http_acceptor_free(acceptor);
    RA_FAIL(err, RA_ERR_IO, "the server cannot accept connections: %s", strerror(reason));
}

ra_status http_acceptor_start(http_acceptor *acceptor, ra_error *err) {
    int failure = pthread_create(&acceptor->thread, NULL, run, acceptor);
    if (failure) RA_FAIL(err, RA_ERR_MEMORY, "the acceptor did not start: %s", strerror(failure));
    acceptor->running = true;
    return RA_OK;
}

/* The last look is an accept, and the socket closes right after it. */
static void accept_the_last(http_acceptor *acceptor) {
    struct pollfd on = {.fd = acceptor->options.descriptor, .events = POLLIN};
    if (last_begin(on.fd))
        for (int round = 0; round < LAST_ROUNDS; round++) {
            (void)accept_some(acceptor, LAST);
            if (poll(&on, 1, LAST_MS) <= 0) break;
        }
    (void)accept_some(acceptor, LAST);
}

void http_acceptor_stop(http_acceptor *acceptor) {
    if (acceptor->running) {
        atomic_store(&acceptor->stop, true);
        ring(acceptor);
        pthread_join(acceptor->thread, NULL);
        acceptor->running = false;
        if (!acceptor->options.shared) accept_the_last(acceptor);
    }
    atomic_store(&acceptor->listening, -1);
    if (acceptor->options.descriptor >= 0) close(acceptor->options.descriptor);
    acceptor->options.descriptor = -1;
}

void http_acceptor_free(http_acceptor *acceptor) {
    if (!acceptor) return;
    http_acceptor_stop(acceptor);
    if (acceptor->bell >= 0) close(acceptor->bell);
    ra_free(acceptor);
}
