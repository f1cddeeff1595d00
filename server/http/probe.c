/* A client of a hundred lines, so that an image without a shell or curl can check its server. It reads the
 * status line and nothing after it. Two limits bound the time: the timeouts of the socket bound each call,
 * and a deadline bounds them all, for a server that sends byte by byte.
 */
#include "http/probe.h"
#include "http/listener.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 1024 };

typedef struct url {
    http_address address;
    char path[PATH_SIZE];
} url;

typedef struct channel {
    int descriptor;
    gnutls_session_t session; /* NULL: plain */
    gnutls_certificate_credentials_t credentials;
    struct timespec deadline;
    const char *name, *reason; /* of the server; of the failure */
} channel;

/* ---- URLs ---------------------------------------------------------------------------------------------- */

/* "unix:/run/rasaed.sock", or with a path of the server behind it: "unix:/run/rasaed.sock:/health/live" */
static ra_status parse_local(const char *text, url *out, ra_error *err) {
    char socket[HTTP_ADDRESS_SIZE];
    const char *path = strstr(text + strlen("unix:"), ":/");
    if (path && (strlen(path) > PATH_SIZE || path[strcspn(path, " \r\n")]))
        RA_FAIL(err, RA_ERR_ARGUMENT, "'%s' has no good path behind the socket", text);
    snprintf(socket, sizeof socket, "%.*s", path ? (int)(path - text) : (int)strlen(text), text);
    snprintf(out->path, PATH_SIZE, "%s", path ? path + 1 : "/health/ready");
    return http_address_parse(socket, &out->address, err);
}

static ra_status parse(const char *text, url *out, ra_error *err) {
    if (unix_address_is(text)) return parse_local(text, out, err);
    static const struct {
        const char *prefix, *port;
        bool secure;
    } schemes[] = {{"http://", "80", false}, {"https://", "443", true}};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t size = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, size) != 0) continue;
        const char *host = text + size, *path = strchrnul(host, '/');
        const char *colon = memrchr(host, ':', (size_t)(path - host));
        bool has_port = colon && !memchr(colon, ']', (size_t)(path - colon));
        char host_port[HTTP_ADDRESS_SIZE];
        int written = snprintf(host_port, sizeof host_port, "%.*s%s%s", (int)(path - host), host,
                               has_port ? "" : ":", has_port ? "" : schemes[i].port);
        if (path == host || colon == host || written >= (int)sizeof host_port) break;
        if (strlen(path) >= PATH_SIZE || path[strcspn(path, " \r\n")]) break;
        snprintf(out->path, PATH_SIZE, "%s", *path ? path : "/health/ready");
        RA_TRY(http_address_parse(host_port, &out->address, err));
        out->address.secure = schemes[i].secure;
        return RA_OK;
    }
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "'%s' is not a URL to probe, expected one like http://127.0.0.1:8080/health/ready", text);
}

/* ---- the connection ------------------------------------------------------------------------------------ */

static bool is_over(const channel *to) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > to->deadline.tv_sec ||
           (now.tv_sec == to->deadline.tv_sec && now.tv_nsec >= to->deadline.tv_nsec);
}

