/* rasaed: serves dictionaries over HTTP.
 *
 * The main thread loads the dictionaries, starts the server, and from then on only waits for signals; the
 * requests run on the I/O threads (http/server.c), reloads on a thread of their own (engine/reloader.c).
 *
 * Signals are blocked here and taken out of the queue by sigwait(), so that answering one is ordinary code.
 * Libraries may have started threads before main() that do not block them; should the system hand a signal
 * to one of those, its handler passes it on to this thread and does nothing else.
 *
 * Until the server listens SIGTERM and SIGINT simply end the process: nothing is under way that could be
 * lost, and a large checkpoint takes its time to load.
 */
#include "engine/engine.h"
#include "engine/log.h"
#include "engine/reloader.h"
#include "http/server.h"
#include "ra.h"
#include "routes.h"
#include "settings.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

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

typedef struct program {
    settings settings;
    ra_backend *backend;
    engine engine;
    reloader *reloader;
    http_service service;
    http_server *server;
    int descriptor; /* bound, not yet the server's; -1 when there is none */
    char url[HTTP_ADDRESS_SIZE];
} program;

static size_t usable_cores(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (size_t)count : 1;
}

static ra_status load(program *self, ra_error *err) {
    const settings *chosen = &self->settings;
    ra_backend_options options = {.threads = chosen->compute_threads};
    ra_status status = ra_backend_open(chosen->device, &options, &self->backend, err);
    if (status != RA_OK) return status;
    ra_log(RA_LOG_INFO, "rasaed %s, device %s", RA_VERSION, ra_backend_name(self->backend));
    registry_options from = {.backend = self->backend, .settings = chosen->sae};
    status = registry_new(&from, &self->engine.dictionaries, err);
    for (size_t i = 0; i < chosen->dictionary_count && status == RA_OK; i++)
        status = registry_add(self->engine.dictionaries, chosen->dictionaries[i].name,
                              chosen->dictionaries[i].path, err);
    return status;
}

/* The address is taken before the files are read, so that a port in use is known at once; connections are
 * accepted only when everything is loaded. */
static ra_status start(program *self, ra_error *err) {
    const settings *chosen = &self->settings;
    ra_status status = http_listener_open(&chosen->listen, &self->descriptor, self->url, err);
    if (status == RA_OK) status = load(self, err);
    if (status == RA_OK) status = reloader_start(self->engine.dictionaries, &self->reloader, err);
    if (status != RA_OK) return status;
    self->engine.max_body = chosen->max_body;
    self->engine.max_rows = chosen->max_rows;
    self->service = routes_service(&self->engine);
    http_server_options options = {.descriptor = self->descriptor,
                                   .threads = chosen->threads ? chosen->threads : usable_cores(),
                                   .idle_seconds = (unsigned)chosen->idle_seconds,
                                   .service = &self->service};
    self->descriptor = -1;
    signals_for_serving();
    status = http_server_start(&options, &self->server, err);
    if (status != RA_OK) return status;
    ra_log(RA_LOG_INFO, "serving %s with %zu I/O threads", self->url, options.threads);
    printf("rasaed: serving %s\n", self->url);
    fflush(stdout);
    return RA_OK;
}

/* Until somebody asks for the end. */
static void serve(program *self) {
    sigset_t set = stop_signals();
    sigaddset(&set, SIGHUP);
    for (;;) {
        int signal = 0;
        if (sigwait(&set, &signal) != 0) continue;
        if (signal != SIGHUP) {
            ra_log(RA_LOG_INFO, "%s: draining", signal == SIGTERM ? "SIGTERM" : "SIGINT");
            return;
        }
        ra_log(RA_LOG_INFO, "SIGHUP: reloading");
        reloader_ask(self->reloader);
    }
}

/* Waits for the requests that have begun, not longer than was set. A second signal ends everything. */
static void drain(program *self) {
    enum { STEP_NANOSECONDS = 10000000 };
    sigset_t set = stop_signals();
    struct timespec step = {.tv_nsec = STEP_NANOSECONDS}, end, now;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)self->settings.drain_seconds;
    atomic_store(&self->engine.draining, true);
    http_server_refuse(self->server);
    while (http_server_in_flight(self->server) > 0) {
        if (sigtimedwait(&set, NULL, &step) > 0) {
            ra_log(RA_LOG_WARNING, "a second signal: stopping at once");
            _exit(EXIT_FAILURE);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec)) {
            ra_log(RA_LOG_WARNING, "%zu requests were not done within %zu s",
                   http_server_in_flight(self->server), self->settings.drain_seconds);
            return;
        }
    }
}

static void stop(program *self) {
    http_server_stop(self->server);
    if (!reloader_stop(self->reloader, 1)) {
        ra_log(RA_LOG_WARNING, "stopped in the middle of a reload");
        _exit(EXIT_SUCCESS);
    }
    registry_free(self->engine.dictionaries);
    ra_backend_release(self->backend);
    if (self->descriptor >= 0) close(self->descriptor);
    settings_release(&self->settings);
}

static int run(program *self) {
    ra_error err = {0};
    log_start((ra_log_level)self->settings.log_level);
    signals_before_serving();
    ra_status status = start(self, &err);
    if (status == RA_OK) {
        serve(self);
        drain(self);
    }
    stop(self);
    if (status == RA_OK) {
        ra_log(RA_LOG_INFO, "stopped");
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "rasaed: %s\n", err.message);
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    program self = {.descriptor = -1};
    ra_error err = {0};
    if (settings_read(argc, argv, getenv, &self.settings, &err) != RA_OK) {
        fprintf(stderr, "rasaed: %s\n", err.message);
        return err.code == RA_ERR_NOT_FOUND || err.code == RA_ERR_IO ? EXIT_FAILURE : EXIT_USAGE;
    }
    if (self.settings.help)
        settings_help(stdout);
    else if (self.settings.version)
        printf("rasaed %s\n", RA_VERSION);
    else
        return run(&self);
    return EXIT_SUCCESS;
}
