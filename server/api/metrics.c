/* GET /metrics: the counters of telemetry/metrics.c, the dictionaries and the process, for Prometheus.
 *
 * A series appears with the first request that it counts, so that a server with many routes of which few are
 * used does not send thousands of zeros. Dictionaries are always there.
 */
#include "api/api.h"
#include "codec/prometheus.h"
#include "ra.h"
#include "telemetry/log.h"
#include "telemetry/process.h"

#include <stdio.h>

enum { LABELS = 8 };
#define LABELED(...) ((const char *const[LABELS]){__VA_ARGS__})
static const double microsecond = 1e-6;

static void put_single(text *out, const char *name, const char *type, const char *help, double value) {
    prometheus_family(out, name, type, help);
    prometheus_value(out, name, NULL, value);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static const char *method_label(size_t method) {
    const char *name = http_method_name((http_method)method);
    return name ? name : "other";
}

static void put_requests(text *out, const metrics *counted, size_t route) {
    static const char name[] = "rasaed_requests_total";
    char status[16];
    for (size_t method = 0; method <= HTTP_OTHER; method++)
        for (size_t i = 0; i < METRICS_STATUSES; i++) {
            uint64_t count = metrics_requests(counted, route, method, i);
            bool other = metrics_statuses[i] == METRICS_OTHER_STATUS;
            snprintf(status, sizeof status, "%d", metrics_statuses[i]);
            if (count)
                prometheus_value(out, name,
                                 LABELED("route", metrics_route_label(counted, route), "method",
                                         method_label(method), "status", other ? "other" : status),
                                 (double)count);
        }
}

static void put_durations(text *out, const metrics *counted, size_t route) {
    metrics_histogram histogram = metrics_durations(counted, route);
    uint64_t requests = 0;
    for (size_t i = 0; i <= histogram.size; i++) requests += histogram.counts[i];
    if (requests)
        prometheus_histogram(out, "rasaed_request_duration_seconds",
                             LABELED("route", metrics_route_label(counted, route)), histogram.bounds,
                             histogram.counts, histogram.size, histogram.sum, microsecond);
}

static void put_stages(text *out, const metrics *counted, size_t route) {
    request_times us = metrics_route(counted, route).us;
    const struct {
        const char *label;
        uint64_t us;
    } stages[] = {{"receive", us.receive}, {"queue", us.queue}, {"compute", us.compute}, {"send", us.send}};
    for (size_t i = 0; us.total && i < sizeof stages / sizeof *stages; i++)
        prometheus_value(out, "rasaed_request_stage_seconds_total",
                         LABELED("route", metrics_route_label(counted, route), "stage", stages[i].label),
                         (double)stages[i].us * microsecond);
}

static void put_bytes(text *out, const metrics *counted, size_t route, const char *name, uint64_t bytes) {
    if (bytes)
        prometheus_value(out, name, LABELED("route", metrics_route_label(counted, route)), (double)bytes);
}

static void put_bytes_in(text *out, const metrics *counted, size_t route) {
    put_bytes(out, counted, route, "rasaed_request_body_bytes_total", metrics_route(counted, route).bytes_in);
}

static void put_bytes_out(text *out, const metrics *counted, size_t route) {
    put_bytes(out, counted, route, "rasaed_response_body_bytes_total",
              metrics_route(counted, route).bytes_out);
}

static void put_routes(text *out, const metrics *counted) {
    static const struct {
        const char *name, *type, *help;
        void (*put)(text *out, const metrics *counted, size_t route);
    } families[] = {
        {"rasaed_requests_total", "counter",
         "Requests answered; status 499 where the client left before the answer.", put_requests},
        {"rasaed_request_duration_seconds", "histogram",
         "From the first line of a request to the last byte of its reply.", put_durations},
        {"rasaed_request_stage_seconds_total", "counter", "Time that requests spent in each stage.",
         put_stages},
        {"rasaed_request_body_bytes_total", "counter", "Bytes of request bodies.", put_bytes_in},
        {"rasaed_response_body_bytes_total", "counter", "Bytes of response bodies.", put_bytes_out},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        prometheus_family(out, families[i].name, families[i].type, families[i].help);
        for (size_t route = 0; route < metrics_route_count(counted); route++)
            families[i].put(out, counted, route);
    }
    put_single(out, "rasaed_requests_in_flight", "gauge",
               "Requests that have begun and are not answered in full.", (double)metrics_in_flight(counted));
}

/* ---- computing ----------------------------------------------------------------------------------------- */

static void put_batches(text *out, const metrics *counted) {
    metrics_histogram histogram = metrics_batches(counted);
    prometheus_family(out, "rasaed_batch_rows", "histogram", "Rows that were computed together.");
    prometheus_histogram(out, "rasaed_batch_rows", NULL, histogram.bounds, histogram.counts, histogram.size,
                         histogram.sum, 1);
}

static void put_queues(text *out, const rasaed *server) {
    static const char name[] = "rasaed_queue_length";
    prometheus_family(out, name, "gauge",
                      "Requests that wait for a compute thread (thread), for their turn in the batcher "
                      "(batch), or for a load or "
                      "unload of a dictionary (reload).");
    prometheus_value(out, name, LABELED("for", "thread"),
                     server->compute ? (double)compute_waiting(server->compute) : 0);
    prometheus_value(out, name, LABELED("for", "reload"),
                     server->reloader ? (double)reloader_waiting(server->reloader) : 0);
    prometheus_value(out, name, LABELED("for", "batch"),
                     server->batcher ? (double)batcher_waiting(server->batcher) : 0);
}

/* ---- limits ------------------------------------------------------------------------------------------------ */

/* Each row has what is used and how much of it there may be; 0: there is no limit. */
static void put_limits(text *out, const rasaed *server, const http_server *main, const http_server *admin) {
    const ledger *shares = server->shares;
    process_use process = process_look();
    const struct {
        const char *resource;
        double used, limit;
    } rows[] = {
        {"connections", main ? (double)http_server_connections(main) : 0, (double)shares->connections},
        {"admin_connections", admin ? (double)http_server_connections(admin) : 0,
         (double)shares->admin_connections},
        {"requests", main ? (double)http_server_requests(main) : 0, (double)shares->requests},
        {"body_bytes", (double)atomic_load(&server->bodies.used), (double)server->bodies.limit},
        {"compute_threads", server->compute ? (double)compute_running(server->compute) : 0,
         (double)shares->compute_threads},
        {"queue", server->compute ? (double)compute_waiting(server->compute) : 0, (double)shares->queue},
        {"descriptors", (double)process.open_descriptors, (double)shares->descriptors},
    };
    static const char used[] = "rasaed_resource_used", limit[] = "rasaed_resource_limit";
    size_t count = sizeof rows / sizeof *rows;
    prometheus_family(out, used, "gauge", "What is in use of each resource that has a limit.");
    for (size_t i = 0; i < count; i++)
        prometheus_value(out, used, LABELED("resource", rows[i].resource), rows[i].used);
    prometheus_family(out, limit, "gauge",
                      "The limits; beyond them connections wait and requests are answered 503.");
    for (size_t i = 0; i < count; i++)
        prometheus_value(out, limit, LABELED("resource", rows[i].resource), rows[i].limit);
}

static void put_lags(text *out, const char *address, const http_server *server) {
    char thread[24];
    for (size_t i = 0; server && i < http_server_threads(server); i++) {
        snprintf(thread, sizeof thread, "%zu", i);
        prometheus_value(out, "rasaed_io_thread_lag_seconds", LABELED("address", address, "thread", thread),
                         (double)http_server_lag_of(server, i) * microsecond);
    }
}

static void put_connections(text *out, const char *address, const http_server *server) {
    size_t counts[HTTP_STATES];
    if (!server) return;
    http_server_count_states(server, counts);
    for (size_t i = 0; i < HTTP_STATES; i++)
        prometheus_value(out, "rasaed_connections",
                         LABELED("address", address, "state", http_server_states[i]), (double)counts[i]);
}

static void put_refused(text *out, const char *address, const http_server *server) {
    static const char name[] = "rasaed_connections_refused_total";
    if (!server) return;
    prometheus_value(out, name, LABELED("address", address, "reason", "address"),
                     (double)http_server_refused(server));
    prometheus_value(out, name, LABELED("address", address, "reason", "full"),
                     (double)http_server_refused_when_full(server));
}

static void put_addresses(text *out, const rasaed *server) {
    const http_server *main = atomic_load(&server->servers[0]), *admin = atomic_load(&server->servers[1]);
    if (!server->shares) return;
    put_limits(out, server, main, admin);
    prometheus_family(out, "rasaed_connections", "gauge",
                      "Connections in each state; those that are waiting are not accepted yet.");
    put_connections(out, "main", main);
    put_connections(out, "admin", admin);
    prometheus_family(
        out, "rasaed_connections_refused_total", "counter",
        "Connections that were refused: their address had all that it may have (address), or all "
        "were taken and they asked for more than health and metrics (full).");
    put_refused(out, "main", main);
    put_refused(out, "admin", admin);
    prometheus_family(
        out, "rasaed_io_thread_lag_seconds", "gauge",
        "How long the connections of an I/O thread had to wait for it, at the worst in the last 15 to "
        "30 seconds.");
    put_lags(out, "main", main);
    put_lags(out, "admin", admin);
}

/* ---- dictionaries -------------------------------------------------------------------------------------- */

typedef enum dictionary_metric {
    READY,
    GENERATION,
    LOADS,
    LOAD_FAILURES,
    DEVICE_FALLBACKS,
    LAST_LOAD_FAILED,
    LOSSES,
    SIZE_BYTES,
    DEVICE_BYTES,
    DICTIONARY_METRICS
} dictionary_metric;

static const struct {
    const char *name, *type, *help;
} dictionary_families[DICTIONARY_METRICS] = {
    [READY] = {"rasaed_dictionary_ready", "gauge", "Whether the dictionary is loaded and answers requests."},
    [GENERATION] =
        {"rasaed_dictionary_generation", "gauge",
         "The current generation: 1 after the first load, one more after each load of another content."},
    [LOADS] = {"rasaed_dictionary_loads_total", "counter", "Loads and reloads that worked."},
    [LOAD_FAILURES] = {"rasaed_dictionary_load_failures_total", "counter",
                       "Loads and reloads that failed; the old generation keeps serving."},
    [DEVICE_FALLBACKS] = {"rasaed_dictionary_device_fallbacks_total", "counter",
                          "Loads that the CPU serves because the device had no memory."},
    [LAST_LOAD_FAILED] = {"rasaed_dictionary_last_load_failed", "gauge",
                          "Whether the last load or reload failed."},
    [LOSSES] =
        {"rasaed_dictionary_losses_total", "counter",
         "Generations given up because their file changed while it was served; 503 until a load works."},
    [SIZE_BYTES] = {"rasaed_dictionary_size_bytes", "gauge",
                    "Memory of the dictionary, mapped files included."},
    [DEVICE_BYTES] = {"rasaed_dictionary_device_bytes", "gauge", "Memory of the dictionary on a device."},
};

/* info: NULL for a dictionary that is not loaded. */
static double value_of(dictionary_metric which, const registry_status *status, const ra_model_info *info) {
    switch (which) {
    case READY:
        return status->ready;
    case GENERATION:
    case LOADS:
        return (double)status->loads;
    case LOAD_FAILURES:
        return (double)status->failures;
    case DEVICE_FALLBACKS:
        return (double)status->fallbacks;
    case LAST_LOAD_FAILED:
        return status->reason[0] != '\0';
    case LOSSES:
        return (double)status->losses;
    case SIZE_BYTES:
        return info ? (double)info->bytes : 0;
    case DEVICE_BYTES:
        return info ? (double)info->device_bytes : 0;
    case DICTIONARY_METRICS:
        break;
    }
    return 0;
}

static void put_dictionaries(text *out, registry *dictionaries) {
    registry_status status;
    for (int which = 0; which < DICTIONARY_METRICS; which++) {
        const char *name = dictionary_families[which].name;
        prometheus_family(out, name, dictionary_families[which].type, dictionary_families[which].help);
        for (size_t i = 0; registry_status_at(dictionaries, i, &status); i++) {
            served *dictionary = registry_acquire_at(dictionaries, i);
            const ra_model_info *info = dictionary ? ra_model_get_info(dictionary->model) : NULL;
            prometheus_value(out, name, LABELED("dictionary", status.name),
                             value_of((dictionary_metric)which, &status, info));
            served_release(dictionary);
        }
    }
}

/* ---- the process --------------------------------------------------------------------------------------- */

static void put_process(text *out, const rasaed *server) {
    process_use use = process_look();
    put_single(out, "process_cpu_seconds_total", "counter", "User and system time of all threads.",
               use.cpu_seconds);
    put_single(out, "process_start_time_seconds", "gauge",
               "Start of the process, in seconds since the Unix epoch.", use.start_seconds);
    put_single(out, "process_resident_memory_bytes", "gauge", "Resident memory, mapped files included.",
               use.resident_bytes);
    put_single(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.", use.virtual_bytes);
    put_single(out, "process_open_fds", "gauge", "Open file descriptors.", (double)use.open_descriptors);
    put_single(out, "process_max_fds", "gauge", "Limit of open file descriptors.",
               (double)use.max_descriptors);
    if (server->tls)
        put_single(out, "rasaed_tls_certificate_expires_timestamp_seconds", "gauge",
                   "When the certificate ends, in seconds since the Unix epoch.",
                   (double)http_tls_expires(server->tls));
    put_single(out, "rasaed_log_lines_dropped_total", "counter",
               "Lines of the log that were dropped because nobody read them.", (double)log_dropped());
    put_single(out, "process_threads", "gauge", "Threads.", (double)use.threads);
}

ra_status api_metrics(api_call *call, ra_error *err) {
    (void)err;
    const rasaed *server = call->server;
    text *out = &call->response->body;
    call->response->status = 200;
    call->response->content_type = PROMETHEUS_MEDIA_TYPE;
    prometheus_family(out, "rasaed_build_info", "gauge", "Always 1; the labels name the version.");
    prometheus_value(out, "rasaed_build_info", LABELED("version", RA_VERSION, "compiler", __VERSION__), 1);
    if (server->metrics) {
        put_routes(out, server->metrics);
        put_batches(out, server->metrics);
    }
    put_queues(out, server);
    put_addresses(out, server);
    put_dictionaries(out, server->dictionaries);
    put_process(out, server);
    return RA_OK;
}
