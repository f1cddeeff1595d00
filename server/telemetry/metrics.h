/* metrics.h - what the server has done so far, in numbers that only grow; api/metrics.c writes them out.
 *
 *     metrics *counted = NULL;
 *     RA_TRY(metrics_new(&(metrics_options){.routes = 40, .methods = 5}, &counted, err));
 *     metrics_began(counted);
 *     metrics_ended(counted, route, method, &event);
 *     metrics_joined(counted, 12);
 *     ... metrics_requests(counted, route, method, status) ...
 *
 * Counting takes no lock: each thread adds to one of several sets of counters, and reading sums them up. A
 * reading beside requests may see one of its numbers a request ahead of another; requests in flight are never
 * below zero.
 *
 * Thread safety: any thread may count and read at any time; new and free belong to one.
 * NULL counts nothing. */
#ifndef RASAED_TELEMETRY_METRICS_H
#define RASAED_TELEMETRY_METRICS_H

#include "telemetry/log.h"

typedef struct metrics metrics;

typedef struct metrics_options {
    size_t routes, methods; /* how many there are; both are counted from 0 */
} metrics_options;

ra_status metrics_new(const metrics_options *options, metrics **out, ra_error *err);
void metrics_free(metrics *counted);

/* ---- counting ------------------------------------------------------------------------------------------ */

void metrics_began(metrics *counted);
void metrics_ended(metrics *counted, size_t route, size_t method, const request_event *event);
void metrics_joined(metrics *counted, size_t rows); /* rows of waiting requests computed together */

/* ---- reading ------------------------------------------------------------------------------------------- */

/* The statuses that are told apart, ascending; the last one stands for every other. */
enum { METRICS_STATUSES = 30, METRICS_OTHER_STATUS = 999 };
extern const int metrics_statuses[METRICS_STATUSES];

uint64_t metrics_requests(const metrics *counted, size_t route, size_t method, size_t status);

/* Sums over the requests of a route; times in microseconds, by stage. */
typedef struct metrics_sums {
    uint64_t bytes_in, bytes_out;
    request_times us;
} metrics_sums;

metrics_sums metrics_route(const metrics *counted, size_t route);

enum { METRICS_LARGEST_HISTOGRAM = 20 };

/* counts[i]: how many were at most bounds[i], and above bounds[i - 1]; counts[size]: above all. */
typedef struct metrics_histogram {
    size_t size;
    const uint64_t *bounds;
    uint64_t counts[METRICS_LARGEST_HISTOGRAM + 1], sum;
} metrics_histogram;

metrics_histogram metrics_durations(const metrics *counted, size_t route); /* microseconds */
metrics_histogram metrics_batches(const metrics *counted);                 /* rows */

uint64_t metrics_in_flight(const metrics *counted);

#endif
