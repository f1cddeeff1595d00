/* rasaed: serves dictionaries over HTTP.
 *
 * The main thread loads the dictionaries, starts the server, and from then on only waits for signals; the
 * requests run on the I/O threads (http/server.c), reloads on a thread of their own (serving/reloader.c).
 *
 * Signals are blocked here and taken out of the queue by sigwait(), so that answering one is ordinary code.
 * Libraries may have started threads before main() that do not block them; should the system hand a signal
 * to one of those, its handler passes it on to this thread and does nothing else.
 *
 * Until the server listens SIGTERM and SIGINT simply end the process: nothing is under way that could be
 * lost, and a large checkpoint takes its time to load.
 */
#include "api/rasaed.h"
#include "app/start.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "serving/reloader.h"
#include "heartbeat.h"
#include "http/auth.h"
#include "http/cors.h"
#include "http/probe.h"
#include "http/server.h"
#include "ra.h"
#include "dispatch.h"
#include "routes.h"
#include "settings/settings.h"
#include "supervise.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_DEVICE = 3 };

enum {
    THREADS_A_CORE = 4, /* for heavy requests */
    LEAST_THREADS = 16,
    COMPUTATIONS_AT_ONCE =
        2, /* each spreads over the backend's threads, or has a stream of a device; a second
                           * one keeps small from waiting */
    ADMIN_CONNECTIONS = 64,
    COMPUTE_END_SECONDS = 2, /* how long a stop waits for what nobody waits for any more */
    PROBE_SECONDS = 5
};

/* ---- signals ------------------------------------------------------------------------------------------- */

static pthread_t main_thread;

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

static void pass_on(int signal) {
    pthread_kill(main_thread, signal);
}

static void end_at_once(int signal) {
    _exit(128 + signal);
}

/* From now on the signal waits in this thread's queue. */
static void hold(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    handle(signal, pass_on);
}

/* The device answers nothing any more: stop as for a signal. */
static void end_without_device(void *context) {
    (void)context;
    pthread_kill(main_thread, SIGTERM);
}

/* While loading. The first process of a container has no default actions, so the end is a handler too. */
static void signals_before_serving(void) {
    main_thread = pthread_self();
    handle(SIGPIPE, SIG_IGN);
    handle(SIGTERM, end_at_once);
    handle(SIGINT, end_at_once);
    hold(SIGHUP);
}

static void signals_for_serving(void) {
    hold(SIGTERM);
    hold(SIGINT);
}

static sigset_t stop_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

/* ---- the parts of the program -------------------------------------------------------------------------- */

/* Where the server listens. */
typedef struct address {
    http_server *server;
    int descriptor; /* bound, not yet the server's; -1 when there is none */
    bool shared;    /* the service manager's as well */
    char url[HTTP_ADDRESS_SIZE];
} address;

typedef struct program {
    settings settings;
    ra_backend *backend;
    rasaed server;
    reloader *reloader;
    cors_policy cors;
    http_service service;
    http_tls tls;
    address main, admin;
    supervised manager; /* what it handed over and wants to hear */
    heartbeat *heartbeat;
} program;

static size_t usable_cores(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (size_t)count : 1;
}

static void count_joined(void *context, size_t requests, size_t rows) {
    (void)requests;
    metrics_joined(context, rows);
}

static ra_status load(program *self, ra_error *err) {
    const settings *chosen = &self->settings;
    ra_backend_options options = {.threads = chosen->compute_threads, .tf32 = chosen->tf32};
    ra_status status = ra_backend_open(chosen->device, &options, &self->backend, err);
    if (status != RA_OK) return status;
    ra_log(RA_LOG_INFO, "rasaed %s, device %s", RA_VERSION, ra_backend_name(self->backend));
    registry_options from = {.backend = self->backend,
                             .workspaces = COMPUTATIONS_AT_ONCE,
                             .device = &self->server.device,
                             .settings = chosen->sae,
                             .folder = chosen->dictionary_dir};
    status = registry_new(&from, &self->server.dictionaries, err);
    for (size_t i = 0; i < chosen->dictionary.count && status == RA_OK; i++) {
        settings_dictionary_item item = settings_dictionary(chosen, i);
        status = registry_add(self->server.dictionaries, item.name, item.path, err);
    }
    if (status == RA_OK && chosen->dictionary_dir)
        status = registry_add_folder(self->server.dictionaries, err);
    return status;
}

