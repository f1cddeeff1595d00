/* The only file that includes microhttpd.h, but for careful.c.
 *
 * libmicrohttpd runs N worker threads, each with its own epoll set, and calls these functions for each
 * request: when the first line is read (on_target, which takes an exchange), when the headers are read
 * (on_request without data), for each piece of a body, once more when everything is read, and at the end
 * (on_done, which gives the exchange back). exchange.c decides what happens at each of these moments; this
 * file only connects the two worlds.
 *
 * The reply is sent from the buffer of the exchange, without a copy: the library no longer needs it when it
 * calls on_done.
 *
 * The library decodes targets before it shows them, and cuts them at a NUL. on_target sees the raw text
 * instead, and a function that does nothing replaces the decoding.
 *
 * A response that is queued before the body was read ends the connection; that is the library's rule for
 * POST, and exchange.c asks for it wherever a refusal leaves bytes on the line.
 *
 * A heavy request is answered elsewhere (deferred.c): its connection is suspended, so the library forgets it,
 * timeout included, and calls on_request once more when it is resumed.
 *
 * The library answers some malformed heads itself, before it calls us. 0.9.75 then goes on as if nothing had
 * happened, builds a second header and sends both. All we hear of it is a log line (on_complaint). The line
 * comes from the thread that has just read the head, so if exactly one connection of the thread has an
 * unfinished head, it is that one: it gets our answer and is closed for writing, and the library's answer
 * goes nowhere. With several unfinished heads on one thread there is no way to tell, and the library's answer
 * goes out.
 */
#include "http/careful.h"
#include "http/server.h"
#include "http/connections.h"
#include "http/deferred.h"
#include "http/ticker.h"
#include "http/wire.h"
#include "ra_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKLOG = 511,
    CONNECTION_MEMORY = 32 << 10, /* the head of a request must fit, and so must that of a reply */
    SPARE_DESCRIPTORS = 64,       /* for files, the log, the second address */
    MOST_CONNECTIONS = 1 << 16,   /* when no limit is set */
    CHECK_US = 100000             /* between two looks for what is late */
};

struct http_server {
    struct MHD_Daemon *daemon;
    http_server_options options;
    atomic_size_t in_flight; /* from the first line on */
    http_capacity capacity;
    http_connections *connections;
    http_deferrals *deferrals;
    ticker *watchdog;    /* looks for connections and requests that are late */
    int starter;         /* the thread that starts and stops it */
    char complaint[256]; /* the library's last message on that thread: why it did not start */
    MHD_socket refusing; /* the listening socket once the library has let go of it */
    bool secure, wire_is_known;
};

static int this_thread(void) {
    static _Thread_local int number;
    if (!number) number = (int)syscall(SYS_gettid);
    return number;
}

/* ---- connections --------------------------------------------------------------------------------------- */

static http_connection *watched_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void enter(struct MHD_Connection *connection, http_phase phase) {
    http_connection *watched = watched_of(connection);
    if (watched) http_connection_enter(watched, phase);
}

/* Without memory for its record a connection is served all the same, but its pace is not checked. */
static void on_connection(void *context, struct MHD_Connection *connection, void **record,
                          enum MHD_ConnectionNotificationCode what) {
    http_server *server = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *record = info ? http_connections_add(server->connections, info->connect_fd, this_thread()) : NULL;
    } else if (*record) {
        http_connections_remove(server->connections, *record);
        *record = NULL;
    }
}

/* ---- from the library to the exchange ------------------------------------------------------------------ */

static void *on_target(void *context, const char *target, struct MHD_Connection *connection) {
    http_server *server = context;
    http_exchange *exchange = http_exchange_take(target);
    if (!exchange) return NULL;
    http_connection *watched = watched_of(connection);
    if (watched) {
        http_connection_enter(watched, PHASE_HEAD);
        memcpy(exchange->request.client, watched->client, sizeof exchange->request.client);
    }
    exchange->request.admin = server->options.admin;
    atomic_fetch_add(&server->in_flight, 1);
    return exchange;
}

static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *encoded) {
    (void)context, (void)connection;
    return strlen(encoded);
}

typedef struct header_walk {
    http_headers headers;
    http_wire wire;
    bool wired; /* the wire is checked */
    ra_status status;
    ra_error err;
} header_walk;

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t value_size) {
    (void)kind;
    header_walk *walk = context;
    if (walk->wired) http_wire_header(&walk->wire, name, name_size, value ? value : "", value_size);
    walk->status =
        http_headers_add(&walk->headers, name, name_size, value ? value : "", value_size, &walk->err);
    return walk->status == RA_OK ? MHD_YES : MHD_NO;
}

