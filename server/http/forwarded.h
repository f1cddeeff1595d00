/* forwarded.h - who the client is, for a request on a connection of a trusted proxy.
 *
 * Each proxy on the way writes at the end of a header from whom it took the request:
 *
 *     X-Forwarded-For: 203.0.113.9, 198.51.100.4, 10.0.0.7
 *     Forwarded: for=203.0.113.9;proto=https, for="[2001:db8::4]:4711", for=_hidden
 *
 * Anybody can send such a header, so only its end is to be believed: from the last entry back, as long as each is a
 * trusted proxy, and the first that is not is the client. What stands before it, its own claims, is not looked at,
 * however broken. An entry that names nobody (unknown, _hidden, no `for`) or cannot be read ends the way, too: then the
 * client is the nearest address that is known, that of the proxy after it. Several lines of a header are one list.
 *
 * X-Forwarded-For wins if both headers are there. A proxy that writes only that one, as nearly all do, passes on a
 * Forwarded that its client made up; a proxy that writes only Forwarded must take X-Forwarded-For out. Nobody but the
 * operator can tell which is which, so it is told when they differ.
 *
 * Source: RFC 7239 (sections 4 to 6); X-Forwarded-For has no standard, so entries with port, brackets or quotes are
 * taken as well, and "unix:", nginx's word for a client on a socket of the file system.
 * Thread safety: plain data.
 */
#ifndef RASAED_HTTP_FORWARDED_H
#define RASAED_HTTP_FORWARDED_H

#include "http/headers.h"
#include "http/proxies.h"

typedef struct forwarded {
    ip_address client;
    bool found;         /* false: nobody is named, so the peer is all that is known */
    bool is_proxy;      /* what is found is a trusted proxy's own address */
    const char *broken; /* the entry at which the way ended because it cannot be read; NULL: none did */
    size_t broken_size;
    const char *header; /* that was read; NULL: neither was there */
    bool disputed;      /* the other header is there, too, and names another client: `other` */
    ip_address other;
} forwarded;

/* Strings of the result are parts of the headers. */
void forwarded_read(const http_proxies *proxies, const http_headers *headers, forwarded *out);

#endif
