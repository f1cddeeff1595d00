/* log_ring.h - lines on their way to a descriptor that may not take them: whoever logs never waits.
 *
 *     log_ring *ring = NULL;
 *     RA_TRY(log_ring_start(&(log_ring_options){.descriptor = 2, .bytes = 1 << 20}, &ring, err));
 *     log_ring_put(ring, line, size);          a copy; drops the line when the ring is full
 *     log_ring_flush(ring, 1000);              before the process ends: waits until all is written, so long at most
 *
 * A thread of its own writes. Lines that one write() takes whole (PIPE_BUF bytes) are never mixed with those of other
 * processes that write to the same pipe. Lines that were dropped are counted, and once the descriptor takes lines
 * again, a line says how many there were, at the place where they are missing.
 *
 * A ring lives as long as the process, since a thread that waits for a descriptor cannot be told to stop.
 *
 * Thread safety: any thread may call these at any time.
 */
#ifndef RASAED_TELEMETRY_LOG_RING_H
#define RASAED_TELEMETRY_LOG_RING_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct log_ring log_ring;

enum { LOG_RING_LINE_MOST = 4096 }; /* with its newline */

typedef struct log_ring_options {
    int descriptor; /* not closed */
    size_t bytes;   /* of lines that wait, at least two of the longest */
    /* Writes into data [LOG_RING_LINE_MOST] the line, with its newline, that says how many were dropped; returns its
     * length. */
    size_t (*dropped)(char *data, uint64_t lines);
} log_ring_options;

ra_status log_ring_start(const log_ring_options *options, log_ring **ring, ra_error *err);

/* A line with its newline, at most LOG_RING_LINE_MOST bytes. */
void log_ring_put(log_ring *ring, const char *line, size_t size);

/* Lines that were dropped, or that the descriptor refused. */
uint64_t log_ring_dropped(log_ring *ring);

/* Waits until all lines are written or dropped; false if so many milliseconds were not enough. */
bool log_ring_flush(log_ring *ring, unsigned milliseconds);

#endif
