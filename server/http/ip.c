#include "http/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { MAPPED = 12 }; /* bytes before an IPv4 address */

static const unsigned char mapped[MAPPED] = {[10] = 0xff, [11] = 0xff};

static void map(const void *v4, ip_address *out) {
    memcpy(out->bytes, mapped, MAPPED);
    memcpy(out->bytes + MAPPED, v4, IP_BYTES - MAPPED);
}

bool ip_of_peer(const struct sockaddr *peer, ip_address *out) {
    const void *at = peer;
    if (peer->sa_family == AF_INET6)
        memcpy(out->bytes, &((const struct sockaddr_in6 *)at)->sin6_addr, IP_BYTES);
    else if (peer->sa_family == AF_INET)
        map(&((const struct sockaddr_in *)at)->sin_addr, out);
    else
        return false;
    return true;
}

bool ip_parse(const char *text, size_t size, ip_address *out) {
    char copy[IP_TEXT_SIZE];
    struct in_addr v4;
    if (size >= sizeof copy || memchr(text, '\0', size)) return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (inet_pton(AF_INET6, copy, out->bytes) == 1) return true;
    if (inet_pton(AF_INET, copy, &v4) != 1) return false;
    map(&v4, out);
    return true;
}

bool ip_is_v4(const ip_address *address) {
    return memcmp(address->bytes, mapped, MAPPED) == 0;
}

void ip_write(const ip_address *address, char text[IP_TEXT_SIZE]) {
    bool v4 = ip_is_v4(address);
    if (!inet_ntop(v4 ? AF_INET : AF_INET6, address->bytes + (v4 ? MAPPED : 0), text, IP_TEXT_SIZE))
        text[0] = '\0';
}

bool ip_same_start(const ip_address *a, const ip_address *b, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->bytes, b->bytes, whole) != 0) return false;
    return !rest || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}
