/* Starts the parts of the server in order, waits for signals, and stops the parts again.
 *
 * Every setting reaches its user here: listen_on() has those of addresses, prepare() those that handlers look
 * at, load() those of models, start_compute() those of computations, and start_server() those of connections.
 *
 * Addresses are taken before files are read, so that a port in use is known at once; connections are accepted
 * when everything is loaded. The main thread only waits for signals; requests run on the I/O threads
 * (http/worker.c), heavy ones on compute threads (serving/compute.c), reloads on a thread of their own
 * (serving/reloader.c).
 */
#include "daemon.h"
#include "api/rasaed.h"
#include "dispatch.h"
#include "http/server.h"
#include "ra.h"
#include "routes.h"
#include "sandbox.h"
#include "serving/reloader.h"
#include "settings/dictionaries.h"
#include "settings/ledger.h"
#include "signals.h"
#include "stop.h"
#include "supervise.h"
#include "telemetry/log.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Each uses all threads of the backend, or a stream of a device; a second one lets small computations
     * wait less. */
    COMPUTATIONS_AT_ONCE = 2,
    COMPARISONS_AT_ONCE = 1, /* api/compare.c */
    LOG_END_MS = 500,        /* how long the end waits, twice at most, for a log that nobody reads */
    COMPUTE_END_SECONDS = 2, /* how long a stop waits for computations that nobody waits for */
    RELOAD_END_SECONDS = 1
};

/* Where the server listens. */
typedef struct address {
    http_server *server;
    int descriptor; /* bound and not yet passed to the server; -1 when there is none */
    bool shared;    /* the service manager has the socket, too */
    char url[HTTP_ADDRESS_SIZE];
    unix_address local; /* the socket of the file system that it is; or no path */
} address;

typedef struct parts {
    const settings *settings;
    ledger shares;
    ra_backend *backend;
    bool on_device; /* the backend is no CPU */
    rasaed state;
    cors_policy cors;
    media *media;
    data_rows *rows;
    http_proxies proxies;
    http_service service;
    http_tls *tls; /* NULL: plain http */
    address main, admin;
    supervised manager;
    heartbeat *heartbeat;
} parts;

/* ---- start --------------------------------------------------------------------------------------------- */

static ra_status take(address *at, int handed_over, http_address *where, ra_error *err) {
    at->shared = handed_over >= 0;
    if (!at->shared) {
        RA_TRY(http_listener_open(where, &at->descriptor, at->url, err));
        at->local = where->local;
        return RA_OK;
    }
    at->descriptor = handed_over;
    return http_listener_adopt(handed_over, where->secure, at->url, err);
}

static ra_status listen_on(parts *self, ra_error *err) {
    const settings *chosen = self->settings;
    http_address where, admin = {.port = ""};
    RA_TRY(http_address_parse(chosen->listen, &where, err));
    if (chosen->admin_listen) RA_TRY(http_address_parse(chosen->admin_listen, &admin, err));
    where.secure = admin.secure = chosen->tls_certificate != NULL;
    RA_TRY(supervise_start(getenv, &self->manager, err));
    RA_TRY(take(&self->main, self->manager.main, &where, err));
    self->state.has_admin = chosen->admin_listen || self->manager.admin >= 0;
    if (self->state.has_admin) RA_TRY(take(&self->admin, self->manager.admin, &admin, err));
    if (where.secure) RA_TRY(http_tls_open(chosen->tls_certificate, chosen->tls_key, &self->tls, err));
    self->state.tls = self->tls;
    return RA_OK;
}

static void log_keys(const parts *self) {
    ra_log(RA_LOG_INFO, "%zu keys from %s", auth_count(self->state.keys), self->settings->keys);
}

