/* A hash table of lists, whose size fits the number of connections that a process may have. Only the acceptor
 * enters, so the lock is hardly ever waited for. */
#include "http/addresses.h"
#include "ra_memory.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { LISTS = 4096, ADDRESS_BYTES = 16 };

typedef struct client {
    unsigned char bytes[ADDRESS_BYTES]; /* IPv4 as ::ffff:a.b.c.d */
    size_t connections;
    struct client *next;
} client;

struct http_addresses {
    pthread_mutex_t lock;
    size_t most;
    client *lists[LISTS];
};

http_addresses *http_addresses_new(size_t most) {
    http_addresses *table = ra_calloc(1, sizeof *table);
    if (!table) return NULL;
    table->most = most;
    pthread_mutex_init(&table->lock, NULL);
    return table;
}

void http_addresses_free(http_addresses *table) {
    if (!table) return;
    for (size_t i = 0; i < LISTS; i++)
        for (client *at = table->lists[i], *next; at; at = next) {
            next = at->next;
            ra_free(at);
        }
    pthread_mutex_destroy(&table->lock);
    ra_free(table);
}

static bool read_bytes(const struct sockaddr *peer, unsigned char bytes[ADDRESS_BYTES]) {
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (peer->sa_family == AF_INET6) {
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, ADDRESS_BYTES);
        return true;
    }
    if (peer->sa_family != AF_INET) return false;
    memcpy(bytes, mapped, sizeof mapped);
    memcpy(bytes + sizeof mapped, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    return true;
}

/* Where the pointer to this address is, or would be. */
static client **find(http_addresses *table, const unsigned char bytes[ADDRESS_BYTES]) {
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < ADDRESS_BYTES; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
    client **at = &table->lists[(hash ^ hash >> 32) % LISTS];
    while (*at && memcmp((*at)->bytes, bytes, ADDRESS_BYTES) != 0) at = &(*at)->next;
    return at;
}

bool http_addresses_enter(http_addresses *table, const struct sockaddr *peer) {
    unsigned char bytes[ADDRESS_BYTES];
    if (!table->most || !read_bytes(peer, bytes)) return true;
    pthread_mutex_lock(&table->lock);
    client **at = find(table, bytes);
    if (!*at && (*at = ra_calloc(1, sizeof **at))) memcpy((*at)->bytes, bytes, sizeof bytes);
    bool fits = !*at || (*at)->connections < table->most;
    if (*at && fits) (*at)->connections++;
    pthread_mutex_unlock(&table->lock);
    return fits;
}

void http_addresses_leave(http_addresses *table, const struct sockaddr *peer) {
    unsigned char bytes[ADDRESS_BYTES];
    if (!table->most || !read_bytes(peer, bytes)) return;
    pthread_mutex_lock(&table->lock);
    client **at = find(table, bytes), *gone = *at;
    if (gone && --gone->connections == 0) {
        *at = gone->next;
        ra_free(gone);
    }
    pthread_mutex_unlock(&table->lock);
}
