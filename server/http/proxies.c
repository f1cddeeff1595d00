#include "http/proxies.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char local[] = "unix";

static void clear_below(ip_address *address, unsigned bits) {
    for (unsigned i = bits; i < IP_BITS; i++) address->bytes[i / 8] &= (unsigned char)~(0x80u >> i % 8);
}

/* A prefix of one to three digits, up to `most`. */
static bool read_prefix(const char *digits, unsigned most, unsigned *prefix) {
    size_t size = strspn(digits, "0123456789");
    *prefix = 0;
    for (size_t i = 0; i < size && size <= 3; i++) *prefix = *prefix * 10 + (unsigned)(digits[i] - '0');
    return size >= 1 && size <= 3 && !digits[size] && *prefix <= most;
}

static ra_status read_network(const char *item, ip_network *out, ra_error *err) {
    size_t size = strcspn(item, "/");
    unsigned prefix = 0;
    if (!ip_parse(item, size, &out->address))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "\"%s\" is no address or network; expected one such as 10.0.0.0/8, 192.0.2.7 or "
                "2001:db8::/32, or unix",
                item);
    unsigned most = ip_is_v4(&out->address) && !memchr(item, ':', size) ? IP_V4_BITS : IP_BITS;
    out->bits = IP_BITS;
    if (!item[size]) return RA_OK;
    if (!read_prefix(item + size + 1, most, &prefix))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "\"%s\" ends in no prefix; expected a number from 0 to %u after the slash", item, most);
    out->bits = IP_BITS - most + prefix;
    ip_address start = out->address;
    clear_below(&start, out->bits);
    if (memcmp(&start, &out->address, sizeof start) == 0) return RA_OK;
    char text[IP_TEXT_SIZE];
    ip_write(&start, text);
    RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" has bits beyond its prefix; did you mean %s/%u?", item, text,
            prefix);
}

ra_status http_proxies_check(const char *item, ra_error *err) {
    ip_network network;
    return strcmp(item, local) == 0 ? RA_OK : read_network(item, &network, err);
}

ra_status http_proxies_init(http_proxies *proxies, char *const *items, size_t count, ra_error *err) {
    *proxies = (http_proxies){.networks = ra_calloc(count, sizeof *proxies->networks)};
    if (!proxies->networks && count)
        RA_FAIL_MEMORY(err, "the trusted proxies", count * sizeof *proxies->networks);
    for (size_t i = 0; i < count; i++) {
        bool is_local = strcmp(items[i], local) == 0;
        ra_status status = is_local ? RA_OK : read_network(items[i], &proxies->networks[proxies->count], err);
        if (status != RA_OK) {
            http_proxies_release(proxies);
            return status;
        }
        proxies->local |= is_local;
        proxies->count += !is_local;
    }
    return RA_OK;
}

void http_proxies_release(http_proxies *proxies) {
    ra_free(proxies->networks);
    *proxies = (http_proxies){0};
}

/* ::/0 is all of IPv6 and nothing of IPv4, although that is written within it. */
bool http_proxies_has(const http_proxies *proxies, const ip_address *address) {
    for (size_t i = 0; i < proxies->count; i++) {
        const ip_network *network = &proxies->networks[i];
        if (ip_is_v4(&network->address) == ip_is_v4(address) &&
            ip_same_start(&network->address, address, network->bits))
            return true;
    }
    return false;
}

bool http_proxies_has_peer(const http_proxies *proxies, const struct sockaddr *peer) {
    ip_address address;
    if (peer->sa_family == AF_UNIX) return proxies->local;
    return ip_of_peer(peer, &address) && http_proxies_has(proxies, &address);
}
