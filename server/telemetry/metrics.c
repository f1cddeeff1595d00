/* A set of counters is one array of atomics, laid out by the number of routes:
 *
 *     [began ended | batches: buckets, sum | route 0: requests [method][status], durations, sums | ...]
 *
 * There are SETS such arrays, and each thread uses one of them, so that two I/O threads rarely write to the
 * same cache line. The additions are atomic all the same: there may be more threads than sets.
 */
#include "telemetry/metrics.h"
#include "ra_memory.h"

#include <stdatomic.h>

enum { SETS = 16 };

const int metrics_statuses[METRICS_STATUSES] = {
    200, 204, 206, 304, 400, 401, 403, 404, 405, 406, 408, 409, 411, 412, 413,
    414, 415, 416, 417, 422, 429, 431, 499, 500, 501, 502, 503, 504, 505, METRICS_OTHER_STATUS};

static const uint64_t duration_bounds[] = {100,     250,     500,     1000,    2500,   5000,
                                           10000,   25000,   50000,   100000,  250000, 500000,
                                           1000000, 2500000, 5000000, 10000000};
static const uint64_t batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};

enum {
    DURATIONS = sizeof duration_bounds / sizeof *duration_bounds,
    BATCHES = sizeof batch_bounds / sizeof *batch_bounds,
    BEGAN = 0,
    ENDED,
    BATCH_BUCKETS,
    BATCH_SUM = BATCH_BUCKETS + BATCHES + 1,
    FIRST_ROUTE
};

_Static_assert((int)DURATIONS <= METRICS_LARGEST_HISTOGRAM && (int)BATCHES <= METRICS_LARGEST_HISTOGRAM,
               "a histogram does not fit");

/* The counters of a route, after its requests. */
enum {
    DURATION_BUCKETS = 0,
    DURATION_TOTAL = DURATIONS + 1,
    DURATION_RECEIVE,
    DURATION_QUEUE,
    DURATION_COMPUTE,
    DURATION_SEND,
    BYTES_IN,
    BYTES_OUT,
    ROUTE_COUNTERS
};

typedef _Atomic uint64_t counter;

struct metrics {
    size_t routes, methods;
    const char *const *labels;
    unsigned char status_index[600];
    counter *sets[SETS];
};

/* ---- layout -------------------------------------------------------------------------------------------- */

static size_t route_size(const metrics *counted) {
    return counted->methods * METRICS_STATUSES + ROUTE_COUNTERS;
}

static size_t request_at(const metrics *counted, size_t route, size_t method, size_t status) {
    return FIRST_ROUTE + route * route_size(counted) + method * METRICS_STATUSES + status;
}

static size_t route_at(const metrics *counted, size_t route, size_t which) {
    return request_at(counted, route, counted->methods, 0) + which;
}

