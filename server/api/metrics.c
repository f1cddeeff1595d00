/* GET /metrics: the counters of telemetry/metrics.c, the dictionaries and the process, for Prometheus.
 *
 * A series appears with the first request that it counts, so that a server with many routes that serves a few
 * of them does not send thousands of zeros. Dictionaries are always there.
 */
#include "telemetry/metrics.h"
#include "api/api.h"
#include "codec/prometheus.h"
#include "telemetry/process.h"
#include "ra.h"
#include "routes.h"

#include <stdio.h>

enum { LABELS = 8 };
static const double microsecond = 1e-6;

/* ---- requests ------------------------------------------------------------------------------------------ */

static size_t route_count(void) {
    size_t n = 1;
    for (const route *row = routes_table(); row->pattern; row++) n++;
    return n;
}

static const char *method_label(size_t method) {
    const char *name = http_method_name((http_method)method);
    return name ? name : "other";
}

static void put_route_requests(text *out, const metrics *counted, size_t at) {
    char status[16];
    for (size_t method = 0; method <= HTTP_OTHER; method++)
        for (size_t i = 0; i < METRICS_STATUSES; i++) {
            uint64_t count = metrics_requests(counted, at, method, i);
            if (!count) continue;
            bool other = metrics_statuses[i] == METRICS_OTHER_STATUS;
            snprintf(status, sizeof status, "%d", metrics_statuses[i]);
            const char *const labels[LABELS] = {"route",  routes_table()[at].label,
                                                "method", method_label(method),
                                                "status", other ? "other" : status};
            prometheus_value(out, "rasaed_requests_total", labels, (double)count);
        }
}

static void put_requests(text *out, const metrics *counted) {
    prometheus_family(out, "rasaed_requests_total", "counter",
                      "Requests answered; status 499 where the client left before the answer.");
    for (size_t i = 0; i < route_count(); i++) put_route_requests(out, counted, i);
    prometheus_family(out, "rasaed_requests_in_flight", "gauge",
                      "Requests begun and not yet answered in full.");
    prometheus_value(out, "rasaed_requests_in_flight", NULL, (double)metrics_in_flight(counted));
}

static uint64_t sum_of(const metrics_histogram *histogram) {
    uint64_t sum = 0;
    for (size_t i = 0; i <= histogram->size; i++) sum += histogram->counts[i];
    return sum;
}

static void put_durations(text *out, const metrics *counted) {
    static const char name[] = "rasaed_request_duration_seconds";
    prometheus_family(out, name, "histogram",
                      "From the first line of a request to the last byte of its reply.");
    for (size_t i = 0; i < route_count(); i++) {
        metrics_histogram histogram = metrics_durations(counted, i);
        const char *const labels[LABELS] = {"route", routes_table()[i].label};
        if (sum_of(&histogram))
            prometheus_histogram(out, name, labels, histogram.bounds, histogram.counts, histogram.size,
                                 histogram.sum, microsecond);
    }
}

static void put_stages(text *out, const metrics *counted) {
    static const char name[] = "rasaed_request_stage_seconds_total";
    prometheus_family(out, name, "counter", "Where the time of the requests went.");
    for (size_t i = 0; i < route_count(); i++) {
        request_times us = metrics_route(counted, i).us;
        const struct {
            const char *label;
            uint64_t us;
        } stages[] = {
            {"receive", us.receive}, {"queue", us.queue}, {"compute", us.compute}, {"send", us.send}};
        for (size_t s = 0; us.total && s < sizeof stages / sizeof *stages; s++)
            prometheus_value(
                out, name,
                (const char *const[LABELS]){"route", routes_table()[i].label, "stage", stages[s].label},
                (double)stages[s].us * microsecond);
    }
}

static void put_bytes(text *out, const metrics *counted) {
    static const char in[] = "rasaed_request_body_bytes_total", sent[] = "rasaed_response_body_bytes_total";
    prometheus_family(out, in, "counter", "Bytes of request bodies.");
    for (size_t i = 0; i < route_count(); i++) {
        uint64_t bytes = metrics_route(counted, i).bytes_in;
        if (bytes)
            prometheus_value(out, in, (const char *const[LABELS]){"route", routes_table()[i].label},
                             (double)bytes);
    }
    prometheus_family(out, sent, "counter", "Bytes of response bodies.");
    for (size_t i = 0; i < route_count(); i++) {
        uint64_t bytes = metrics_route(counted, i).bytes_out;
        if (bytes)
            prometheus_value(out, sent, (const char *const[LABELS]){"route", routes_table()[i].label},
                             (double)bytes);
    }
}

/* ---- computing ----------------------------------------------------------------------------------------- */

static void put_queues(text *out, const rasaed *server) {
    prometheus_family(
        out, "rasaed_queue_length", "gauge",
        "Requests that wait for a compute thread (thread) or for their turn in the batcher (batch).");
    prometheus_value(out, "rasaed_queue_length", (const char *const[LABELS]){"for", "thread"},
                     server->compute ? (double)compute_waiting(server->compute) : 0);
    prometheus_value(out, "rasaed_queue_length", (const char *const[LABELS]){"for", "batch"},
                     server->batcher ? (double)batcher_waiting(server->batcher) : 0);
}

