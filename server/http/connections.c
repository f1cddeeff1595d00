/* The kernel knows what the library does not show: TCP_INFO has the bytes that a socket received and the
 * bytes that the other side acknowledged. So the clock of a head starts at its first byte, before the library
 * tells us of a line; the bytes of a TLS handshake count as bytes of a head.
 *
 * A socket of the file system has no such counts. Its client is on this machine, most often a proxy: a reply to it
 * has no pace, and a head none before its first line; the library still ends silence.
 *
 * A connection may be cut as late as its next look, and never early.
 *
 * Looking costs a system call per connection, so the looks are spread: ten thousand idle connections cost one
 * call in a hundred microseconds, and no pause of the thread is longer than a slice.
 */
#include "http/connections.h"
#include "http/exchange.h"
#include "ra_memory.h"

#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { PHASE_BITS = 3, PHASE_MASK = (1 << PHASE_BITS) - 1 };
enum {
    SLICE = 128,             /* connections that one call looks at */
    LONGEST_ROUND = 1000000, /* microseconds between two looks at one connection */
    SHORTEST_ROUND = 100000,
    LONGEST_PAUSE = 100000, /* between two slices */
    SHORTEST_PAUSE = 5000,
    LOOKS_PER_WINDOW = 10
};

struct http_connections {
    pthread_mutex_t lock;
    http_connection *first;
    http_connection *next; /* the one to look at next; NULL: the first */
    size_t count;
    uint64_t window, round; /* microseconds */
    uint64_t looked;        /* when the last slice was due; 0: never */
};

http_connections *http_connections_new(unsigned header_seconds) {
    http_connections *table = ra_calloc(1, sizeof *table);
    if (!table) return NULL;
    pthread_mutex_init(&table->lock, NULL);
    table->window = (uint64_t)header_seconds * 1000000;
    uint64_t round = table->window / LOOKS_PER_WINDOW;
    table->round = round < SHORTEST_ROUND ? SHORTEST_ROUND : round > LONGEST_ROUND ? LONGEST_ROUND : round;
    return table;
}