static void check_head(const http_server *server, header_walk *walk, struct MHD_Connection *connection,
                       const char *method, const char *url, const char *target, const char *version) {
    walk->wired = server->wire_is_known;
    if (walk->wired) http_wire_begin(&walk->wire, method, url, strlen(target), version);
    walk->status = http_headers_first_line(&walk->headers, method, target, &walk->err);
    if (walk->status != RA_OK) return;
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, walk);
    if (walk->status != RA_OK) return;
    if (walk->wired) http_wire_end(&walk->wire);
    if (walk->wired && !walk->wire.good)
        walk->status = ra_error_set(&walk->err, RA_ERR_FORMAT,
                                    "the head of the request has a folded header, a NUL, or a line that does "
                                    "not end in CR LF");
    else
        walk->status =
            http_headers_finish(&walk->headers, strcmp(version, MHD_HTTP_VERSION_1_1) == 0, &walk->err);
}

static void begin(http_server *server, http_exchange *exchange, struct MHD_Connection *connection,
                  const char *url, const char *method, const char *version) {
    header_walk walk = {0};
    check_head(server, &walk, connection, method, url, exchange->raw_target, version);
    exchange->capacity = &server->capacity;
    http_exchange_begin(exchange, server->options.service, method, &walk.headers,
                        walk.status == RA_OK ? NULL : &walk.err);
}

/* ---- from the exchange to the library ------------------------------------------------------------------ */