/* Keys, origins, counters: what the routes look at before and after a request. */
static ra_status prepare(program *self, ra_error *err) {
    const settings *chosen = &self->settings;
    rasaed *server = &self->server;
    metrics_options counting = {
        .routes = routes_count(), .labels = routes_labels(), .methods = HTTP_OTHER + 1};
    ra_status status = metrics_new(&counting, &server->metrics, err);
    if (status == RA_OK && chosen->keys) status = auth_open(chosen->keys, &server->keys, err);
    self->cors = (cors_policy){chosen->cors_origin.items, chosen->cors_origin.count};
    server->cors = &self->cors;
    server->metrics_access = (auth_scope)chosen->metrics_access;
    server->max_body = chosen->max_body;
    server->max_rows = chosen->max_rows;
    if (status == RA_OK && server->keys)
        ra_log(RA_LOG_INFO, "%zu keys from %s", auth_count(server->keys), chosen->keys);
    return status;
}

/* Threads for heavy requests. Many of them wait within a request, for their turn in the batcher. */
static ra_status start_compute(program *self, ra_error *err) {
    const settings *chosen = &self->settings;
    rasaed *server = &self->server;
    size_t threads = THREADS_A_CORE * usable_cores();
    compute_options workers = {.threads = threads < LEAST_THREADS ? LEAST_THREADS : threads,
                               .queue = chosen->max_queue};
    batcher_options joining = {.slots = COMPUTATIONS_AT_ONCE,
                               .max_batch = chosen->max_batch,
                               .delay_us = (unsigned)chosen->batch_delay_us,
                               .joined = count_joined,
                               .context = server->metrics};
    ra_status status = batcher_new(&joining, &server->batcher, err);
    return status == RA_OK ? compute_start(&workers, &server->compute, err) : status;
}

static ra_status take(address *at, int handed_over, const http_address *where, ra_error *err) {
    at->shared = handed_over >= 0;
    if (!at->shared) return http_listener_open(where, &at->descriptor, at->url, err);
    at->descriptor = handed_over;
    return http_listener_adopt(handed_over, where->secure, at->url, err);
}

/* The addresses are taken before the files are read, so that a port in use is known at once; connections are
 * accepted only when everything is loaded. */
static ra_status listen_on(program *self, ra_error *err) {
    const settings *chosen = &self->settings;
    http_address where, admin = {.port = ""};
    RA_TRY(http_address_parse(chosen->listen, &where, err));
    if (chosen->admin_listen) RA_TRY(http_address_parse(chosen->admin_listen, &admin, err));
    where.secure = admin.secure = chosen->tls_certificate != NULL;
    ra_status status = supervise_start(getenv, &self->manager, err);
    if (status == RA_OK) status = take(&self->main, self->manager.main, &where, err);
    self->server.has_admin = chosen->admin_listen || self->manager.admin >= 0;
    if (status == RA_OK && self->server.has_admin)
        status = take(&self->admin, self->manager.admin, &admin, err);
    if (status == RA_OK && where.secure)
        status = http_tls_read(chosen->tls_certificate, chosen->tls_key, &self->tls, err);
    return status;
}

