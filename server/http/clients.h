/* clients.h - who the clients of an address are, and the limit of each of them.
 *
 * A client is the other side of a connection, and counts by its connections; or it is behind a proxy that is trusted
 * (proxies.h), which names it in each request (forwarded.h), and counts by its requests under way: a proxy sends those
 * of many clients on one connection, and whom a connection is for is not known before its request is read. The
 * connections of such a proxy, and requests of which nobody else is known, have no limit.
 *
 *     the acceptor   http_clients_arrive(clients, peer, &connection->proxy)     false: refuse the connection
 *     the engine     http_clients_name(clients, &headers, request, &client)      the head is read
 *     the exchange   http_clients_begin(clients, &client)                       false: refuse the request
 *                    http_clients_end(clients, &client)
 *     the acceptor   http_clients_leave(clients, peer, connection->proxy)
 *
 * The log warns of those that are refused, and of what a proxy says that cannot be read, or says in two ways; once per
 * minute at most.
 * Clients on a socket of the file system are not counted. Thread safety: any thread, but for new and free.
 */
#ifndef RASAED_HTTP_CLIENTS_H
#define RASAED_HTTP_CLIENTS_H

#include "http/headers.h"
#include "http/proxies.h"

typedef struct http_clients http_clients;

/* most: connections and requests of one client, together; 0: no limit. proxies: NULL or empty: none is trusted; it
 * must outlive this. NULL: out of memory. */
http_clients *http_clients_new(size_t most, const http_proxies *proxies);
void http_clients_free(http_clients *clients); /* NULL is fine */

/* *proxy <- whether it is one that is trusted. */
bool http_clients_arrive(http_clients *clients, const struct sockaddr *peer, bool *proxy);
void http_clients_leave(http_clients *clients, const struct sockaddr *peer, bool proxy);
size_t http_clients_refused(const http_clients *clients); /* connections */

/* A request came on a connection of a trusted proxy. request->client, the name of the peer, becomes that of the client,
 * and request->peer has the other. *client is whom the request counts for; false: for nobody. */
bool http_clients_name(http_clients *clients, const http_headers *headers, http_request *request,
                       ip_address *client);

bool http_clients_begin(http_clients *clients, const ip_address *client);
void http_clients_end(http_clients *clients, const ip_address *client);

#endif
