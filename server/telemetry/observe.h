/* observe.h - tells the log and the metrics about each request.
 *
 * Thread safety: any I/O thread may call these.
 */
#ifndef RASAED_TELEMETRY_OBSERVE_H
#define RASAED_TELEMETRY_OBSERVE_H

#include "http/http.h"
#include "telemetry/metrics.h"

/* The headers are read: from now on the request is in flight. */
void observe_began(metrics *counted, http_request *request, http_response *response);

/* What only the service knows of a request. */
typedef struct observed_route {
    size_t index; /* in metrics_options.labels */
    const char *label;
    const char *dictionary; /* that the path names; NULL: none */
} observed_route;

/* The response is sent, or lost, so many microseconds after the first line. */
void observe_done(metrics *counted, const observed_route *route, const http_request *request,
                  const http_response *response, uint64_t microseconds);

#endif