static ra_status start_server(program *self, bool admin, ra_error *err) {
    const settings *chosen = &self->settings;
    address *at = admin ? &self->admin : &self->main;
    http_server_options options = {.descriptor = at->descriptor,
                                   .shared = at->shared,
                                   .threads = chosen->threads ? chosen->threads : usable_cores(),
                                   .idle_seconds = (unsigned)chosen->idle_seconds,
                                   .header_seconds = (unsigned)chosen->header_seconds,
                                   .deadline_ms = chosen->deadline_ms,
                                   .max_connections = chosen->max_connections,
                                   .max_per_address = chosen->max_connections_per_address,
                                   .max_in_flight = chosen->max_in_flight,
                                   .admin = admin,
                                   .tls = &self->tls,
                                   .service = &self->service};
    if (admin) {
        options.threads = 1;
        options.max_connections = ADMIN_CONNECTIONS;
        options.max_per_address = 0;
    }
    at->descriptor = -1;
    ra_status status = http_server_start(&options, &at->server, err);
    if (status == RA_OK)
        ra_log(RA_LOG_INFO, "serving %s%s with %zu I/O threads", at->url, admin ? " for administration" : "",
               options.threads);
    return status;
}

static ra_status start_reloader(program *self, ra_error *err) {
    reloader_options options = {.watch_ms = self->settings.watch ? RELOADER_WATCH_MS : 0,
                                .begins = supervise_reloading,
                                .ends = supervise_reloaded};
    return reloader_start(self->server.dictionaries, &options, &self->reloader, err);
}

static ra_status start(program *self, ra_error *err) {
    ra_status status = listen_on(self, err);
    if (status == RA_OK) status = prepare(self, err);
    if (status == RA_OK) status = load(self, err);
    if (status != RA_OK) return status;
    signals_for_serving();
    device_watch_init(&self->server.device, self->backend, end_without_device, NULL);
    status = start_reloader(self, err);
    if (status == RA_OK) status = start_compute(self, err);
    self->service = dispatch_service(&self->server);
    if (status == RA_OK && self->server.has_admin) status = start_server(self, true, err);
    if (status == RA_OK) status = start_server(self, false, err);
    if (status == RA_OK)
        status = heartbeat_start(self->main.server, self->manager.watchdog_us, &self->heartbeat, err);
    if (status != RA_OK) return status;
    supervise_tell("READY=1\nSTATUS=serving %zu dictionaries", registry_count(self->server.dictionaries));
    printf("rasaed: serving %s\n", self->main.url);
    if (self->server.has_admin) printf("rasaed: admin %s\n", self->admin.url);
    fflush(stdout);
    return RA_OK;
}

static void reload_keys(program *self) {
    ra_error why = {0};
    if (!self->server.keys) return;
    if (auth_reload(self->server.keys, &why) == RA_OK)
        ra_log(RA_LOG_INFO, "%zu keys from %s", auth_count(self->server.keys), self->settings.keys);
    else
        ra_log(RA_LOG_ERROR, "the keys are not reloaded, the old ones stay in force: %s", why.message);
}

static const char *reason_to_stop(const program *self, int signal) {
    if (device_watch_reason(&self->server.device)) return "no device";
    return signal == SIGTERM ? "SIGTERM" : "SIGINT";
}

/* Until somebody asks for the end. */
static void serve(program *self) {
    sigset_t set = stop_signals();
    sigaddset(&set, SIGHUP);
    for (;;) {
        int signal = 0;
        if (sigwait(&set, &signal) != 0) continue;
        if (signal != SIGHUP) {
            ra_log(RA_LOG_INFO, "%s: draining", reason_to_stop(self, signal));
            return;
        }
        ra_log(RA_LOG_INFO, "SIGHUP: reloading");
        reload_keys(self);
        reloader_ask(self->reloader);
    }
}

static struct timespec in_seconds(size_t seconds) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)seconds;
    return end;
}

static bool is_over(const struct timespec *end) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

/* A moment of a stop. A second signal ends everything. */
static void pause_stop(void) {
    enum { STEP_NANOSECONDS = 10000000 };
    sigset_t set = stop_signals();
    struct timespec step = {.tv_nsec = STEP_NANOSECONDS};
    if (sigtimedwait(&set, NULL, &step) <= 0) return;
    ra_log(RA_LOG_WARNING, "a second signal: stopping at once");
    _exit(EXIT_FAILURE);
}

/* Two waits, each as long as was set: in the first whoever sends requests here has the time to notice that
 * this process is not ready any more, and that every reply ends its connection; in the second the requests
 * that have begun are finished. */