static void put_batches(text *out, const metrics *counted) {
    metrics_histogram histogram = metrics_batches(counted);
    prometheus_family(out, "rasaed_batch_rows", "histogram",
                      "Rows of waiting requests that were computed together.");
    prometheus_histogram(out, "rasaed_batch_rows", NULL, histogram.bounds, histogram.counts, histogram.size,
                         histogram.sum, 1);
}

/* ---- dictionaries -------------------------------------------------------------------------------------- */

/* One metric of every dictionary; NULL stays out. */
static void put_dictionaries(text *out, registry *dictionaries, const char *name, const char *type,
                             const char *help, double (*value)(const registry_status *, const served *)) {
    registry_status status;
    prometheus_family(out, name, type, help);
    for (size_t i = 0; registry_status_at(dictionaries, i, &status); i++) {
        served *dictionary = registry_acquire_at(dictionaries, i);
        prometheus_value(out, name, (const char *const[LABELS]){"dictionary", status.name},
                         value(&status, dictionary));
        served_release(dictionary);
    }
}

static double ready_of(const registry_status *status, const served *dictionary) {
    (void)dictionary;
    return status->ready;
}

static double generation_of(const registry_status *status, const served *dictionary) {
    (void)dictionary;
    return (double)status->generation;
}

static double failures_of(const registry_status *status, const served *dictionary) {
    (void)dictionary;
    return (double)status->failures;
}

static double fallbacks_of(const registry_status *status, const served *dictionary) {
    (void)dictionary;
    return (double)status->fallbacks;
}

static double failing_of(const registry_status *status, const served *dictionary) {
    (void)dictionary;
    return status->reason[0] != '\0';
}

static double bytes_of(const registry_status *status, const served *dictionary) {
    (void)status;
    return dictionary ? (double)ra_model_get_info(dictionary->model)->bytes : 0;
}

static double device_bytes_of(const registry_status *status, const served *dictionary) {
    (void)status;
    return dictionary ? (double)ra_model_get_info(dictionary->model)->device_bytes : 0;
}

static void put_all_dictionaries(text *out, registry *dictionaries) {
    put_dictionaries(out, dictionaries, "rasaed_dictionary_ready", "gauge",
                     "Whether the dictionary is loaded and answers requests.", ready_of);
    put_dictionaries(out, dictionaries, "rasaed_dictionary_generation", "gauge",
                     "The generation that serves: 1 when first loaded, one more a reload.", generation_of);
    put_dictionaries(out, dictionaries, "rasaed_dictionary_loads_total", "counter",
                     "Loads and reloads that worked.", generation_of);
    put_dictionaries(out, dictionaries, "rasaed_dictionary_load_failures_total", "counter",
                     "Loads and reloads that failed; the old generation goes on serving.", failures_of);
    put_dictionaries(out, dictionaries, "rasaed_dictionary_device_fallbacks_total", "counter",
                     "Loads for which the device had no memory, so that the CPU serves.", fallbacks_of);
    put_dictionaries(out, dictionaries, "rasaed_dictionary_last_load_failed", "gauge",
                     "Whether the last load or reload failed.", failing_of);
    put_dictionaries(out, dictionaries, "rasaed_dictionary_size_bytes", "gauge",
                     "Memory that the dictionary takes, mapped files included.", bytes_of);
    put_dictionaries(out, dictionaries, "rasaed_dictionary_device_bytes", "gauge",
                     "Memory that the dictionary takes on a device.", device_bytes_of);
}

/* ---- the process --------------------------------------------------------------------------------------- */

static void put_one(text *out, const char *name, const char *type, const char *help, double value) {
    prometheus_family(out, name, type, help);
    prometheus_value(out, name, NULL, value);
}

static void put_process(text *out) {
    process_use use = process_look();
    put_one(out, "process_cpu_seconds_total", "counter", "User and system time of all threads.",
            use.cpu_seconds);
    put_one(out, "process_start_time_seconds", "gauge", "Start of the process since the Unix epoch.",
            use.start_seconds);
    put_one(out, "process_resident_memory_bytes", "gauge", "Resident memory, mapped files included.",
            use.resident_bytes);
    put_one(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.", use.virtual_bytes);
    put_one(out, "process_open_fds", "gauge", "Open file descriptors.", (double)use.open_descriptors);
    put_one(out, "process_max_fds", "gauge", "Most file descriptors that may be open.",
            (double)use.max_descriptors);
    put_one(out, "process_threads", "gauge", "Threads.", (double)use.threads);
}

static void put_build(text *out) {
    prometheus_family(out, "rasaed_build_info", "gauge", "Always 1; the labels say what is running.");
    prometheus_value(out, "rasaed_build_info",
                     (const char *const[LABELS]){"version", RA_VERSION, "compiler", __VERSION__}, 1);
}

ra_status api_metrics(api_call *call, ra_error *err) {
    (void)err;
    const rasaed *server = call->server;
    text *out = &call->response->body;
    call->response->status = 200;
    call->response->content_type = PROMETHEUS_MEDIA_TYPE;
    put_build(out);
    if (server->metrics) {
        put_requests(out, server->metrics);
        put_durations(out, server->metrics);
        put_stages(out, server->metrics);
        put_bytes(out, server->metrics);
        put_batches(out, server->metrics);
    }
    put_queues(out, server);
    put_all_dictionaries(out, server->dictionaries);
    put_process(out);
    return RA_OK;
}