static enum MHD_Result send_response(http_exchange *exchange, struct MHD_Connection *connection) {
    const http_response *from = http_exchange_reply(exchange);
    if (!from) return MHD_NO;
    enter(connection, PHASE_SENDING);
    http_piece pieces[HTTP_PIECES];
    struct MHD_IoVec parts[HTTP_PIECES];
    size_t count = http_response_pieces(from, pieces), size = count ? pieces[0].size : 0;
    for (size_t i = 0; i < count; i++) parts[i] = (struct MHD_IoVec){pieces[i].data, pieces[i].size};
    struct MHD_Response *response =
        from->tail.holds ? http_careful_response(from)
        : count > 1
            ? MHD_create_response_from_iovec(parts, (unsigned)count, NULL, NULL)
            : MHD_create_response_from_buffer(size, size ? (void *)(uintptr_t)pieces[0].data : (char[]){0},
                                              MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    bool good = MHD_add_response_header(response, "X-Request-Id", exchange->request.id) == MHD_YES;
    if (from->content_type && size)
        good &=
            MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, from->content_type) == MHD_YES;
    if (from->close)
        good &= MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    const char *name, *value;
    for (size_t at = 0; http_response_next_header(from, &at, &name, &value);)
        good &= MHD_add_response_header(response, name, value) == MHD_YES;
    enum MHD_Result result = good ? MHD_queue_response(connection, (unsigned)from->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static void suspend(void *connection) {
    MHD_suspend_connection(connection);
}

static void resume(void *connection) {
    MHD_resume_connection(connection);
}

/* True: a compute thread makes the answer, and the connection is suspended until then. */
static bool finish(http_server *server, http_exchange *exchange, struct MHD_Connection *connection) {
    const http_service *service = server->options.service;
    http_connection *watched = watched_of(connection);
    enter(connection, PHASE_ANSWER);
    if (exchange->step == HTTP_RECEIVING && watched && service->is_heavy) {
        http_exchange_received(exchange);
        if (service->is_heavy(service->context, &exchange->request)) {
            bool deferred = http_defer(server->deferrals, exchange, connection, watched->descriptor);
            if (!deferred) exchange->step = HTTP_READY; /* the response has the reason */
            return deferred;
        }
    }
    http_exchange_finish(exchange, service);
    return false;
}

/* MHD_NO cuts the connection. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **request) {
    http_server *server = context;
    http_exchange *exchange = *request;
    if (!exchange) return MHD_NO;
    if (!exchange->begun) {
        begin(server, exchange, connection, url, method, version);
        enter(connection, PHASE_BODY);
        return exchange->step == HTTP_READY ? send_response(exchange, connection) : MHD_YES;
    }
    if (*data_size) {
        http_connection *watched = watched_of(connection);
        if (watched) http_connection_received(watched, *data_size);
        http_exchange_receive(exchange, data, *data_size);
        *data_size = 0;
        return exchange->step == HTTP_GONE ? MHD_NO : MHD_YES;
    }
    if (exchange->deferral.state == HTTP_NOT_DEFERRED && finish(server, exchange, connection)) return MHD_YES;
    return send_response(exchange, connection);
}

static void on_done(void *context, struct MHD_Connection *connection, void **request,
                    enum MHD_RequestTerminationCode why) {
    (void)why;
    static const http_response nothing;
    http_server *server = context;
    http_exchange *exchange = *request;
    if (!exchange) return;
    const http_service *service = server->options.service;
    const http_response *reply = http_exchange_reply(exchange);
    if (service->done)
        service->done(service->context, &exchange->request, reply ? reply : &nothing,
                      http_exchange_microseconds(exchange));
    http_exchange_leave(exchange);
    http_deferred_give(exchange);
    *request = NULL;
    enter(connection, PHASE_IDLE);
    atomic_fetch_sub(&server->in_flight, 1);
}

/* ---- answers that the library makes itself ------------------------------------------------------------- */

/* Sends the answer past the library and closes the connection for writing. */
static void answer_malformed(const http_server *server, const http_connection *connection, unsigned status) {
    http_request request = {.target = {.path = ""}, .write_problem = server->options.service->write_problem};
    http_response response = {0};
    http_problem(&request, &response, (int)status,
                 status == 400 ? "the request is not valid HTTP: a header is malformed"
                               : "this server does not accept the request");
    char head[256];
    int size =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                 status, http_status_text((int)status), response.content_type, response.body.size);
    struct iovec parts[] = {{head, size < 0 ? 0 : (size_t)size}, {response.body.data, response.body.size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (!response.body.failed) (void)sendmsg(connection->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(connection->descriptor, SHUT_WR);
    http_response_release(&response);
}

/* Messages of the library: nearly all are about what a client did, so they are for debugging. */
static void on_complaint(void *context, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_complaint(void *context, const char *format, va_list args) {
    static const char error_answer[] = "Error processing request (HTTP response code is %u";
    http_server *server = context;
    char line[512];
    va_list copy;
    va_copy(copy, args);
    vsnprintf(line, sizeof line, format, copy);
    va_end(copy);
    line[strcspn(line, "\r\n")] = '\0';
    ra_log(RA_LOG_DEBUG, "connection: %s", line);
    if (this_thread() == server->starter) {
        snprintf(server->complaint, sizeof server->complaint, "%.255s", line);
    } else if (strncmp(format, error_answer, sizeof error_answer - 1) == 0 && !server->secure) {
        http_connection *guilty = http_connections_lone_head(server->connections, this_thread());
        if (guilty) answer_malformed(server, guilty, va_arg(args, unsigned));
    }
}

/* ---- start and stop ------------------------------------------------------------------------------------ */

/* The number of connections that is wanted, or the largest that is possible: raises the soft limit of open
 * files as far as the system allows. */
static unsigned connection_limit(size_t wanted) {
    struct rlimit files;
    size_t most = wanted ? wanted : MOST_CONNECTIONS;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return wanted ? (unsigned)wanted : 1000;
    rlim_t needed = most + SPARE_DESCRIPTORS;
    if (files.rlim_cur < needed) {
        files.rlim_cur = files.rlim_max < needed ? files.rlim_max : needed;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur >= needed) return (unsigned)most;
    size_t possible = files.rlim_cur > 2 * SPARE_DESCRIPTORS ? files.rlim_cur - SPARE_DESCRIPTORS
                                                             : (files.rlim_cur + 1) / 2;
    if (wanted)
        ra_log(RA_LOG_WARNING, "the limit is %zu connections, but the open files allow only %zu", wanted,
               possible);
    return (unsigned)possible;
}

static ra_status start_daemon(http_server *server, const http_tls *tls, ra_error *err) {
    const http_server_options *options = &server->options;
    const char *certificate = tls ? tls->certificate : NULL;
    unsigned limit = connection_limit(options->max_connections);
    if (limit < options->threads) limit = (unsigned)options->threads; /* the library needs one per thread */
    if (certificate && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
        close(options->descriptor);
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "libmicrohttpd is built without TLS, so https cannot be served");
    }
    struct MHD_OptionItem settings[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_complaint, server}, /* first, to hear about the others */
        {MHD_OPTION_LISTEN_SOCKET, options->descriptor, NULL},
#if MHD_VERSION >= 0x01000000
        {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL}, /* refuses bare line feeds and folds */
#endif
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, limit, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)options->max_per_address, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)options->idle_seconds, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_encoded, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_done, server},
        {MHD_OPTION_END, 0, NULL},
    };
    static const char tls_versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? tls->key : NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_versions},
        {MHD_OPTION_END, 0, NULL},
    };
    /* the library complains about a pool of one thread */
    struct MHD_OptionItem pool[] = {
        {options->threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)options->threads,
         NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG |
                     MHD_ALLOW_SUSPEND_RESUME | (certificate ? (unsigned)MHD_USE_TLS : 0);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_ARRAY, settings, MHD_OPTION_ARRAY, pool,
        certificate ? MHD_OPTION_ARRAY : MHD_OPTION_END, secure, MHD_OPTION_END);
    if (!daemon && certificate)
        RA_FAIL(err, RA_ERR_FORMAT, "https does not work with this certificate and key: %s",
                server->complaint);
    if (!daemon) /* it has closed the socket */
        RA_FAIL(err, RA_ERR_IO, "libmicrohttpd did not start with %zu threads: %s", options->threads,
                server->complaint);
    server->daemon = daemon;
    return RA_OK;
}