static void drain(program *self) {
    supervise_tell("STOPPING=1\nSTATUS=draining");
    atomic_store(&self->server.draining, true);
    for (struct timespec end = in_seconds(self->settings.drain_delay_seconds); !is_over(&end);) pause_stop();
    http_server_refuse(self->main.server);
    struct timespec end = in_seconds(self->settings.drain_seconds);
    while (http_server_in_flight(self->main.server) > 0) {
        pause_stop();
        if (is_over(&end)) {
            ra_log(RA_LOG_WARNING, "%zu requests were not done within %zu s",
                   http_server_in_flight(self->main.server), self->settings.drain_seconds);
            return;
        }
    }
}

/* After serving. A lost device asks for a new process. */
static int exit_code(const program *self) {
    return device_watch_reason(&self->server.device) ? EXIT_DEVICE : EXIT_SUCCESS;
}

/* The addresses first, then who works for them; what does not end in time is left to the end
 * of the process. */
static void stop(program *self) {
    heartbeat_stop(self->heartbeat);
    http_server_stop(self->main.server);
    http_server_stop(self->admin.server);
    bool computed = compute_stop(self->server.compute, COMPUTE_END_SECONDS);
    if (!computed || !reloader_stop(self->reloader, 1)) {
        ra_log(RA_LOG_WARNING, "stopped in the middle of a %s", computed ? "reload" : "computation");
        _exit(exit_code(self));
    }
    batcher_free(self->server.batcher);
    registry_free(self->server.dictionaries);
    metrics_free(self->server.metrics);
    auth_free(self->server.keys);
    ra_backend_release(self->backend);
    if (self->main.descriptor >= 0) close(self->main.descriptor);
    if (self->admin.descriptor >= 0) close(self->admin.descriptor);
    http_tls_release(&self->tls);
    settings_close(&self->settings);
}

static int run(program *self) {
    ra_error err = {0};
    log_start((ra_log_level)self->settings.log_level, (log_format)self->settings.log_format);
    signals_before_serving();
    ra_status status = start(self, &err);
    if (status == RA_OK) {
        serve(self);
        drain(self);
    }
    stop(self);
    if (status == RA_OK) {
        ra_log(RA_LOG_INFO, "stopped");
        return exit_code(self);
    }
    fprintf(stderr, "rasaed: %s\n", err.message);
    return EXIT_FAILURE;
}

static int check_config(const settings *chosen) {
    ra_error err = {0};
    log_start(RA_LOG_WARNING, LOG_TEXT);
    ra_status status = settings_check(chosen, &err);
    if (status == RA_OK)
        puts("OK");
    else
        fprintf(stderr, "rasaed: %s\n", err.message);
    return status == RA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int probe(const char *url) {
    ra_error err = {0};
    ra_status status = http_probe(url, PROBE_SECONDS, &err);
    if (status == RA_OK)
        printf("rasaed: %s is healthy\n", url);
    else
        fprintf(stderr, "rasaed: %s\n", err.message);
    return status == RA_OK ? EXIT_SUCCESS : status == RA_ERR_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    start_with_vector_units(argv);
    program self = {.main = {.descriptor = -1}, .admin = {.descriptor = -1}};
    ra_error err = {0};
    if (settings_read(argc, argv, getenv, &self.settings, &err) != RA_OK) {
        if (err.code != RA_ERR_NOT_FOUND && err.code != RA_ERR_IO) return settings_wrong(&err);
        fprintf(stderr, "rasaed: %s\n", err.message);
        return EXIT_FAILURE;
    }
    const settings_asked *asked = &self.settings.asked;
    int code = EXIT_SUCCESS;
    if (self.settings.help)
        settings_help(stdout);
    else if (asked->probe)
        code = probe(asked->probe);
    else if (asked->version)
        printf("rasaed %s\n", RA_VERSION);
    else if (asked->print_config)
        settings_print(&self.settings, stdout);
    else if (asked->check_config)
        code = check_config(&self.settings);
    else
        return run(&self);
    settings_close(&self.settings);
    return code;
}