static ra_status prepare(parts *self, ra_error *err) {
    const settings *chosen = self->settings;
    rasaed *state = &self->state;
    metrics_options counting = {
        .routes = routes_count(), .labels = routes_labels(), .methods = HTTP_OTHER + 1};
    RA_TRY(metrics_new(&counting, &state->metrics, err));
    if (chosen->keys) RA_TRY(auth_open(chosen->keys, &state->keys, err));
    if (chosen->keys) log_keys(self);
    RA_TRY(http_proxies_init(&self->proxies, chosen->trusted_proxy.items, chosen->trusted_proxy.count, err));
    self->cors = (cors_policy){chosen->cors_origin.items, chosen->cors_origin.count};
    state->cors = &self->cors;
    state->metrics_access = (auth_scope)chosen->metrics_access;
    RA_TRY(media_open(chosen->media.items, chosen->media.count, chosen->media_url.items,
                      chosen->media_url.count, &self->media, err));
    state->media = self->media;
    RA_TRY(rows_open(chosen->data.items, chosen->data.count, &self->rows, err));
    state->rows = self->rows;
    state->max_body = chosen->max_body;
    state->max_rows = chosen->max_rows;
    return RA_OK;
}

/* Dictionaries are read in the sandbox, and the threads of the backend start in it; the driver of a device has files and threads
 * of its own. */
static ra_status open_backend(parts *self, ra_error *err) {
    const settings *chosen = self->settings;
    ra_backend_options options = {
        .threads = chosen->compute_threads, .tf32 = chosen->tf32, .yield = true, .nice = COMPUTE_NICENESS};
    const char *device = ra_backend_choose(chosen->device);
    self->on_device = strcmp(device, "cpu") != 0 && strcmp(device, "reference") != 0;
    RA_TRY(sandbox_files(chosen, self->on_device, err));
    return ra_backend_open(self->on_device ? chosen->device : device, &options, &self->backend, err);
}

static ra_status load(parts *self, ra_error *err) {
    const settings *chosen = self->settings;
    RA_TRY(open_backend(self, err));
    RA_TRY(ra_backend_reserve(self->shares.pool_threads + self->shares.io_threads + COMPUTATIONS_AT_ONCE +
                                  COMPARISONS_AT_ONCE,
                              err));
    RA_TRY(replies_new(self->backend, &self->state.replies, err));
    ra_log(RA_LOG_INFO, "rasaed %s, device %s", RA_VERSION, ra_backend_name(self->backend));
    if (chosen->state) RA_TRY(store_new(chosen->state, &self->state.changes, err));
    registry_options from = {.backend = self->backend,
                             .workspaces = COMPUTATIONS_AT_ONCE,
                             .device = &self->state.device,
                             .changes = self->state.changes};
    return settings_open_dictionaries(chosen, from, &self->state.dictionaries, err);
}

static void reload_keys(parts *self) {
    ra_error why = {0};
    if (!self->state.keys) return;
    if (auth_reload(self->state.keys, &why) == RA_OK)
        log_keys(self);
    else
        ra_log(RA_LOG_ERROR, "the keys were not reloaded, the old ones stay valid: %s", why.message);
}

static void reload_certificate(parts *self) {
    ra_error why = {0};
    if (!self->tls) return;
    if (http_tls_reload(self->tls, &why) == RA_OK)
        ra_log(RA_LOG_INFO, "the certificate of %s", self->settings->tls_certificate);
    else
        ra_log(RA_LOG_ERROR, "the certificate was not reloaded, the old one stays: %s", why.message);
}

static void look_at_certificate(void *context) {
    parts *self = context;
    if (self->tls && http_tls_changed(self->tls)) reload_certificate(self);
}

/* On the reloader's thread: a file system that hangs must not keep the main thread from signals. */
static void before_reload(void *context) {
    supervise_reloading();
    reload_keys(context);
    reload_certificate(context);
}

static void after_reload(void *context, size_t failed, size_t count) {
    (void)context;
    supervise_reloaded(failed, count);
}

static ra_status start_reloader(parts *self, ra_error *err) {
    reloader_options options = {.queue = self->settings->max_queue,
                                .watch_ms = self->settings->watch ? RELOADER_WATCH_MS : 0,
                                .looks = look_at_certificate,
                                .begins = before_reload,
                                .ends = after_reload,
                                .context = self};
    return reloader_start(self->state.dictionaries, &options, &self->state.reloader, err);
}

static void count_joined(void *context, size_t requests, size_t rows) {
    const rasaed *state = context;
    (void)requests;
    metrics_joined(state->metrics, rows);
}

static size_t under_way(void *context) {
    const rasaed *state = context;
    return compute_under_way(state->compute);
}

static void fewer(void *context) {
    const rasaed *state = context;
    batcher_fewer(state->batcher);
}

