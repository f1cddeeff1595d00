/* The kernel knows what the library does not show: TCP_INFO has the bytes that a socket received and the
 * bytes that the other side acknowledged. So the clock of a head starts at its first byte, before the library
 * tells us of a line; the bytes of a TLS handshake count as bytes of a head.
 *
 * I/O threads only write one number per phase. All clocks belong to the thread that checks, several times a
 * second: a connection may be cut that much late, and never early.
 */
#include "http/connections.h"
#include "http/exchange.h"
#include "ra_memory.h"

#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { PHASE_BITS = 3, PHASE_MASK = (1 << PHASE_BITS) - 1 };

struct http_connections {
    pthread_mutex_t lock;
    http_connection *first;
    size_t count;
    uint64_t window; /* microseconds */
};

http_connections *http_connections_new(unsigned header_seconds) {
    http_connections *table = ra_calloc(1, sizeof *table);
    if (!table) return NULL;
    pthread_mutex_init(&table->lock, NULL);
    table->window = (uint64_t)header_seconds * 1000000;
    return table;
}

void http_connections_free(http_connections *table) {
    if (!table) return;
    pthread_mutex_destroy(&table->lock);
    ra_free(table);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static void read_client(http_connection *connection) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (getpeername(connection->descriptor, (struct sockaddr *)&peer, &size) != 0 ||
        getnameinfo((struct sockaddr *)&peer, size, connection->client, sizeof connection->client, NULL, 0,
                    NI_NUMERICHOST) != 0)
        connection->client[0] = '\0';
}

http_connection *http_connections_add(http_connections *table, int descriptor, int thread) {
    http_connection *connection = ra_calloc(1, sizeof *connection);
    if (!connection) return NULL;
    connection->descriptor = descriptor;
    connection->thread = thread;
    connection->made = http_now();
    read_client(connection);
    pthread_mutex_lock(&table->lock);
    connection->after = table->first;
    if (table->first) table->first->before = connection;
    table->first = connection;
    table->count++;
    pthread_mutex_unlock(&table->lock);
    return connection;
}

void http_connections_remove(http_connections *table, http_connection *connection) {
    pthread_mutex_lock(&table->lock);
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

static bool is_expecting(const http_connection *connection, uint64_t now) {
    unsigned turn = atomic_load_explicit(&connection->turn, memory_order_relaxed);
    int unread = 0;
    if ((turn & PHASE_MASK) != PHASE_IDLE) return false;
    if (turn == 0 && now < connection->made + HTTP_FIRST_REQUEST_US) return true;
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
    unsigned turn = atomic_load_explicit(&connection->turn, memory_order_relaxed);
    atomic_store_explicit(&connection->turn, ((turn >> PHASE_BITS) + 1) << PHASE_BITS | (unsigned)phase,
                          memory_order_relaxed);
}

void http_connection_received(http_connection *connection, size_t bytes) {
    atomic_fetch_add_explicit(&connection->received, bytes, memory_order_relaxed);
}

/* ---- the clocks ---------------------------------------------------------------------------------------- */

/* The bytes that have passed in the direction that the phase is about. */
static uint64_t bytes_passed(const http_connection *connection, http_phase phase) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (phase == PHASE_BODY) return atomic_load_explicit(&connection->received, memory_order_relaxed);
    memset(&info, 0, sizeof info);
    if (getsockopt(connection->descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
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

static bool is_late(const http_connections *table, http_connection *connection, uint64_t now) {
    unsigned turn = atomic_load_explicit(&connection->turn, memory_order_relaxed);
    http_phase phase = (http_phase)(turn & PHASE_MASK);
    if (turn != connection->seen || !connection->since) {
        start_clock(connection, phase, turn == 0, now);
        connection->seen = turn;
        if (phase != PHASE_IDLE) return false;
    }
    switch (phase) {
    case PHASE_IDLE:
    case PHASE_HEAD:
        return head_is_late(table, connection, phase, now);
    case PHASE_BODY:
    case PHASE_SENDING:
        return rate_is_low(table, connection, phase, now);
    case PHASE_ANSWER:
        break;
    }
    return false;
}

http_connection *http_connections_lone_head(http_connections *table, int thread) {
    http_connection *found = NULL;
    size_t heads = 0;
    pthread_mutex_lock(&table->lock);
    for (http_connection *at = table->first; at; at = at->after) {
        unsigned turn = atomic_load_explicit(&at->turn, memory_order_relaxed);
        if (at->thread != thread || (turn & PHASE_MASK) != PHASE_HEAD) continue;
        found = at;
        heads++;
    }
    pthread_mutex_unlock(&table->lock);
    return heads == 1 ? found : NULL;
}

size_t http_connections_check(http_connections *table, uint64_t now) {
    size_t cut = 0;
    pthread_mutex_lock(&table->lock);
    for (http_connection *at = table->first; at; at = at->after) {
        if (at->cut || !is_late(table, at, now)) continue;
        at->cut = true;
        cut++;
        (void)shutdown(at->descriptor, SHUT_RDWR);
        ra_log(RA_LOG_INFO, "connection of %s: cut, too slow", at->client);
    }
    pthread_mutex_unlock(&table->lock);
    return cut;
}