static size_t bucket_of(const uint64_t *bounds, size_t n, uint64_t value) {
    size_t i = 0;
    while (i < n && value > bounds[i]) i++;
    return i;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void index_statuses(metrics *made) {
    for (size_t i = 0; i < sizeof made->status_index; i++) made->status_index[i] = METRICS_STATUSES - 1;
    for (size_t i = 0; i < METRICS_STATUSES - 1; i++)
        made->status_index[metrics_statuses[i]] = (unsigned char)i;
}

ra_status metrics_new(const metrics_options *options, metrics **out, ra_error *err) {
    metrics *made = ra_calloc(1, sizeof *made);
    bool good = made != NULL;
    if (made) {
        made->routes = options->routes;
        made->methods = options->methods;
        made->labels = options->labels;
        index_statuses(made);
    }
    for (size_t i = 0; i < SETS && good; i++) {
        made->sets[i] = ra_calloc(route_at(made, made->routes, 0), sizeof *made->sets[i]);
        good = made->sets[i] != NULL;
    }
    if (!good) {
        metrics_free(made);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the counters");
    }
    *out = made;
    return RA_OK;
}

void metrics_free(metrics *counted) {
    if (!counted) return;
    for (size_t i = 0; i < SETS; i++) ra_free(counted->sets[i]);
    ra_free(counted);
}

/* ---- counting ------------------------------------------------------------------------------------------ */

/* The set of this thread: threads take sets in turn. */
static counter *own_set(const metrics *counted) {
    static atomic_uint threads;
    static _Thread_local unsigned set = UINT32_MAX;
    if (set == UINT32_MAX) set = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SETS;
    return counted->sets[set];
}

static void add(counter *at, uint64_t n) {
    if (n) atomic_fetch_add_explicit(at, n, memory_order_relaxed);
}

/* metrics_in_flight() reads `ended` before `began`: a thread that sees the end of a request must see its
 * beginning. Requests that begin and end between the two reads are counted too, so a reading may be a few
 * requests too high and is never below zero. Limits do not use it; the server counts exactly for them. */
void metrics_began(metrics *counted) {
    if (counted) atomic_fetch_add_explicit(own_set(counted) + BEGAN, 1, memory_order_release);
}

void metrics_ended(metrics *counted, size_t route, size_t method, const request_event *event) {
    if (!counted || route >= counted->routes || method >= counted->methods) return;
    counter *set = own_set(counted), *of_route = set + route_at(counted, route, 0);
    bool known = event->status >= 0 && (size_t)event->status < sizeof counted->status_index;
    size_t status = known ? counted->status_index[event->status] : METRICS_STATUSES - 1;
    add(set + request_at(counted, route, method, status), 1);
    add(of_route + DURATION_BUCKETS + bucket_of(duration_bounds, DURATIONS, event->us.total), 1);
    add(of_route + DURATION_TOTAL, event->us.total);
    add(of_route + DURATION_RECEIVE, event->us.receive);
    add(of_route + DURATION_QUEUE, event->us.queue);
    add(of_route + DURATION_COMPUTE, event->us.compute);
    add(of_route + DURATION_SEND, event->us.send);
    add(of_route + BYTES_IN, event->bytes_in);
    add(of_route + BYTES_OUT, event->bytes_out);
    atomic_fetch_add_explicit(set + ENDED, 1, memory_order_release);
}

void metrics_joined(metrics *counted, size_t rows) {
    if (!counted) return;
    counter *set = own_set(counted);
    add(set + BATCH_BUCKETS + bucket_of(batch_bounds, BATCHES, rows), 1);
    add(set + BATCH_SUM, rows);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static uint64_t read_sum(const metrics *counted, size_t at) {
    uint64_t sum = 0;
    for (size_t i = 0; i < SETS; i++)
        sum += atomic_load_explicit(counted->sets[i] + at, memory_order_acquire);
    return sum;
}

size_t metrics_route_count(const metrics *counted) {
    return counted->routes;
}

const char *metrics_route_label(const metrics *counted, size_t route) {
    return counted->labels[route];
}

uint64_t metrics_requests(const metrics *counted, size_t route, size_t method, size_t status) {
    return read_sum(counted, request_at(counted, route, method, status));
}

metrics_sums metrics_route(const metrics *counted, size_t route) {
    return (metrics_sums){
        .bytes_in = read_sum(counted, route_at(counted, route, BYTES_IN)),
        .bytes_out = read_sum(counted, route_at(counted, route, BYTES_OUT)),
        .us = {.receive = read_sum(counted, route_at(counted, route, DURATION_RECEIVE)),
               .queue = read_sum(counted, route_at(counted, route, DURATION_QUEUE)),
               .compute = read_sum(counted, route_at(counted, route, DURATION_COMPUTE)),
               .send = read_sum(counted, route_at(counted, route, DURATION_SEND)),
               .total = read_sum(counted, route_at(counted, route, DURATION_TOTAL))},
    };
}

static metrics_histogram read_histogram(const metrics *counted, const uint64_t *bounds, size_t size,
                                        size_t buckets, size_t sum) {
    metrics_histogram read = {.size = size, .bounds = bounds, .sum = read_sum(counted, sum)};
    for (size_t i = 0; i <= size; i++) read.counts[i] = read_sum(counted, buckets + i);
    return read;
}

metrics_histogram metrics_durations(const metrics *counted, size_t route) {
    return read_histogram(counted, duration_bounds, DURATIONS, route_at(counted, route, DURATION_BUCKETS),
                          route_at(counted, route, DURATION_TOTAL));
}

metrics_histogram metrics_batches(const metrics *counted) {
    return read_histogram(counted, batch_bounds, BATCHES, BATCH_BUCKETS, BATCH_SUM);
}

uint64_t metrics_in_flight(const metrics *counted) {
    uint64_t ended = read_sum(counted, ENDED), began = read_sum(counted, BEGAN);
    return began > ended ? began - ended : 0;
}