static ra_status start_compute(parts *self, ra_error *err) {
    const settings *chosen = self->settings;
    rasaed *state = &self->state;
    compute_options workers = {.threads = self->shares.compute_threads,
                               .queue = chosen->max_queue,
                               .fewer = fewer,
                               .context = state};
    batcher_options joining = {.backend = self->backend,
                               .slots = COMPUTATIONS_AT_ONCE,
                               .max_batch = chosen->max_batch,
                               .delay_us = (unsigned)chosen->batch_delay_us,
                               .under_way = under_way,
                               .joined = count_joined,
                               .context = state};
    RA_TRY(batcher_new(&joining, &state->batcher, err));
    return compute_start(&workers, &state->compute, err);
}

/* A device's first computations take long: its driver loads programs, and memory is allocated. */
static void warm_device(parts *self) {
    for (size_t i = 0; i < registry_count(self->state.dictionaries); i++) {
        served *dictionary = registry_acquire_at(self->state.dictionaries, i);
        if (!dictionary) continue;
        if (ra_model_get_info(dictionary->model)->device_bytes)
            batcher_warm(self->state.batcher, dictionary->model);
        served_release(dictionary);
    }
}

static ra_status start_server(parts *self, bool admin, ra_error *err) {
    const settings *chosen = self->settings;
    address *at = admin ? &self->admin : &self->main;
    http_server_options options = {.descriptor = at->descriptor,
                                   .shared = at->shared,
                                   .threads = self->shares.io_threads,
                                   .idle_seconds = (unsigned)chosen->idle_seconds,
                                   .header_seconds = (unsigned)chosen->header_seconds,
                                   .deadline_ms = chosen->deadline_ms,
                                   .max_connections = self->shares.connections,
                                   .spares = self->shares.spares,
                                   .max_per_address = chosen->max_connections_per_address,
                                   .proxies = &self->proxies,
                                   .max_in_flight = chosen->max_in_flight,
                                   .bodies = &self->state.bodies,
                                   .admin = admin,
                                   .tls = unix_address_is(at->url) ? NULL : self->tls,
                                   .service = &self->service};
    if (admin) {
        options.threads = 1;
        options.max_connections = self->shares.admin_connections;
        options.spares = 0;
        options.max_per_address = 0;
    }
    at->descriptor = -1;
    RA_TRY(http_server_start(&options, &at->server, err));
    atomic_store(&self->state.servers[admin], at->server);
    ra_log(RA_LOG_INFO, "serving %s%s with %zu I/O threads", at->url, admin ? " for administration" : "",
           options.threads);
    return RA_OK;
}

static void end_without_device(void *context) {
    (void)context;
    stop_ask(STOP_DEVICE);
}

/* Signals wait in the queue of this thread, which therefore never waits for who reads what it prints. A poll that fails says
 * nothing about the reader. */
static bool takes_a_line(int descriptor) {
    return poll(&(struct pollfd){.fd = descriptor, .events = POLLOUT}, 1, LOG_END_MS) != 0;
}

static ra_status start(parts *self, ra_error *err) {
    RA_TRY(listen_on(self, err));
    RA_TRY(prepare(self, err));
    self->shares = ledger_threads(self->settings);
    RA_TRY(load(self, err));
    RA_TRY(ledger_settle(self->settings, self->state.has_admin, &self->shares, err));
    RA_TRY(log_never_wait(err));
    self->state.shares = &self->shares;
    self->state.bodies.limit = self->shares.body_bytes;
    signals_while_serving();
    device_watch_init(&self->state.device, self->backend, end_without_device, NULL);
    RA_TRY(start_reloader(self, err));
    RA_TRY(start_compute(self, err));
    warm_device(self);
    self->service = dispatch_service(&self->state);
    self->service.base_path = self->settings->base_path;
    RA_TRY(sandbox_calls(self->settings, self->on_device, err));
    if (self->state.has_admin) RA_TRY(start_server(self, true, err));
    RA_TRY(start_server(self, false, err));
    RA_TRY(heartbeat_start(self->main.server, self->manager.watchdog_us, &self->heartbeat, err));
    supervise_tell("READY=1\nSTATUS=serving %zu dictionaries", registry_count(self->state.dictionaries));
    if (!takes_a_line(STDOUT_FILENO)) return RA_OK;
    printf("rasaed: serving %s\n", self->main.url);
    if (self->state.has_admin) printf("rasaed: admin %s\n", self->admin.url);
    fflush(stdout);
    return RA_OK;
}

