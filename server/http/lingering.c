/* The library closes the descriptor that it was given, so a connection that lingers gets a second one. With MSG_TRUNC
 * the kernel throws the bytes away: a client that goes on sending costs the server next to nothing, and no more than
 * an idle connection costs in memory. */
#include "http/lingering.h"
#include "http/exchange.h"
#include "ra_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    AT_ONCE = 64,     /* sockets that one run looks at */
    CHUNK = 64 << 10, /* bytes that one call throws away */
    CHUNKS = 16,      /* calls per socket and run, so that nobody waits for long */
    CLOCK_US = 100000 /* between two looks for those that have lingered long enough */
};

struct http_lingering {
    http_connections *connections;
    http_lingering_over *over;
    void *context;
    int descriptor;
    http_connection *first;
    uint64_t next_look;
    char unused[CHUNK]; /* MSG_TRUNC writes nothing here */
};

http_lingering *http_lingering_new(http_connections *connections, http_lingering_over *over, void *context) {
    http_lingering *lingering = ra_calloc(1, sizeof *lingering);
    if (!lingering) {
        errno = ENOMEM;
        return NULL;
    }
    lingering->connections = connections;
    lingering->over = over;
    lingering->context = context;
    lingering->descriptor = epoll_create1(EPOLL_CLOEXEC);
    if (lingering->descriptor >= 0) return lingering;
    int reason = errno;
    ra_free(lingering);
    errno = reason;
    return NULL;
}

bool http_lingering_take(http_lingering *lingering, http_connection *connection) {
    int descriptor = fcntl(connection->descriptor, F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0) return false;
    (void)shutdown(descriptor, SHUT_WR);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = connection};
    if (epoll_ctl(lingering->descriptor, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        close(descriptor);
        return false;
    }
    http_connections_linger(lingering->connections, connection, descriptor);
    connection->lingering = (http_linger){.since = http_now(), .heard = http_now()};
    connection->next = lingering->first;
    lingering->first = connection;
    return true;
}

/* True: the client has closed its side, or it has sent enough. */
static bool discard(http_lingering *lingering, http_connection *connection, uint64_t now) {
    http_linger *linger = &connection->lingering;
    for (int i = 0; i < CHUNKS; i++) {
        ssize_t n = recv(connection->descriptor, lingering->unused, CHUNK, MSG_TRUNC | MSG_DONTWAIT);
        if (n < 0) return errno != EAGAIN && errno != EINTR;
        if (n == 0) return true;
        linger->heard = now;
        linger->bytes += (size_t)n;
        if (linger->bytes > HTTP_LINGER_BYTES) return true;
    }
    return false;
}

static bool is_late(const http_linger *linger, uint64_t now) {
    return now - linger->since > HTTP_LINGER_US || now - linger->heard > HTTP_LINGER_SILENCE_US;
}

static void end(http_lingering *lingering, http_connection *connection) {
    close(connection->descriptor);
    lingering->over(lingering->context, connection);
}

static void end_those_that_are_over(http_lingering *lingering, uint64_t now) {
    for (http_connection **at = &lingering->first; *at;) {
        http_connection *found = *at;
        if (!found->lingering.over && !is_late(&found->lingering, now)) {
            at = &found->next;
            continue;
        }
        *at = found->next;
        end(lingering, found);
    }
}

void http_lingering_run(http_lingering *lingering, uint64_t now) {
    if (!lingering->first) return;
    RA_UNINITIALIZED struct epoll_event events[AT_ONCE];
    int count = epoll_wait(lingering->descriptor, events, AT_ONCE, 0);
    bool over = now >= lingering->next_look;
    for (int i = 0; i < count; i++) {
        http_connection *connection = events[i].data.ptr;
        connection->lingering.over = discard(lingering, connection, now);
        over |= connection->lingering.over;
    }
    if (!over) return;
    lingering->next_look = now + CLOCK_US;
    end_those_that_are_over(lingering, now);
}

int http_lingering_descriptor(const http_lingering *lingering) {
    return lingering->first ? lingering->descriptor : -1;
}

void http_lingering_free(http_lingering *lingering) {
    if (!lingering) return;
    while (lingering->first) {
        http_connection *next = lingering->first->next;
        end(lingering, lingering->first);
        lingering->first = next;
    }
    close(lingering->descriptor);
    ra_free(lingering);
}
