#include "telemetry/statistics.h"

#include <time.h>

uint64_t statistics_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t statistics_lap(uint64_t from, uint64_t *stage) {
    uint64_t now = statistics_now();
    *stage = now - from;
    return now;
}

static void add(_Atomic uint64_t *to, uint64_t n) {
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static void count(statistics_total *total, uint64_t ns) {
    add(&total->count, 1);
    add(&total->ns, ns);
}

static void stamp(statistics *counted) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    atomic_store_explicit(&counted->last_ms, ms, memory_order_relaxed);
}

void statistics_succeeded(statistics *counted, const statistics_clock *clock, size_t rows) {
    add(&counted->inferences, rows);
    add(&counted->executions, 1);
    count(&counted->queue, clock->queue);
    count(&counted->compute_input, clock->compute_input);
    count(&counted->compute_infer, clock->compute_infer);
    count(&counted->compute_output, clock->compute_output);
    count(&counted->success,
          clock->queue + clock->compute_input + clock->compute_infer + clock->compute_output);
    stamp(counted);
}

void statistics_failed(statistics *counted, uint64_t ns) {
    count(&counted->fail, ns);
    stamp(counted);
}
