#include "http/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_port(const char *text) {
    size_t digits = strspn(text, "0123456789");
    return digits >= 1 && digits <= 5 && !text[digits] && strtoul(text, NULL, 10) <= 65535;
}

ra_status http_address_parse(const char *text, http_address *address, ra_error *err) {
    *address = (http_address){.port = ""};
    if (unix_address_is(text)) return unix_address_parse(text, &address->local, err);
    const char *colon = strrchr(text, ':');
    if (!colon) RA_FAIL(err, RA_ERR_ARGUMENT, "the address '%s' has no port, expected HOST:PORT", text);
    if (!is_port(colon + 1))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the port of the address '%s' is not a number from 0 to 65535", text);
    const char *host = text;
    size_t size = (size_t)(colon - text);
    if (size >= 2 && text[0] == '[' && colon[-1] == ']') {
        host = text + 1;
        size -= 2;
    } else if (memchr(text, ':', size)) {
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "the address '%s' has several colons; write an IPv6 address as [ADDRESS]:PORT", text);
    }
    if (size >= sizeof address->host)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the host of the address has more than %zu characters",
                sizeof address->host - 1);
    snprintf(address->host, sizeof address->host, "%.*s", (int)size, host);
    snprintf(address->port, sizeof address->port, "%s", colon + 1);
    return RA_OK;
}

static int try_bind(const struct addrinfo *info) {
    int descriptor =
        socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    if (descriptor < 0) return -1;
    int yes = 1;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes,
                     sizeof yes); /* a restart does not have to wait */
    if (bind(descriptor, info->ai_addr, info->ai_addrlen) == 0) return descriptor;
    int reason = errno;
    close(descriptor);
    errno = reason;
    return -1;
}

static void write_url(int descriptor, bool secure, char *url) {
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    char host[HTTP_HOST_SIZE] = "?", port[8] = "?";
    bool named = getsockname(descriptor, (struct sockaddr *)&bound, &size) == 0;
    if (named && bound.ss_family == AF_UNIX) {
        snprintf(url, HTTP_ADDRESS_SIZE, "unix:%.*s", UNIX_PATH_SIZE,
                 ((struct sockaddr_un *)(void *)&bound)->sun_path);
        return;
    }
    if (named)
        (void)getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    bool bracket = strchr(host, ':') != NULL;
    snprintf(url, HTTP_ADDRESS_SIZE, "%s://%s%s%s:%s", secure ? "https" : "http", bracket ? "[" : "", host,
             bracket ? "]" : "", port);
}

ra_status http_listener_open(http_address *address, int *descriptor, char *url, ra_error *err) {
    if (address->local.path[0]) {
        RA_TRY(unix_socket_open(&address->local, descriptor, err));
        write_url(*descriptor, false, url);
        return RA_OK;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    const char *host = address->host[0] ? address->host : NULL;
    int failure = getaddrinfo(host, address->port, &hints, &found);
    if (failure)
        RA_FAIL(err, RA_ERR_IO, "cannot listen on %s:%s: %s", address->host, address->port,
                failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
    int bound = -1;
    for (const struct addrinfo *info = found; info && bound < 0; info = info->ai_next) bound = try_bind(info);
    int reason = errno;
    freeaddrinfo(found);
    if (bound < 0)
        RA_FAIL(err, RA_ERR_IO, "cannot listen on %s:%s: %s", address->host, address->port, strerror(reason));
    write_url(bound, address->secure, url);
    *descriptor = bound;
    return RA_OK;
}

static int option_of(int descriptor, int option) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

ra_status http_listener_adopt(int descriptor, bool secure, char *url, ra_error *err) {
    int flags = fcntl(descriptor, F_GETFL);
    bool local = option_of(descriptor, SO_DOMAIN) == AF_UNIX && option_of(descriptor, SO_TYPE) == SOCK_STREAM;
    if (option_of(descriptor, SO_ACCEPTCONN) != 1 ||
        (!local && option_of(descriptor, SO_PROTOCOL) != IPPROTO_TCP))
        RA_FAIL(err, RA_ERR_STATE,
                "the descriptor %d from the service manager is not a listening stream socket", descriptor);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0)
        RA_FAIL(err, RA_ERR_IO, "the socket from the service manager cannot be used: %s", strerror(errno));
    write_url(descriptor, secure, url);
    return RA_OK;
}
