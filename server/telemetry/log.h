/* log.h - the log of the program: lines on standard error, as text or as JSON objects.
 *
 *     2025-11-23T08:15:00.123Z info    dictionary words: 4000 atoms of 384 dimensions
 *     2025-11-23T08:15:02.417Z info    request id=8c1f method=GET route=atom path=/v1/dictionaries/w ...
 *     {"time":"2025-11-23T08:15:02.417Z","level":"info","message":"request","id":"8c1f","method":"GET",...}
 *
 * log_start() makes it the sink of ra_log(), which everything calls. Lines of several threads never mix. Text from
 * clients is escaped: an event is one line, and a client can neither begin a line nor end a value. Nothing is
 * allocated.
 *
 * A line is one write() until log_never_wait(), from which on a thread of its own writes (log_ring.h): a log that
 * nobody reads stops no request.
 *
 * Thread safety: log_start() and log_never_wait() are called once, early; any thread may call the rest.
 */
#ifndef RASAED_TELEMETRY_LOG_H
#define RASAED_TELEMETRY_LOG_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum log_format { LOG_TEXT, LOG_JSON } log_format;

/* Lines below this level are dropped. */
void log_start(ra_log_level level, log_format format);

/* From now on a line that cannot be written at once waits in memory, and is dropped and counted when there are too
 * many. */
ra_status log_never_wait(ra_error *err);

/* Before the process ends: waits until the lines are written, at most so long. */
void log_flush(unsigned milliseconds);

uint64_t log_dropped(void); /* lines so far */

/* Whether a line of this level would be written, for callers that want to save the work. */
bool log_wants(ra_log_level level);

/* The time of a request in microseconds; the stages add up to `total`. */
typedef struct request_times {
    uint64_t receive; /* from the first line to the last byte of the body */
    uint64_t queue;   /* waiting for a compute thread */
    uint64_t compute; /* then until the reply was ready */
    uint64_t send;    /* then until it was sent */
    uint64_t total;
} request_times;

/* One answered request, as the log and the metrics see it. Strings may hold any bytes; NULL is left out. */
typedef struct request_event {
    const char *id, *method, *route, *path, *client, *peer, *key, *dictionary, *code, *trace_id;
    int status; /* 499: the client left before the answer */
    uint64_t bytes_in, bytes_out;
    request_times us;
} request_event;

/* At level info; at level error for failures of the server (500 and above, except 503). */
void log_request(const request_event *event);

/* The line of log_request() without its newline, cut to `size`; returns its length. */
size_t log_request_line(const request_event *event, log_format format, const char *stamp, char *line,
                        size_t size);

#endif
