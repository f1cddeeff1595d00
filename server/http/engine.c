/* The only file that includes microhttpd.h, but for careful.c.
 *
 * libmicrohttpd calls these functions for each request: when the first line is read (on_target, which takes an
 * exchange), when the headers are read (on_request without data), for each piece of a body, once more when
 * everything is read, and at the end (on_done, which gives the exchange back). exchange.c decides what happens
 * at each of these moments; this file only connects the two worlds.
 *
 * The library could run threads and listen, too. It does neither here: its own loop waits again after a full
 * batch of 128 events before it serves them, which stops a thread whose connections become ready all at once;
 * it spreads connections by chance; it may abort when it stops while a connection is being resumed; and it
 * aborts when two threads take the listening socket out of one set (0.9.75 to 1.0.1, all of them). With a
 * daemon per thread that only this thread ever calls, none of that can happen.
 *
 * The reply is sent from the buffer of the exchange, without a copy, or in pieces when it is large (careful.c): the
 * library no longer needs it when it calls on_done.
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
 * comes when the head has just been read, so if exactly one connection of the thread has an unfinished head,
 * it is that one: it gets our answer and is closed for writing, and the library's answer goes nowhere. With
 * several unfinished heads on one thread there is no way to tell, and the library's answer goes out.
 */
#include "http/engine.h"
#include "http/careful.h"
#include "http/lingering.h"
#include "http/past.h"
#include "http/wire.h"
#include "ra_memory.h"

#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    CONNECTION_MEMORY = 32 << 10, /* the head of a request must fit, and so must that of a reply */
    MOST_CONNECTIONS = INT_MAX    /* the acceptor has the limit */
};

struct http_engine {
    struct MHD_Daemon *daemon;
    http_engine_options options;
    http_connection *arriving; /* added, and not yet started */
    http_lingering *lingering;
    size_t suspended, owed;
    http_turns turns;        /* of the replies that are sent in pieces */
    atomic_size_t in_flight; /* from the first line on */
    bool started, closing;
    char complaint[256]; /* the library's last message: why it did not start */
    bool secure, wire_is_known;
};

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

static void forget(http_engine *engine, http_connection *watched) {
    if (engine->options.closed) engine->options.closed(engine->options.context, watched);
    http_connections_remove(engine->options.connections, watched);
}

static void forget_lingering(void *engine, http_connection *watched) {
    forget(engine, watched);
}

/* Whether closing the socket could cost the client an answer: bytes that nobody has read make a reset of it. */
static bool may_linger(const http_engine *engine, const http_connection *watched) {
    int unread = 0;
    if (engine->closing || watched->cut || watched->spare) return false;
    return watched->lingers || (ioctl(watched->descriptor, FIONREAD, &unread) == 0 && unread > 0);
}

/* The one with this descriptor leaves the list of those that arrive; NULL: it is not there. */
static http_connection *take_arriving(http_engine *engine, int descriptor) {
    for (http_connection **at = &engine->arriving; *at; at = &(*at)->next) {
        http_connection *found = *at;
        if (found->descriptor != descriptor) continue;
        *at = found->next;
        return found;
    }
    return NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **record,
                          enum MHD_ConnectionNotificationCode what) {
    http_engine *engine = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *record = info ? take_arriving(engine, info->connect_fd) : NULL;
    } else if (*record) {
        if (!may_linger(engine, *record) || !http_lingering_take(engine->lingering, *record))
            forget(engine, *record);
        *record = NULL;
    }
}

/* The library tells that a connection has started, at once (0.9.75) or in the next run (1.0.1). What has not started
 * by then never will, for want of memory, and the library has closed it. */
void http_engine_add(http_engine *engine, http_connection *connection) {
    int descriptor = connection->descriptor;
    connection->next = engine->arriving;
    engine->arriving = connection;
    if (MHD_add_connection(engine->daemon, descriptor, (const struct sockaddr *)&connection->peer,
                           connection->peer_size) == MHD_YES)
        return;
    http_connection *refused = take_arriving(engine, descriptor);
    if (refused) forget(engine, refused);
}

