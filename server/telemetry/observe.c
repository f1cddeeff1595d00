#include "telemetry/observe.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "http/trace.h"
#include "routes.h"

#include <string.h>

/* nginx's number for a client that left before there was an answer; never sent. */
enum { CLIENT_GONE = 499 };

static size_t route_count(void) {
    const route *row = routes_table();
    while (row->pattern) row++;
    return (size_t)(row - routes_table()) + 1;
}

ra_status observe_new_metrics(metrics **out, ra_error *err) {
    return metrics_new(&(metrics_options){.routes = route_count(), .methods = HTTP_OTHER + 1}, out, err);
}

void observe_began(const rasaed *server, http_request *request, http_response *response) {
    const char *parent = request->headers[HTTP_TRACEPARENT];
    request->admitted = true;
    metrics_began(server->metrics);
    if (trace_parent_is_good(parent)) http_response_header(response, "Traceparent", parent);
}

/* The time between two stages; 0 when one of them never came. */
static uint64_t between(uint64_t from, uint64_t to) {
    return from && to > from ? to - from : 0;
}

/* A refused request has no `received`: all up to its answer was receiving. A client may go at any stage. */
static request_times times_of(const http_stages *at, uint64_t total) {
    uint64_t end = at->started + total;
    uint64_t answered = at->answered && at->answered < end ? at->answered : end;
    uint64_t received = at->received && at->received < answered ? at->received : answered;
    uint64_t queue = between(at->queued, at->computing ? at->computing : answered);
    uint64_t computing = between(received, answered);
    if (queue > computing) queue = computing;
    return (request_times){.receive = received - at->started,
                           .queue = queue,
                           .compute = computing - queue,
                           .send = end - answered,
                           .total = total};
}

/* A path that is known belongs to its row whatever the method: OPTIONS, and what is answered 405. */
static const route *row_of(const http_request *request) {
    route_match match = {.route = request->route};
    for (int method = 0; method < HTTP_OTHER && request->admitted && !match.route; method++)
        routes_find(&request->target, (http_method)method, &match);
    return match.route ? match.route : routes_table() + route_count() - 1;
}

static const char *dictionary_of(const http_request *request) {
    const route *row = request->route;
    bool named = row && row->pattern && (strstr(row->pattern, "{d}") || strstr(row->pattern, "{m}"));
    return named ? request->captures[0] : NULL;
}

static const char *or_nothing(const char *string) {
    return string && *string ? string : NULL;
}

void observe_done(const rasaed *server, const http_request *request, const http_response *response,
                  uint64_t microseconds) {
    char trace[TRACE_ID_SIZE];
    const route *row = row_of(request);
    request_event event = {
        .id = request->id,
        .method = request->method_name,
        .route = row->label,
        .path = request->target.path,
        .client = or_nothing(request->client),
        .dictionary = dictionary_of(request),
        .trace_id = or_nothing(trace_id(request->headers[HTTP_TRACEPARENT], trace)),
        .status = response->status ? response->status : CLIENT_GONE,
        .bytes_in = request->body_size,
        .bytes_out = request->method == HTTP_HEAD ? 0 : http_response_size(response),
        .us = times_of(&request->stages, microseconds),
    };
    if (!request->admitted) metrics_began(server->metrics); /* its header was refused, so nobody counted it */
    metrics_ended(server->metrics, (size_t)(row - routes_table()), request->method, &event);
    log_request(&event);
}
