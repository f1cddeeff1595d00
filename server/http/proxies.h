/* proxies.h - the proxies that are trusted to say who their clients are: networks, and sockets of the file system.
 *
 *     http_proxies proxies;
 *     RA_TRY(http_proxies_init(&proxies, (char *[]){"10.0.0.0/8", "2001:db8::1", "unix"}, 3, err));
 *     if (http_proxies_has_peer(&proxies, peer)) ... forwarded.h ...
 *     http_proxies_release(&proxies);
 *
 * A network of IPv4 holds no address of IPv6, nor the other way round. Thread safety: constant once it is made.
 */
#ifndef RASAED_HTTP_PROXIES_H
#define RASAED_HTTP_PROXIES_H

#include "http/ip.h"
#include "ra_status.h"

typedef struct ip_network {
    ip_address address;
    unsigned bits; /* of 128 */
} ip_network;

typedef struct http_proxies {
    ip_network *networks;
    size_t count;
    bool local; /* clients on a socket of the file system */
} http_proxies;

/* RA_ERR_ARGUMENT says what is wrong with an item. */
ra_status http_proxies_check(const char *item, ra_error *err);
ra_status http_proxies_init(http_proxies *proxies, char *const *items, size_t count, ra_error *err);
void http_proxies_release(http_proxies *proxies);

bool http_proxies_has(const http_proxies *proxies, const ip_address *address);
bool http_proxies_has_peer(const http_proxies *proxies, const struct sockaddr *peer);

#endif