void http_connections_free(http_connections *table) {
    if (!table) return;
    pthread_mutex_destroy(&table->lock);
    ra_free(table);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

http_connection *http_connection_new(int descriptor, const struct sockaddr *peer, socklen_t size) {
    http_connection *connection = ra_calloc(1, sizeof *connection);
    if (!connection) return NULL;
    connection->descriptor = descriptor;
    connection->made = http_now();
    connection->peer_size = size < sizeof connection->peer ? size : sizeof connection->peer;
    memcpy(&connection->peer, peer, connection->peer_size);
    if (peer->sa_family == AF_UNIX)
        memcpy(connection->client, "unix", sizeof "unix");
    else if (getnameinfo(peer, size, connection->client, sizeof connection->client, NULL, 0,
                         NI_NUMERICHOST) != 0)
        connection->client[0] = '\0';
    return connection;
}

void http_connections_add(http_connections *table, http_connection *connection) {
    pthread_mutex_lock(&table->lock);
    connection->after = table->first;
    if (table->first) table->first->before = connection;
    table->first = connection;
    table->count++;
    pthread_mutex_unlock(&table->lock);
}

void http_connections_remove(http_connections *table, http_connection *connection) {
    pthread_mutex_lock(&table->lock);
    if (table->next == connection) table->next = connection->after;
    if (connection->before)
        connection->before->after = connection->after;
    else
        table->first = connection->after;
    if (connection->after) connection->after->before = connection->before;
    table->count--;
    pthread_mutex_unlock(&table->lock);
    ra_free(connection);
}

size_t http_connections_count(http_connections *table) {
    pthread_mutex_lock(&table->lock);
    size_t count = table->count;
    pthread_mutex_unlock(&table->lock);
    return count;
}

static http_phase phase_of(const http_connection *connection) {
    return (http_phase)(atomic_load_explicit(&connection->turn, memory_order_relaxed) & PHASE_MASK);
}

void http_connections_phases(http_connections *table, size_t counts[HTTP_PHASES]) {
    pthread_mutex_lock(&table->lock);
    for (const http_connection *at = table->first; at; at = at->after) counts[phase_of(at)]++;
    pthread_mutex_unlock(&table->lock);
}

void http_connections_linger(http_connections *table, http_connection *connection, int descriptor) {
    pthread_mutex_lock(&table->lock);
    connection->descriptor = descriptor;
    http_connection_enter(connection, PHASE_LINGERING);
    pthread_mutex_unlock(&table->lock);
}

static bool is_expecting(const http_connection *connection, uint64_t now) {
    unsigned turn = atomic_load_explicit(&connection->turn, memory_order_relaxed);
    int unread = 0;
    if ((turn & PHASE_MASK) != PHASE_IDLE) return false;
    if (turn == 0 && now < connection->made + HTTP_FIRST_REQUEST_US) return true;
    uint64_t rested = atomic_load_explicit(&connection->rested, memory_order_relaxed);
    if (rested && now < rested + HTTP_NEXT_REQUEST_US) return true;
    return ioctl(connection->descriptor, FIONREAD, &unread) == 0 && unread > 0;
}

size_t http_connections_expecting(http_connections *table, uint64_t now) {
    size_t count = 0;
    pthread_mutex_lock(&table->lock);
    for (const http_connection *at = table->first; at; at = at->after) count += is_expecting(at, now);
    pthread_mutex_unlock(&table->lock);
    return count;
}

/* Only one thread writes, so this need not be one atomic step. */
void http_connection_enter(http_connection *connection, http_phase phase) {
    if (phase == PHASE_IDLE) atomic_store_explicit(&connection->rested, http_now(), memory_order_relaxed);
    unsigned turn = atomic_load_explicit(&connection->turn, memory_order_relaxed);
    atomic_store_explicit(&connection->turn, ((turn >> PHASE_BITS) + 1) << PHASE_BITS | (unsigned)phase,
                          memory_order_relaxed);
}

void http_connection_received(http_connection *connection, size_t bytes) {
    atomic_fetch_add_explicit(&connection->received, bytes, memory_order_relaxed);
}

/* ---- the clocks ---------------------------------------------------------------------------------------- */

static bool is_tcp(const http_connection *connection) {
    return connection->peer.ss_family != AF_UNIX;
}

/* The bytes that have passed in the direction that the phase is about. */
static uint64_t bytes_passed(const http_connection *connection, http_phase phase) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (phase == PHASE_BODY) return atomic_load_explicit(&connection->received, memory_order_relaxed);
    memset(&info, 0, sizeof info);
    if (!is_tcp(connection) || getsockopt(connection->descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return phase == PHASE_SENDING ? info.tcpi_bytes_acked : info.tcpi_bytes_received;
}

/* The connection has entered a phase since the last check. A new one had received nothing before. */
static void start_clock(http_connection *connection, http_phase phase, bool is_new, uint64_t now) {
    if (phase != PHASE_HEAD) connection->head_since = 0;
    if (phase == PHASE_HEAD && !connection->head_since) connection->head_since = now;
    connection->since = now;
    connection->bytes = is_new ? 0 : bytes_passed(connection, phase);
}

/* Between requests the first new byte starts the clock of the next head. */
static bool head_is_late(const http_connections *table, http_connection *connection, http_phase phase,
                         uint64_t now) {
    if (!connection->head_since && bytes_passed(connection, phase) > connection->bytes)
        connection->head_since = now;
    return connection->head_since && now - connection->head_since > table->window;
}

static bool rate_is_low(const http_connections *table, http_connection *connection, http_phase phase,
                        uint64_t now) {
    if (now - connection->since < table->window) return false;
    uint64_t passed = bytes_passed(connection, phase);
    bool low = passed - connection->bytes < table->window / 1000000 * HTTP_LEAST_RATE;
    connection->since = now;
    connection->bytes = passed;
    return low;
}

/* The client has closed its side, and all that it sent is read. A request that was read with the end may still
 * wait in the library's memory, so the second look decides. */
static bool has_ended(http_connection *connection, uint64_t now) {
    struct pollfd side = {.fd = connection->descriptor, .events = POLLRDHUP};
    int unread = 0;
    if (poll(&side, 1, 0) <= 0 || !(side.revents & POLLRDHUP) ||
        ioctl(connection->descriptor, FIONREAD, &unread) != 0 || unread > 0) {
        connection->ended = 0;
        return false;
    }
    if (!connection->ended) connection->ended = now;
    return now > connection->ended;
}

static bool is_late(const http_connections *table, http_connection *connection, uint64_t now) {
    unsigned turn = atomic_load_explicit(&connection->turn, memory_order_relaxed);
    http_phase phase = (http_phase)(turn & PHASE_MASK);
    if (turn != connection->seen || !connection->since) {
        start_clock(connection, phase, turn == 0, now);
        connection->seen = turn;
        connection->ended = 0;
        if (phase != PHASE_IDLE) return false;
    }
    bool receives = phase == PHASE_IDLE || phase == PHASE_HEAD || phase == PHASE_BODY;
    if (connection->spare && receives && now > connection->made + HTTP_SPARE_US) return true;
    switch (phase) {
    case PHASE_IDLE:
    case PHASE_HEAD:
        return head_is_late(table, connection, phase, now) || has_ended(connection, now);
    case PHASE_BODY:
        return rate_is_low(table, connection, phase, now) || has_ended(connection, now);
    case PHASE_SENDING:
        return is_tcp(connection) && rate_is_low(table, connection, phase, now);
    case PHASE_ANSWER:
    case PHASE_LINGERING:
    case HTTP_PHASES:
        break;
    }
    return false;
}

http_connection *http_connections_lone_head(http_connections *table) {
    http_connection *found = NULL;
    size_t heads = 0;
    pthread_mutex_lock(&table->lock);
    for (http_connection *at = table->first; at; at = at->after) {
        unsigned turn = atomic_load_explicit(&at->turn, memory_order_relaxed);
        if ((turn & PHASE_MASK) != PHASE_HEAD) continue;
        found = at;
        heads++;
    }
    pthread_mutex_unlock(&table->lock);
    return heads == 1 ? found : NULL;
}

/* How many are due since the last slice. What one slice does not hold is made up for by the next ones. */
static size_t due(http_connections *table, uint64_t now) {
    if (!table->looked || now - table->looked >= table->round) {
        table->looked = now;
        return table->count < SLICE ? table->count : SLICE;
    }
    uint64_t each = table->count ? table->round / table->count : table->round;
    if (each == 0) each = 1;
    size_t many = (size_t)((now - table->looked) / each);
    if (many > SLICE) many = SLICE;
    table->looked += many * each;
    return many;
}

size_t http_connections_check(http_connections *table, uint64_t now) {
    size_t cut = 0;
    pthread_mutex_lock(&table->lock);
    for (size_t left = due(table, now); left > 0; left--) {
        http_connection *at = table->next ? table->next : table->first;
        table->next = at->after;
        if (at->cut || !is_late(table, at, now)) continue;
        at->cut = true;
        cut++;
        (void)shutdown(at->descriptor, SHUT_RDWR);
        ra_log(RA_LOG_INFO, "connection of %s: cut, %s", at->client,
               at->ended ? "its client has closed it in the middle of a request" : "too slow");
    }
    pthread_mutex_unlock(&table->lock);
    return cut;
}

uint64_t http_connections_pause(http_connections *table) {
    size_t count = http_connections_count(table);
    uint64_t pause = count ? table->round * SLICE / count : LONGEST_PAUSE;
    return pause < SHORTEST_PAUSE ? SHORTEST_PAUSE : pause > LONGEST_PAUSE ? LONGEST_PAUSE : pause;
}
