#include "telemetry/observe.h"
#include "http/headers.h"
#include "telemetry/log.h"

/* nginx's status for a client that left before the answer; never sent. */
enum { CLIENT_GONE = 499 };

void observe_began(metrics *counted, http_request *request, http_response *response) {
    const char *parent = request->headers[HTTP_TRACEPARENT];
    request->admitted = true;
    metrics_began(counted);
    if (trace_parent_is_good(parent)) http_response_header(response, "Traceparent", parent);
}

/* The time between two stages; 0 when the request never reached one of them. */
static uint64_t between(uint64_t from, uint64_t to) {
    return from && to > from ? to - from : 0;
}

/* A refused request has no `received`: everything before its answer was receiving. A client may leave at any
 * stage. */
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

static const char *or_null(const char *string) {
    return string && *string ? string : NULL;
}

void observe_done(metrics *counted, const observed_route *route, const http_request *request,
                  const http_response *response, uint64_t microseconds) {
    char trace[TRACE_ID_SIZE];
    request_event event = {
        .id = request->id,
        .method = request->method_name,
        .route = route->label,
        .path = request->target.path,
        .client = or_null(request->client),
        .peer = or_null(request->peer),
        .key = or_null(request->key_name),
        .dictionary = route->dictionary,
        .trace_id = or_null(trace_id(request->headers[HTTP_TRACEPARENT], trace)),
        .code = response->problem ? problem_get(response->problem)->code : NULL,
        .status = response->status ? response->status : CLIENT_GONE,
        .bytes_in = request->body_size,
        .bytes_out = request->method == HTTP_HEAD ? 0 : http_response_size(response),
        .us = times_of(&request->stages, microseconds),
    };
    if (!request->admitted) metrics_began(counted); /* refused before observe_began() */
    metrics_ended(counted, route->index, request->method, &event);
    log_request(&event);
}