static void forget_those_that_did_not_start(http_engine *engine) {
    while (engine->arriving) {
        http_connection *next = engine->arriving->next;
        forget(engine, engine->arriving);
        engine->arriving = next;
    }
}

/* ---- from the library to the exchange ------------------------------------------------------------------ */

static void *on_target(void *context, const char *target, struct MHD_Connection *connection) {
    http_engine *engine = context;
    http_exchange *exchange = http_exchange_take(target);
    if (!exchange) return NULL;
    http_connection *watched = watched_of(connection);
    if (watched) {
        http_connection_enter(watched, PHASE_HEAD);
        memcpy(exchange->request.client, watched->client, sizeof exchange->request.client);
    }
    exchange->spare = watched && watched->spare;
    exchange->request.admin = engine->options.admin;
    atomic_fetch_add(&engine->in_flight, 1);
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

static void check_head(const http_engine *engine, header_walk *walk, struct MHD_Connection *connection,
                       const char *method, const char *url, const char *target, const char *version) {
    walk->wired = engine->wire_is_known;
    if (walk->wired) http_wire_begin(&walk->wire, method, url, strlen(target), version);
    walk->status = http_headers_first_line(method, target, &walk->err);
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

static void begin(http_engine *engine, http_exchange *exchange, struct MHD_Connection *connection,
                  const char *url, const char *method, const char *version) {
    header_walk walk = {0};
    const http_connection *watched = watched_of(connection);
    check_head(engine, &walk, connection, method, url, exchange->raw_target, version);
    if (walk.status == RA_OK && watched && watched->proxy && engine->options.clients &&
        http_clients_name(engine->options.clients, &walk.headers, &exchange->request, &exchange->client))
        exchange->clients = engine->options.clients;
    exchange->capacity = engine->options.capacity;
    exchange->bodies = engine->options.bodies;
    http_exchange_begin(exchange, engine->options.service, method, &walk.headers,
                        walk.status == RA_OK ? NULL : &walk.err);
    if (exchange->spare && !exchange->request.vital && engine->options.refused)
        atomic_fetch_add(engine->options.refused, 1);
}

/* ---- from the exchange to the library ------------------------------------------------------------------ */

static enum MHD_Result send_response(http_engine *engine, http_exchange *exchange,
                                     struct MHD_Connection *connection) {
    const http_response *from = http_exchange_reply(exchange);
    if (!from) return MHD_NO;
    http_connection *watched = watched_of(connection);
    if (watched) watched->lingers = from->close;
    enter(connection, PHASE_SENDING);
    RA_UNINITIALIZED http_piece pieces[HTTP_PIECES];
    RA_UNINITIALIZED struct MHD_IoVec parts[HTTP_PIECES];
    size_t count = http_response_pieces(from, pieces), size = count ? pieces[0].size : 0;
    for (size_t i = 0; i < count; i++) parts[i] = (struct MHD_IoVec){pieces[i].data, pieces[i].size};
    struct MHD_Response *response =
        http_is_for_pieces(from) ? http_careful_response(from, &engine->turns)
        : count > 1
            ? MHD_create_response_from_iovec(parts, (unsigned)count, NULL, NULL)
            : MHD_create_response_from_buffer(size, size ? (void *)(uintptr_t)pieces[0].data : (char[]){0},
                                              MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    bool good = MHD_add_response_header(response, "X-Request-Id", exchange->request.id) == MHD_YES;
    if (from->content_type) /* also of no bytes: a tensor without rows */
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

/* The job may be done before this returns; its thread only leaves word for this one. */
static bool defer(http_engine *engine, http_exchange *exchange, struct MHD_Connection *connection,
                  int descriptor) {
    if (!http_defer(engine->options.deferrals, exchange, connection, engine->options.home, descriptor))
        return false;
    MHD_suspend_connection(connection);
    engine->suspended++;
    return true;
}

void http_engine_resume(http_engine *engine, http_exchange *exchange) {
    engine->suspended--;
    engine->owed++;
    MHD_resume_connection(exchange->deferral.connection);
}

/* True: a compute thread makes the answer, and the connection is suspended until then. */
static bool finish(http_engine *engine, http_exchange *exchange, struct MHD_Connection *connection) {
    const http_service *service = engine->options.service;
    http_connection *watched = watched_of(connection);
    enter(connection, PHASE_ANSWER);
    if (exchange->step == HTTP_RECEIVING && watched && service->is_heavy) {
        http_exchange_received(exchange);
        if (service->is_heavy(service->context, &exchange->request)) {
            bool deferred = defer(engine, exchange, connection, watched->descriptor);
            if (!deferred) exchange->step = HTTP_READY; /* the response has the reason */
            return deferred;
        }
    }
    http_exchange_finish(exchange, service);
    return false;
}

/* A client that sends a refused body without end gets its answer all the same: the library takes none in the middle of
 * a body. */
static void answer_in_the_middle(http_exchange *exchange, struct MHD_Connection *connection,
                                 http_connection *watched) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    const http_response *reply = http_exchange_reply(exchange);
    if (!watched || !reply) return;
    http_past_send(watched->descriptor, info ? info->tls_session : NULL, reply, exchange->request.id);
    watched->lingers = true;
}

/* MHD_NO cuts the connection. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **request) {
    http_engine *engine = context;
    http_exchange *exchange = *request;
    if (!exchange) return MHD_NO;
    if (!exchange->begun) {
        begin(engine, exchange, connection, url, method, version);
        enter(connection, PHASE_BODY);
        return exchange->step == HTTP_READY ? send_response(engine, exchange, connection) : MHD_YES;
    }
    if (*data_size) {
        http_connection *watched = watched_of(connection);
        if (watched) http_connection_received(watched, *data_size);
        http_exchange_receive(exchange, data, *data_size);
        *data_size = 0;
        if (exchange->step != HTTP_GONE) return MHD_YES;
        answer_in_the_middle(exchange, connection, watched);
        return MHD_NO;
    }
    if (exchange->deferral.state == HTTP_NOT_DEFERRED && finish(engine, exchange, connection)) return MHD_YES;
    return send_response(engine, exchange, connection);
}

static void on_done(void *context, struct MHD_Connection *connection, void **request,
                    enum MHD_RequestTerminationCode why) {
    (void)why;
    static const http_response nothing;
    http_engine *engine = context;
    http_exchange *exchange = *request;
    if (!exchange) return;
    const http_service *service = engine->options.service;
    const http_response *reply = http_exchange_reply(exchange);
    if (service->done)
        service->done(service->context, &exchange->request, reply ? reply : &nothing,
                      http_exchange_microseconds(exchange));
    if (exchange->deferral.state != HTTP_NOT_DEFERRED) engine->owed--;
    http_exchange_leave(exchange);
    http_deferred_give(exchange);
    *request = NULL;
    enter(connection, PHASE_IDLE);
    atomic_fetch_sub(&engine->in_flight, 1);
}

/* ---- answers that the library makes itself ------------------------------------------------------------- */

/* Sends the answer past the library and closes the connection for writing. */
static void answer_malformed(const http_engine *engine, http_connection *connection, unsigned status) {
    http_request request = {.target = {.path = ""}, .write_problem = engine->options.service->write_problem};
    http_response response = {0};
    http_problem(&request, &response,
                 status == 413   ? PROBLEM_BODY_TOO_LARGE
                 : status == 431 ? PROBLEM_HEADERS_TOO_LARGE
                                 : PROBLEM_MALFORMED_REQUEST,
                 status == 400 ? "the request is not valid HTTP: a header is malformed"
                               : "this server does not accept the request",
                 NULL);
    http_past_send(connection->descriptor, NULL, &response, "");
    connection->lingers = true;
    (void)shutdown(connection->descriptor, SHUT_WR);
    http_response_release(&response);
}

/* Messages of the library: nearly all are about what a client did, so they are for debugging. */
static void on_complaint(void *context, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_complaint(void *context, const char *format, va_list args) {
    static const char error_answer[] = "Error processing request (HTTP response code is %u";
    http_engine *engine = context;
    char line[512];
    va_list copy;
    va_copy(copy, args);
    vsnprintf(line, sizeof line, format, copy);
    va_end(copy);
    line[strcspn(line, "\r\n")] = '\0';
    ra_log(RA_LOG_DEBUG, "connection: %s", line);
    if (!engine->started) {
        snprintf(engine->complaint, sizeof engine->complaint, "%.255s", line);
    } else if (strncmp(format, error_answer, sizeof error_answer - 1) == 0 && !engine->secure) {
        http_connection *guilty = http_connections_lone_head(engine->options.connections);
        if (guilty) answer_malformed(engine, guilty, va_arg(args, unsigned));
    }
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static ra_status start_daemon(http_engine *engine, const http_tls *tls, ra_error *err) {
    const http_engine_options *options = &engine->options;
    if (tls && (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES ||
                MHD_is_feature_supported(MHD_FEATURE_HTTPS_CERT_CALLBACK2) != MHD_YES))
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "libmicrohttpd is built without TLS, so https cannot be served");
    struct MHD_OptionItem settings[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_complaint, engine}, /* first, to hear about the others */
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},                 /* signals.c ignores it */
#if MHD_VERSION >= 0x01000000
        {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL}, /* refuses bare line feeds and folds */
#endif
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, MOST_CONNECTIONS, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)options->idle_seconds, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, engine},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, engine},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_encoded, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_done, engine},
        {MHD_OPTION_END, 0, NULL},
    };
    static const char tls_versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, http_tls_retrieve()},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_versions},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME |
                     (tls ? (unsigned)MHD_USE_TLS : 0);
    engine->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, engine, MHD_OPTION_ARRAY, settings,
                                      tls ? MHD_OPTION_ARRAY : MHD_OPTION_END, secure, MHD_OPTION_END);
    if (!engine->daemon && tls)
        RA_FAIL(err, RA_ERR_FORMAT, "https does not work with this certificate and key: %s",
                engine->complaint);
    if (!engine->daemon) RA_FAIL(err, RA_ERR_IO, "libmicrohttpd did not start: %s", engine->complaint);
    engine->started = true;
    return RA_OK;
}

