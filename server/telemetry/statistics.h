/* statistics.h - what inference on one dictionary has cost so far: counts and nanoseconds per stage.
 *
 *     statistics_clock clock = {0};
 *     uint64_t from = statistics_now();
 *     ... parse ...
 *     from = statistics_lap(from, &clock.compute_input);
 *     ...
 *     statistics_succeeded(&counted, &clock, rows);
 *
 * The numbers only grow, over all generations of the dictionary, so that two readings can be subtracted.
 * Source: the statistics extension of the Open Inference Protocol. Thread safety: any thread may add and read
 * at any time; a reading may see one of its numbers one request ahead of another.
 */
#ifndef RASAED_TELEMETRY_STATISTICS_H
#define RASAED_TELEMETRY_STATISTICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The stages, as the protocol names them. There is no response cache: its two stay zero. */
#define STATISTICS_STAGE_LIST(X)                                                                             \
    X(success) X(fail) X(queue) X(compute_input) X(compute_infer) X(compute_output) X(cache_hit) X(cache_miss)

typedef struct statistics_total {
    _Atomic uint64_t count, ns;
} statistics_total;

typedef struct statistics {
    _Atomic uint64_t inferences; /* rows */
    _Atomic uint64_t executions; /* requests, computed alone or joined with others */
    _Atomic uint64_t last_ms;    /* since the epoch; 0: none yet */
#define X(stage) statistics_total stage;
    STATISTICS_STAGE_LIST(X)
#undef X
} statistics;

/* Nanoseconds of one request. */
typedef struct statistics_clock {
    uint64_t queue, compute_input, compute_infer, compute_output;
} statistics_clock;

uint64_t statistics_now(void); /* nanoseconds of the monotonic clock */

/* *stage <- the time since `from`; returns now. */
uint64_t statistics_lap(uint64_t from, uint64_t *stage);

void statistics_succeeded(statistics *counted, const statistics_clock *clock, size_t rows);
void statistics_failed(statistics *counted, uint64_t ns);

#endif
