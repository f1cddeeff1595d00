/* ip.h - an address of the Internet Protocol as a number: what clients are compared and counted by.
 *
 * The IPv4 address 192.0.2.1 is ::ffff:192.0.2.1, as on a socket that serves both, so that a client is the same one however
 * it comes. Thread safety: plain data.
 */
#ifndef RASAED_HTTP_IP_H
#define RASAED_HTTP_IP_H

#include <stdbool.h>
#include <stddef.h>

struct sockaddr;

enum { IP_BYTES = 16, IP_BITS = 128, IP_V4_BITS = 32, IP_TEXT_SIZE = 46 };

typedef struct ip_address {
    unsigned char bytes[IP_BYTES];
} ip_address;

bool ip_of_peer(const struct sockaddr *peer, ip_address *out); /* false: another family */

/* "192.0.2.1" or "2001:db8::1", without port, brackets or zone. */
bool ip_parse(const char *text, size_t size, ip_address *out);

void ip_write(const ip_address *address, char text[IP_TEXT_SIZE]);

bool ip_is_v4(const ip_address *address);

/* Whether both begin with the same bits, counted from the first of the 128. */
bool ip_same_start(const ip_address *a, const ip_address *b, unsigned bits);

#endif
