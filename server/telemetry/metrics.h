/* metrics.h - what the server has done so far, in numbers that only grow; api/metrics.c writes them out.
 *
 *     metrics *counted = NULL;
 *     RA_TRY(metrics_new(&(metrics_options){.routes = 40, .labels = labels, .methods = 5}, &counted, err));
 *     metrics_began(counted);
 *     metrics_ended(counted, route, method, &event);
 *     metrics_joined(counted, 12);
 *     ... metrics_requests(counted, route, method, status) ...
 *
 * Counting takes no lock: each thread adds to one of several sets of counters, and reading adds the sets up.
 * While requests run, a reading may see one of its numbers one request ahead of another; the number of
 * requests in flight is never below zero.
 *
 * Thread safety: any thread may count and read at any time; new and free belong to one. NULL counts nothing.
 */
#ifndef RASAED_TELEMETRY_METRICS_H
#define RASAED_TELEMETRY_METRICS_H

#include "telemetry/log.h"

typedef struct metrics metrics;

typedef struct metrics_options {
    size_t routes, methods;    /* how many there are, numbered from 0 */
    const char *const *labels; /* [routes], the names in the output; constant */
} metrics_options;

ra_status metrics_new(const metrics_options *options, metrics **out, ra_error *err);
void metrics_free(metrics *counted);

/* ---- counting ------------------------------------------------------------------------------------------ */

void metrics_began(metrics *counted);
void metrics_ended(metrics *counted, size_t route, size_t method, const request_event *event);
void metrics_joined(metrics *counted, size_t rows); /* rows of several requests computed together */

/* ---- reading ------------------------------------------------------------------------------------------- */

size_t metrics_route_count(const metrics *counted);
const char *metrics_route_label(const metrics *counted, size_t route);

/* The statuses that are counted, ascending; the last one stands for all others. */
enum { METRICS_STATUSES = 30, METRICS_OTHER_STATUS = 999 };
extern const int metrics_statuses[METRICS_STATUSES];

uint64_t metrics_requests(const metrics *counted, size_t route, size_t method, size_t status);

/* Sums over the requests of a route; times in microseconds per stage. */
typedef struct metrics_sums {
    uint64_t bytes_in, bytes_out;
    request_times us;
} metrics_sums;

metrics_sums metrics_route(const metrics *counted, size_t route);

enum { METRICS_LARGEST_HISTOGRAM = 20 };

/* counts[i]: how many are at most bounds[i] and above bounds[i - 1]; counts[size]: above all. */
typedef struct metrics_histogram {
    size_t size;
    const uint64_t *bounds;
    uint64_t counts[METRICS_LARGEST_HISTOGRAM + 1], sum;
} metrics_histogram;

metrics_histogram metrics_durations(const metrics *counted, size_t route); /* microseconds */
metrics_histogram metrics_batches(const metrics *counted);                 /* rows */

uint64_t metrics_in_flight(const metrics *counted);

#endif
