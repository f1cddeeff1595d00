/* Who does what: the acceptor takes connections and hands them to the workers, each of which reads requests and sends
 * replies for its own; deferrals are the requests that other threads answer, and a ticker ends those that are
 * late. A stop goes through them in that order.
 */
#include "http/server.h"
#include "http/acceptor.h"
#include "http/points.h"
#include "http/ticker.h"
#include "ra_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 511,
    CHECK_US = 100000 /* between two looks for requests that are late */
};

struct http_server {
    http_server_options options;
    http_capacity capacity;
    http_clients *clients;
    http_acceptor *acceptor;
    http_deferrals *deferrals;
    ticker *watchdog;
    http_worker **workers;
    size_t count; /* of those that started */
    atomic_size_t refused;
    bool stopped;
};

static void on_closed(void *context, const http_connection *connection) {
    const http_server *server = context;
    http_acceptor_closed(server->acceptor, connection);
}

static void end_late(void *context, bool asked) {
    (void)asked;
    const http_server *server = context;
    http_deferrals_check(server->deferrals, http_now());
}

/* ---- start --------------------------------------------------------------------------------------------- */

static ra_status start_workers(http_server *server, const http_tls *tls, ra_error *err) {
    const http_server_options *options = &server->options;
    http_worker_options worker = {.engine = {.idle_seconds = options->idle_seconds,
                                             .admin = options->admin,
                                             .tls = tls,
                                             .service = options->service,
                                             .capacity = &server->capacity,
                                             .refused = &server->refused,
                                             .clients = server->clients,
                                             .bodies = options->bodies,
                                             .deferrals = server->deferrals,
                                             .closed = on_closed,
                                             .context = server},
                                  .header_seconds = options->header_seconds};
    for (; server->count < options->threads; server->count++)
        RA_TRY(http_worker_start(&worker, &server->workers[server->count], err));
    return RA_OK;
}

static ra_status start(http_server *server, const http_tls *tls, ra_error *err) {
    const http_server_options *options = &server->options;
    http_deferrals_options deferring = {.service = options->service,
                                        .deadline = (uint64_t)options->deadline_ms * 1000,
                                        .resume = http_worker_resume};
    http_acceptor_options accepting = {.descriptor = options->descriptor,
                                       .shared = options->shared,
                                       .workers = server->workers,
                                       .worker_count = options->threads,
                                       .max_connections = options->max_connections,
                                       .spares = options->spares,
                                       .clients = server->clients};
    ticker_options clock = {.name = "the watchdog",
                            .thread = "rasaed-deadline",
                            .every_us = CHECK_US,
                            .work = end_late,
                            .context = server};
    RA_TRY(http_acceptor_new(&accepting, &server->acceptor, err));
    server->deferrals = http_deferrals_new(&deferring);
    if (!server->deferrals) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the server");
    RA_TRY(start_workers(server, tls, err));
    RA_TRY(ticker_start(&clock, &server->watchdog, err));
    return http_acceptor_start(server->acceptor, err);
}

ra_status http_server_start(const http_server_options *options, http_server **out, ra_error *err) {
    http_server *server = ra_calloc(1, sizeof *server);
    http_worker **workers = ra_calloc(options->threads, sizeof *workers);
    http_clients *clients = http_clients_new(options->max_per_address, options->proxies);
    if (!server || !workers || !clients || listen(options->descriptor, BACKLOG) != 0) {
        const char *reason = server && workers && clients ? strerror(errno) : "out of memory";
        close(options->descriptor);
        http_clients_free(clients);
        ra_free(workers);
        ra_free(server);
        RA_FAIL(err, RA_ERR_IO, "the server cannot listen: %s", reason);
    }
    server->options = *options;
    server->options.tls = NULL;
    server->capacity.limit = options->max_in_flight;
    server->workers = workers;
    server->clients = clients;
    ra_status status = start(server, options->tls, err);
    if (status == RA_OK)
        *out = server;
    else
        http_server_free(server);
    return status;
}

/* ---- questions ----------------------------------------------------------------------------------------- */

size_t http_server_in_flight(const http_server *server) {
    size_t count = 0;
    uint64_t now = http_now();
    for (size_t i = 0; i < server->count; i++)
        count += http_worker_in_flight(server->workers[i]) + http_worker_expecting(server->workers[i], now);
    return count;
}

size_t http_server_connections(const http_server *server) {
    return http_acceptor_connections(server->acceptor);
}

const char *const http_server_states[HTTP_STATES] = {
    [PHASE_IDLE] = "idle",     [PHASE_HEAD] = "head",       [PHASE_BODY] = "body",
    [PHASE_ANSWER] = "answer", [PHASE_SENDING] = "sending", [PHASE_LINGERING] = "lingering",
    [HTTP_PHASES] = "waiting"};
_Static_assert(HTTP_STATES == HTTP_PHASES + 1, "each phase has a name, and so has waiting to be accepted");

void http_server_count_states(const http_server *server, size_t counts[HTTP_STATES]) {
    memset(counts, 0, HTTP_STATES * sizeof *counts);
    for (size_t i = 0; i < server->count; i++) http_worker_phases(server->workers[i], counts);
    counts[HTTP_PHASES] = http_acceptor_waiting(server->acceptor);
}

size_t http_server_refused(const http_server *server) {
    return http_clients_refused(server->clients);
}

size_t http_server_refused_when_full(const http_server *server) {
    return atomic_load(&server->refused);
}

size_t http_server_requests(const http_server *server) {
    return atomic_load(&server->capacity.used);
}

uint64_t http_server_lag(const http_server *server) {
    uint64_t now = http_now(), most = 0;
    for (size_t i = 0; i < server->count; i++) {
        uint64_t lag = http_worker_lag_now(server->workers[i], now);
        most = lag > most ? lag : most;
    }
    return most;
}

size_t http_server_threads(const http_server *server) {
    return server->count;
}

uint64_t http_server_lag_of(const http_server *server, size_t thread) {
    return http_worker_lag_worst(server->workers[thread], http_now());
}

/* ---- stop ---------------------------------------------------------------------------------------------- */

void http_server_refuse(http_server *server) {
    http_acceptor_stop(server->acceptor);
}

/* Each worker ends when no connection of its own is suspended any more: those that are settled here, and those
 * that a compute thread is just settling. */
void http_server_stop(http_server *server) {
    if (!server || server->stopped) return;
    server->stopped = true;
    if (server->acceptor) http_acceptor_stop(server->acceptor);
    ticker_stop(server->watchdog, TICKER_FOREVER);
    if (server->deferrals) (void)http_deferrals_end(server->deferrals);
    for (size_t i = 0; i < server->count; i++) http_worker_end(server->workers[i]);
    point_reached(POINT_stopped);
    for (size_t i = 0; i < server->count; i++) http_worker_join(server->workers[i]);
}

void http_server_free(http_server *server) {
    if (!server) return;
    http_server_stop(server);
    for (size_t i = 0; i < server->count; i++) http_worker_free(server->workers[i]);
    http_acceptor_free(server->acceptor);
    http_clients_free(server->clients);
    http_deferrals_release(server->deferrals);
    ra_free(server->workers);
    ra_free(server);
}
