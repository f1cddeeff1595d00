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

static void stamp(statistics *all) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    atomic_store_explicit(&all->last_ms, ms, memory_order_relaxed);
}

void statistics_succeeded(statistics *all, const statistics_clock *clock, size_t rows) {
    add(&all->inferences, rows);
    add(&all->executions, 1);
    count(&all->queue, clock->queue);
    count(&all->compute_input, clock->compute_input);
    count(&all->compute_infer, clock->compute_infer);
    count(&all->compute_output, clock->compute_output);
    count(&all->success, clock->queue + clock->compute_input + clock->compute_infer + clock->compute_output);
    stamp(all);
}

void statistics_failed(statistics *all, uint64_t ns) {
    count(&all->fail, ns);
    stamp(all);
}
