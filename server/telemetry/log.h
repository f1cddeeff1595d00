/* log.h - the program's log: lines on standard error, as text or as JSON objects.
 *
 *     2025-11-23T08:15:00.123Z info    dictionary words: 4000 atoms of 384 dimensions
 *     2025-11-23T08:15:02.417Z info    request id=8c1f method=GET route=atom
 * path=/v1/dictionaries/words/atoms/5 status=200 bytes_in=0 bytes_out=7421 us=52 us_receive=11 ...
 *     {"time":"2025-11-23T08:15:02.417Z","level":"info","message":"request","id":"8c1f","method":"GET",...}
 *
 * log_start() installs it as the library's sink, so ra_log() is what everyone calls. Each line is one
 * write(), so lines of several threads never mix. Whatever a client sent is escaped: an event is one line,
 * and no value can end where the client wants it to. Nothing is allocated.
 *
 * Thread safety: log_start() is called once, early; the rest from any thread.
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

/* Whether a line of this level would be written: asked before work is put into one. */
bool log_wants(ra_log_level level);

/* Where a request's microseconds went; the stages add up to `total`. */
typedef struct request_times {
    uint64_t receive; /* the first line to the last byte of the body */
    uint64_t queue;   /* waiting for a compute thread */
    uint64_t compute; /* until the reply was ready */
    uint64_t send;    /* until it was sent */
    uint64_t total;
} request_times;

/* One answered request, as the log and the metrics see it. Strings may hold anything; NULL is left out. */
typedef struct request_event {
    const char *id, *method, *route, *path, *client, *dictionary, *trace_id;
    int status; /* 0: the client went before there was an answer */
    uint64_t bytes_in, bytes_out;
    request_times us;
} request_event;

/* At level info; failures of the server (500 and up) at level error, but for 503. */
void log_request(const request_event *event);

/* What log_request() writes, without the newline and cut to `size`; returns its length. For tests, too. */
size_t log_request_line(const request_event *event, log_format format, const char *stamp, char *line,
                        size_t size);

#endif