/* ---- serving ------------------------------------------------------------------------------------------- */

/* Until there is a cause to stop. */
static void serve(parts *self) {
    while (stop_cause_now() == STOP_NOT_ASKED) {
        int signal = signals_wait();
        if (signal == SIGHUP) {
            ra_log(RA_LOG_INFO, "SIGHUP: reloading");
            reloader_ask(self->state.reloader);
        } else if (signal != SIGNALS_WOKEN) {
            stop_ask(signal == SIGTERM ? STOP_SIGTERM : STOP_SIGINT);
        }
    }
    ra_log(RA_LOG_INFO, "%s: draining", stop_cause_text(stop_cause_now()));
}

/* ---- stop ---------------------------------------------------------------------------------------------- */

static size_t requests_left(void *server) {
    return http_server_in_flight(server);
}

/* Waits twice, for as long as the settings say: first for load balancers to notice that this process is no
 * longer ready and that every reply ends its connection, then for the requests under way. The address for
 * administration goes on answering until the end. */
static void drain(parts *self) {
    const settings *chosen = self->settings;
    stop_count counts[2] = {{"requests", requests_left, self->main.server}};
    size_t count = 1;
    if (self->admin.server)
        counts[count++] = (stop_count){"requests for administration", requests_left, self->admin.server};
    supervise_tell("STOPPING=1\nSTATUS=draining");
    atomic_store(&self->state.draining, true);
    stop_delay(chosen->drain_delay_seconds);
    http_server_refuse(self->main.server);
    (void)stop_drain(counts, count, chosen->drain_seconds);
}

/* The addresses first, then the threads that work for them; a thread that does not end in time is left to the
 * end of the process. */
static void stop(parts *self) {
    signals_while_stopping(stop_status_at_once);
    heartbeat_stop(self->heartbeat);
    http_server_stop(self->main.server);
    http_server_stop(self->admin.server);
    http_server_free(self->main.server);
    http_server_free(self->admin.server);
    bool computed = compute_stop(self->state.compute, COMPUTE_END_SECONDS);
    if (!computed || !reloader_stop(self->state.reloader, RELOAD_END_SECONDS)) {
        ra_log(RA_LOG_WARNING, "stopped in the middle of a %s", computed ? "reload" : "computation");
        log_flush(LOG_END_MS);
        _exit(stop_status());
    }
    batcher_free(self->state.batcher);
    replies_free(self->state.replies);
    registry_free(self->state.dictionaries);
    store_free(self->state.changes);
    metrics_free(self->state.metrics);
    auth_free(self->state.keys);
    ra_backend_release(self->backend);
    if (self->main.descriptor >= 0) close(self->main.descriptor);
    if (self->admin.descriptor >= 0) close(self->admin.descriptor);
    unix_socket_remove(&self->main.local);
    unix_socket_remove(&self->admin.local);
    http_tls_free(self->tls);
    http_proxies_release(&self->proxies);
    media_free(self->media);
    rows_free(self->rows);
}

/* A failed start says why before it stops what it has started: a part that does not end would end the process. */
int daemon_run(const settings *chosen) {
    ra_mapping_guard();
    parts self = {.settings = chosen, .main = {.descriptor = -1}, .admin = {.descriptor = -1}};
    ra_error err = {0};
    log_start((ra_log_level)chosen->log_level, (log_format)chosen->log_format);
    signals_while_loading();
    ra_status status = start(&self, &err);
    if (status == RA_OK) {
        serve(&self);
        drain(&self);
    } else {
        log_flush(LOG_END_MS);
        if (takes_a_line(STDERR_FILENO)) fprintf(stderr, "rasaed: %s\n", err.message);
        stop_ask(STOP_FAILED);
    }
    stop(&self);
    if (status == RA_OK) {
        log_flush(LOG_END_MS); /* a full ring would drop the last word */
        ra_log(RA_LOG_INFO, "stopped");
    }
    log_flush(LOG_END_MS);
    return stop_status();
}
