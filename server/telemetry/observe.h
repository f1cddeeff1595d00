/* observe.h - what the log and the metrics are told of each request; called by routes.c.
 *
 * Thread safety: called from any I/O thread.
 */
#ifndef RASAED_TELEMETRY_OBSERVE_H
#define RASAED_TELEMETRY_OBSERVE_H

#include "api/rasaed.h"
#include "http/http.h"

/* The counters for the routing table as it is; rasaed.metrics wants them. */
ra_status observe_new_metrics(metrics **out, ra_error *err);

/* Its header is read: the request is in flight from now on. */
void observe_began(const rasaed *server, http_request *request, http_response *response);

/* The response is sent, or lost. */
void observe_done(const rasaed *server, const http_request *request, const http_response *response,
                  uint64_t microseconds);

#endif
