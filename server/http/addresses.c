/* A hash table of lists, whose size fits the number of connections that a process may have. The lock is held for some
 * instructions. */
#include "http/addresses.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { LISTS = 4096 };

typedef struct client {
    ip_address address;
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

/* Where the pointer to this address is, or would be. */
static client **find(http_addresses *table, const ip_address *address) {
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < IP_BYTES; i++) hash = (hash ^ address->bytes[i]) * 1099511628211u;
    client **at = &table->lists[(hash ^ hash >> 32) % LISTS];
    while (*at && memcmp(&(*at)->address, address, sizeof *address) != 0) at = &(*at)->next;
    return at;
}

bool http_addresses_enter(http_addresses *table, const ip_address *address) {
    if (!table->most) return true;
    pthread_mutex_lock(&table->lock);
    client **at = find(table, address);
    if (!*at && (*at = ra_calloc(1, sizeof **at))) (*at)->address = *address;
    bool fits = !*at || (*at)->connections < table->most;
    if (*at && fits) (*at)->connections++;
    pthread_mutex_unlock(&table->lock);
    return fits;
}

void http_addresses_leave(http_addresses *table, const ip_address *address) {
    if (!table->most) return;
    pthread_mutex_lock(&table->lock);
    client **at = find(table, address), *gone = *at;
    if (gone && --gone->connections == 0) {
        *at = gone->next;
        ra_free(gone);
    }
    pthread_mutex_unlock(&table->lock);
}
