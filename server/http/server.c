/* The only file that includes microhttpd.h.
 *
 * libmicrohttpd runs N worker threads, each with its own epoll set, and calls us per request: once when the
 * first line is read (on_target, where the exchange is taken), once when the header is (on_request without
 * data), for each piece of a body, once more when everything is there, and at the end (on_done, where the
 * exchange is given back). What is decided at each of these moments is exchange.c's; here the two worlds only
 * meet.
 *
 * The reply is sent from the exchange's own buffer, without a copy: the library has finished with it when it
 * calls on_done.
 *
 * The library decodes targets before it shows them, and cuts them at a NUL. on_target sees the raw text
 * instead, and the decoding is replaced by one that does nothing.
 *
 * A response queued before the body was read ends the connection; that is the library's rule for POST, and
 * exchange.c asks for it wherever a refusal leaves bytes on the line.
 */
#include "http/server.h"
#include "ra_memory.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 511 };

struct http_server {
    struct MHD_Daemon *daemon;
    const http_service *service;
    atomic_size_t in_flight;
};

/* ---- from the library to the exchange ------------------------------------------------------------------ */

static void *on_target(void *context, const char *target, struct MHD_Connection *connection) {
    (void)connection;
    http_server *server = context;
    http_exchange *exchange = http_exchange_take(target);
    if (exchange) atomic_fetch_add(&server->in_flight, 1);
    return exchange;
}

static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *encoded) {
    (void)context, (void)connection;
    return strlen(encoded);
}

typedef struct header_walk {
    http_headers headers;
    ra_status status;
    ra_error err;
} header_walk;

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t value_size) {
    (void)kind;
    header_walk *walk = context;
    walk->status =
        http_headers_add(&walk->headers, name, name_size, value ? value : "", value_size, &walk->err);
    return walk->status == RA_OK ? MHD_YES : MHD_NO;
}

static void begin(http_server *server, http_exchange *exchange, struct MHD_Connection *connection,
                  const char *method, const char *version) {
    header_walk walk = {0};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, &walk);
    if (walk.status == RA_OK)
        walk.status =
            http_headers_finish(&walk.headers, strcmp(version, MHD_HTTP_VERSION_1_1) == 0, &walk.err);
    http_exchange_begin(exchange, server->service, method, &walk.headers,
                        walk.status == RA_OK ? NULL : &walk.err);
}

/* ---- from the exchange to the library ------------------------------------------------------------------ */

static enum MHD_Result send_response(http_exchange *exchange, struct MHD_Connection *connection) {
    http_response *from = &exchange->response;
    size_t size = from->body.failed ? 0 : from->body.size;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, size ? from->body.data : (char[]){0}, MHD_RESPMEM_PERSISTENT);
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

/* MHD_NO cuts the connection. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **request) {
    (void)url;
    http_server *server = context;
    http_exchange *exchange = *request;
    if (!exchange) return MHD_NO;
    if (!exchange->begun) {
        begin(server, exchange, connection, method, version);
        return exchange->step == HTTP_READY ? send_response(exchange, connection) : MHD_YES;
    }
    if (*data_size) {
        http_exchange_receive(exchange, data, *data_size);
        *data_size = 0;
        return exchange->step == HTTP_GONE ? MHD_NO : MHD_YES;
    }
    http_exchange_finish(exchange, server->service);
    return send_response(exchange, connection);
}

static void on_done(void *context, struct MHD_Connection *connection, void **request,
                    enum MHD_RequestTerminationCode why) {
    (void)connection, (void)why;
    http_server *server = context;
    http_exchange *exchange = *request;
    if (!exchange) return;
    const http_service *service = server->service;
    if (service->done)
        service->done(service->context, &exchange->request, &exchange->response,
                      http_exchange_microseconds(exchange));
    http_exchange_give(exchange);
    *request = NULL;
    atomic_fetch_sub(&server->in_flight, 1);
}

/* The library's own complaints: nearly all are about what a client did, so they are for debugging. */
static void on_complaint(void *context, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_complaint(void *context, const char *format, va_list args) {
    (void)context;
    char line[512];
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\r\n")] = '\0';
    ra_log(RA_LOG_DEBUG, "connection: %s", line);
}

/* ---- start and stop ------------------------------------------------------------------------------------ */

ra_status http_server_start(const http_server_options *options, http_server **out, ra_error *err) {
    http_server *server = ra_calloc(1, sizeof *server);
    if (!server || listen(options->descriptor, BACKLOG) != 0) {
        const char *reason = server ? strerror(errno) : "out of memory";
        close(options->descriptor);
        ra_free(server);
        return ra_error_set(err, RA_ERR_IO, "the server cannot listen: %s", reason);
    }
    server->service = options->service;
    struct MHD_OptionItem settings[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_complaint,
         NULL}, /* first, so that it hears of the others */
        {MHD_OPTION_LISTEN_SOCKET, options->descriptor, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)options->idle_seconds, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_encoded, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_done, server},
        /* a pool of one thread is no pool, and the library complains about it */
        {options->threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)options->threads,
         NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL,
                         on_request, server, MHD_OPTION_ARRAY, settings, MHD_OPTION_END);
    if (!server->daemon) { /* it has closed the socket */
        ra_free(server);
        return ra_error_set(err, RA_ERR_IO, "the HTTP library did not start with %zu threads",
                            options->threads);
    }
    *out = server;
    return RA_OK;
}

void http_server_refuse(http_server *server) {
    MHD_socket descriptor = MHD_quiesce_daemon(server->daemon);
    if (descriptor != MHD_INVALID_SOCKET) close(descriptor);
}

size_t http_server_in_flight(const http_server *server) {
    return atomic_load(&server->in_flight);
}

void http_server_stop(http_server *server) {
    if (!server) return;
    MHD_stop_daemon(server->daemon);
    ra_free(server);
}
