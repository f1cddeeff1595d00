/* addresses.h - how many connections each client address has, for the limit per address.
 *
 *     if (!http_addresses_enter(table, &address)) ... it has all that it may have: refuse the connection ...
 *     ...
 *     http_addresses_leave(table, &address);      when a connection that entered is closed
 *
 * Without memory for a new address its connections are not counted. Requests can be counted just as well (clients.h).
 *
 * Thread safety: any thread may call enter and leave.
 */
#ifndef RASAED_HTTP_ADDRESSES_H
#define RASAED_HTTP_ADDRESSES_H

#include "http/ip.h"

typedef struct http_addresses http_addresses;

http_addresses *http_addresses_new(size_t most); /* of one address; 0: no limit. NULL: out of memory */
void http_addresses_free(http_addresses *table); /* NULL is fine */

bool http_addresses_enter(http_addresses *table, const ip_address *address);
void http_addresses_leave(http_addresses *table, const ip_address *address);

#endif