static void limit_time(int descriptor, unsigned seconds) {
    struct timeval limit = {.tv_sec = (time_t)seconds};
    (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* also of connect() */
}

static ra_status connect_to(const http_address *address, const char *name, unsigned seconds, int *descriptor,
                            ra_error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (address->local.path[0]) {
        *descriptor = unix_socket_connect(&address->local);
        if (*descriptor < 0) RA_FAIL(err, RA_ERR_IO, "%s does not answer: %s", name, strerror(errno));
        return RA_OK;
    }
    int failure = getaddrinfo(address->host, address->port, &hints, &found);
    if (failure)
        RA_FAIL(err, RA_ERR_IO, "%s cannot be found: %s", name,
                failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
    int connected = -1, reason = 0;
    for (const struct addrinfo *at = found; at && connected < 0; at = at->ai_next) {
        connected = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (connected >= 0) limit_time(connected, seconds);
        if (connected >= 0 && connect(connected, at->ai_addr, at->ai_addrlen) == 0) break;
        reason = errno == EINPROGRESS ? ETIMEDOUT : errno;
        if (connected >= 0) close(connected);
        connected = -1;
    }
    freeaddrinfo(found);
    if (connected < 0) RA_FAIL(err, RA_ERR_IO, "%s does not answer: %s", name, strerror(reason));
    *descriptor = connected;
    return RA_OK;
}

/* ---- plain or TLS -------------------------------------------------------------------------------------- */

static const char *no_answer(void) {
    return errno == EAGAIN ? "timed out" : strerror(errno);
}

static bool secure_channel(channel *to) {
    int failure = gnutls_certificate_allocate_credentials(&to->credentials);
    if (!failure) failure = gnutls_init(&to->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    if (!failure) failure = gnutls_set_default_priority(to->session);
    if (!failure) failure = gnutls_credentials_set(to->session, GNUTLS_CRD_CERTIFICATE, to->credentials);
    if (!failure) {
        gnutls_transport_set_int(to->session, to->descriptor);
        do failure = gnutls_handshake(to->session);
        while (failure < 0 && failure != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(failure) && !is_over(to));
    }
    if (failure) to->reason = failure == GNUTLS_E_AGAIN ? "timed out" : gnutls_strerror(failure);
    return failure == 0;
}

static bool send_all(channel *to, const char *data, size_t size) {
    while (size && !is_over(to)) {
        ssize_t sent = to->session ? gnutls_record_send(to->session, data, size)
                                   : send(to->descriptor, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            to->reason = to->session ? gnutls_strerror((int)sent) : no_answer();
            return false;
        }
        data += sent;
        size -= (size_t)sent;
    }
    return size == 0;
}

/* Reads to the end of the first line, the end of the reply, or as much as there is room for. */
static bool receive_line(channel *to, char *line, size_t size) {
    size_t used = 0;
    line[0] = '\0';
    while (used + 1 < size && !strchr(line, '\n')) {
        if (is_over(to)) return false;
        ssize_t got = to->session ? gnutls_record_recv(to->session, line + used, size - 1 - used)
                                  : recv(to->descriptor, line + used, size - 1 - used, 0);
        /* TLS 1.3 sends tickets in between */
        if (to->session && (got == GNUTLS_E_INTERRUPTED || got == GNUTLS_E_AGAIN) && !is_over(to)) continue;
        if (got < 0) to->reason = to->session ? gnutls_strerror((int)got) : no_answer();
        if (got < 0) return false;
        if (got == 0) break;
        used += (size_t)got;
        line[used] = '\0';
    }
    return true;
}

static ra_status ask(channel *to, bool secure, const char *path, ra_error *err) {
    char request[PATH_SIZE + 128], line[128];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: rasaed-probe\r\n"
                        "Connection: close\r\n\r\n",
                        path);
    if ((secure && !secure_channel(to)) || !send_all(to, request, (size_t)size) ||
        !receive_line(to, line, sizeof line))
        RA_FAIL(err, RA_ERR_IO, "%s does not answer: %s", to->name, to->reason);
    unsigned status = 0;
    if (sscanf(line, "HTTP/1.%*1u %3u", &status) != 1)
        RA_FAIL(err, RA_ERR_IO, "%s does not answer in HTTP", to->name);
    if (status != 200)
        RA_FAIL(err, RA_ERR_STATE, "%s is not healthy: it answered %u, expected 200", to->name, status);
    return RA_OK;
}

/* Over a connected stream socket, which it closes; error messages call the server `name`. */
static ra_status probe_over(int descriptor, bool secure, const char *name, const char *path, unsigned seconds,
                            ra_error *err) {
    channel to = {.descriptor = descriptor, .name = name, .reason = "timed out"};
    clock_gettime(CLOCK_MONOTONIC, &to.deadline);
    to.deadline.tv_sec += (time_t)seconds;
    limit_time(descriptor, seconds);
    ra_status status = ask(&to, secure, path, err);
    if (to.session) gnutls_deinit(to.session);
    if (to.credentials) gnutls_certificate_free_credentials(to.credentials);
    close(descriptor);
    return status;
}

ra_status http_probe(const char *text, unsigned seconds, ra_error *err) {
    url where = {0};
    int descriptor = -1;
    RA_TRY(parse(text, &where, err));
    RA_TRY(connect_to(&where.address, text, seconds, &descriptor, err));
    return probe_over(descriptor, where.address.secure, text, where.path, seconds, err);
}
