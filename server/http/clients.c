#include "http/clients.h"
#include "http/addresses.h"
#include "http/forwarded.h"
#include "http/seldom.h"
#include "ra_memory.h"

#include <string.h>
#include <sys/socket.h>

struct http_clients {
    const http_proxies *proxies;
    size_t most;
    http_addresses *addresses;
    atomic_size_t refused;
    seldom about_connections, about_requests, about_headers, about_disputes;
};

static const http_proxies nobody;

http_clients *http_clients_new(size_t most, const http_proxies *proxies) {
    http_clients *clients = ra_calloc(1, sizeof *clients);
    if (!clients) return NULL;
    clients->proxies = proxies ? proxies : &nobody;
    clients->most = most;
    clients->addresses = http_addresses_new(most);
    if (clients->addresses) return clients;
    ra_free(clients);
    return NULL;
}

void http_clients_free(http_clients *clients) {
    if (!clients) return;
    http_addresses_free(clients->addresses);
    ra_free(clients);
}

/* ---- connections --------------------------------------------------------------------------------------- */

bool http_clients_arrive(http_clients *clients, const struct sockaddr *peer, bool *proxy) {
    ip_address address;
    char name[IP_TEXT_SIZE];
    size_t since;
    *proxy = http_proxies_has_peer(clients->proxies, peer);
    if (*proxy || !ip_of_peer(peer, &address) || http_addresses_enter(clients->addresses, &address))
        return true;
    atomic_fetch_add(&clients->refused, 1);
    if (!seldom_is_due(&clients->about_connections, &since)) return false;
    ip_write(&address, name);
    ra_log(RA_LOG_WARNING,
           "%zu connections refused: %s has the %zu that --max-connections-per-address allows one client",
           since, name, clients->most);
    return false;
}

void http_clients_leave(http_clients *clients, const struct sockaddr *peer, bool proxy) {
    ip_address address;
    if (!proxy && ip_of_peer(peer, &address)) http_addresses_leave(clients->addresses, &address);
}

size_t http_clients_refused(const http_clients *clients) {
    return atomic_load(&clients->refused);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static void warn_broken(http_clients *clients, const forwarded *read, const char *peer) {
    size_t since;
    if (!seldom_is_due(&clients->about_headers, &since)) return;
    ra_log(RA_LOG_WARNING,
           "%zu requests of clients that are not known: in the header %s from the trusted proxy %s, "
           "'%.*s' is no address; the nearest known address stands for them",
           since, read->header, peer, (int)(read->broken_size < 64 ? read->broken_size : 64), read->broken);
}

static void warn_disputed(http_clients *clients, const forwarded *read, const char *peer) {
    size_t since;
    char client[IP_TEXT_SIZE], other[IP_TEXT_SIZE];
    if (!seldom_is_due(&clients->about_disputes, &since)) return;
    ip_write(&read->client, client);
    ip_write(&read->other, other);
    ra_log(RA_LOG_WARNING,
           "%zu requests whose client is %s by X-Forwarded-For, which is believed, and %s by Forwarded: let "
           "the trusted proxy %s delete the header that it does not write itself",
           since, client, other, peer);
}

bool http_clients_name(http_clients *clients, const http_headers *headers, http_request *request,
                       ip_address *client) {
    forwarded read;
    forwarded_read(clients->proxies, headers, &read);
    if (read.broken) warn_broken(clients, &read, request->client);
    if (read.disputed) warn_disputed(clients, &read, request->client);
    if (!read.found) return false;
    memcpy(request->peer, request->client, sizeof request->peer);
    ip_write(&read.client, request->client);
    *client = read.client;
    return !read.is_proxy;
}

bool http_clients_begin(http_clients *clients, const ip_address *client) {
    char name[IP_TEXT_SIZE];
    size_t since;
    if (http_addresses_enter(clients->addresses, client)) return true;
    if (!seldom_is_due(&clients->about_requests, &since)) return false;
    ip_write(client, name);
    ra_log(RA_LOG_WARNING,
           "%zu requests answered 429: %s, behind a proxy, has the %zu under way that "
           "--max-connections-per-address allows one client",
           since, name, clients->most);
    return false;
}

void http_clients_end(http_clients *clients, const ip_address *client) {
    http_addresses_leave(clients->addresses, client);
}