ra_status http_engine_new(const http_engine_options *options, http_engine **out, ra_error *err) {
    http_engine *engine = ra_calloc(1, sizeof *engine);
    if (!engine) RA_FAIL_MEMORY(err, "an I/O thread", sizeof *engine);
    engine->options = *options;
    engine->options.tls = NULL;
    engine->secure = options->tls != NULL;
    engine->wire_is_known = http_wire_is_known(MHD_get_version());
    engine->lingering = http_lingering_new(options->connections, forget_lingering, engine);
    ra_status status = engine->lingering
                           ? start_daemon(engine, options->tls, err)
                           : ra_error_set(err, RA_ERR_IO, "an I/O thread did not start: %s", strerror(errno));
    if (status == RA_OK)
        *out = engine;
    else
        http_engine_free(engine);
    return status;
}

void http_engine_close(http_engine *engine) {
    engine->closing = true;
    if (engine->daemon) MHD_stop_daemon(engine->daemon);
    engine->daemon = NULL;
    http_lingering_free(engine->lingering);
    engine->lingering = NULL;
    forget_those_that_did_not_start(engine);
}

void http_engine_free(http_engine *engine) {
    if (!engine) return;
    http_engine_close(engine);
    ra_free(engine);
}

/* ---- running ------------------------------------------------------------------------------------------- */

int http_engine_descriptor(const http_engine *engine) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(engine->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? info->epoll_fd : -1;
}

int http_engine_second_descriptor(const http_engine *engine) {
    return http_lingering_descriptor(engine->lingering);
}

int http_engine_timeout(const http_engine *engine) {
    MHD_UNSIGNED_LONG_LONG milliseconds;
    if (MHD_get_timeout(engine->daemon, &milliseconds) != MHD_YES) return -1;
    return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

void http_engine_run(http_engine *engine) {
    http_turns_begin(&engine->turns);
    (void)MHD_run(engine->daemon);
    http_lingering_run(engine->lingering, http_now());
    if (engine->arriving) forget_those_that_did_not_start(engine);
}

size_t http_engine_suspended(const http_engine *engine) {
    return engine->suspended;
}

size_t http_engine_owed(const http_engine *engine) {
    return engine->owed;
}

size_t http_engine_in_flight(const http_engine *engine) {
    return atomic_load_explicit(&engine->in_flight, memory_order_relaxed);
}