static void check_late(void *context, bool asked) {
    (void)asked;
    http_server *server = context;
    uint64_t now = http_now();
    http_deferrals_check(server->deferrals, now);
    http_connections_check(server->connections, now);
}

/* Everything but the daemon. */
static void release(http_server *server) {
    ticker_stop(server->watchdog, TICKER_FOREVER);
    http_connections_free(server->connections);
    http_deferrals_release(server->deferrals);
    ra_free(server);
}

/* The parts that the daemon needs, which do not own the socket. */
static ra_status prepare(http_server *server, ra_error *err) {
    http_deferrals_options deferring = {.service = server->options.service,
                                        .deadline = (uint64_t)server->options.deadline_ms * 1000,
                                        .suspend = suspend,
                                        .resume = resume};
    server->connections = http_connections_new(server->options.header_seconds);
    server->deferrals = http_deferrals_new(&deferring);
    if (!server->connections || !server->deferrals) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the server");
    ticker_options clock = {
        .name = "the watchdog", .every_us = CHECK_US, .work = check_late, .context = server};
    return ticker_start(&clock, &server->watchdog, err);
}

ra_status http_server_start(const http_server_options *options, http_server **out, ra_error *err) {
    http_server *server = ra_calloc(1, sizeof *server);
    if (!server || listen(options->descriptor, BACKLOG) != 0) {
        const char *reason = server ? strerror(errno) : "out of memory";
        close(options->descriptor);
        ra_free(server);
        RA_FAIL(err, RA_ERR_IO, "the server cannot listen: %s", reason);
    }
    server->options = *options;
    server->options.tls = NULL;
    server->capacity.limit = options->max_in_flight;
    server->secure = options->tls && options->tls->certificate;
    server->wire_is_known = http_wire_is_known(MHD_get_version());
    server->starter = this_thread();
    server->refusing = MHD_INVALID_SOCKET;
    ra_status status = prepare(server, err);
    if (status != RA_OK)
        close(options->descriptor);
    else
        status = start_daemon(server, options->tls, err);
    if (status == RA_OK)
        *out = server;
    else
        release(server);
    return status;
}

/* Shuts the socket down without closing it: an I/O thread may be about to wait for it once more. */
void http_server_refuse(http_server *server) {
    if (server->refusing != MHD_INVALID_SOCKET) return;
    server->refusing = MHD_quiesce_daemon(server->daemon);
    if (server->refusing != MHD_INVALID_SOCKET && !server->options.shared)
        (void)shutdown(server->refusing, SHUT_RDWR);
}

/* The library fails with ENFILE when it is full, and closes its side whenever it fails. */
int http_server_join(http_server *server, bool *secure) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return -1;
    struct sockaddr_un nameless = {.sun_family = AF_UNIX};
    *secure = server->secure;
    (void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
    if (MHD_add_connection(server->daemon, pair[1], (struct sockaddr *)&nameless,
                           sizeof nameless.sun_family) == MHD_YES)
        return pair[0];
    int reason = errno;
    close(pair[0]);
    errno = reason;
    return -1;
}

size_t http_server_in_flight(const http_server *server) {
    return atomic_load(&server->in_flight) + http_connections_expecting(server->connections, http_now());
}

size_t http_server_connections(const http_server *server) {
    return http_connections_count(server->connections);
}

/* Waits a moment for the answers to requests that were just refused. */
static void send_refusals(const http_server *server, size_t refused) {
    enum { STEPS = 100, STEP_NANOSECONDS = 5000000 };
    size_t before = atomic_load(&server->in_flight), others = before > refused ? before - refused : 0;
    struct timespec step = {.tv_nsec = STEP_NANOSECONDS};
    for (int i = 0; i < STEPS && refused && atomic_load(&server->in_flight) > others; i++)
        nanosleep(&step, NULL);
}

/* A daemon must not be stopped while connections are suspended. */
void http_server_stop(http_server *server) {
    if (!server) return;
    if (server->options.shared) http_server_refuse(server); /* else the library may shut it down */
    send_refusals(server, http_deferrals_end(server->deferrals));
    MHD_stop_daemon(server->daemon);
    if (server->refusing != MHD_INVALID_SOCKET) close(server->refusing);
    release(server);
}
