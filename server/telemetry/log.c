/* A line is built in a buffer on the stack and written with one call. put_escaped() handles text from
 * clients: control characters, quotes, backslashes and bytes that are not UTF-8 never reach the log, so
 * nobody can forge a line or move the cursor of a terminal. A value that is too long is cut at a character.
 *
 * A line with its newline has at most 4096 bytes, which a pipe takes in one piece (PIPE_BUF), and the limits
 * of a message and of the nine strings of a request guarantee that it ends whole.
 */
#include "telemetry/log.h"
#include "telemetry/log_ring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_SIZE = LOG_RING_LINE_MOST - 1,
    RING_BYTES = 1 << 20,
    LONGEST_MESSAGE = 3900,
    LONGEST_VALUE = 500,
    STAMP_SIZE = 48
};

/* Set by log_start(); until then nothing is written. */
static bool started;
static ra_log_level least;
static log_format chosen;
static log_ring *ring; /* NULL: lines are written at once */

/* ---- building a line ----------------------------------------------------------------------------------- */

typedef struct line {
    char *data;
    size_t size, used;
    log_format format;
} line;

static void put(line *out, const char *bytes, size_t n) {
    if (n > out->size - out->used) n = out->size - out->used;
    memcpy(out->data + out->used, bytes, n);
    out->used += n;
}

static void put_text(line *out, const char *text) {
    put(out, text, strlen(text));
}

static void put_number(line *out, uint64_t value) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    put(out, digits, (size_t)n);
}

/* The length of the UTF-8 character at `c`, of `left` bytes; 0 when it is not one. */
static size_t utf8_size(const unsigned char *c, size_t left) {
    size_t size = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;
    if (!size || size > left) return 0;
    for (size_t i = 1; i < size; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    bool out_of_range = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
                        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f);
    bool control = c[0] == 0xc2 && c[1] < 0xa0; /* C1: terminals obey some of them */
    return out_of_range || control ? 0 : size;
}

/* As the inside of a JSON string, in both formats; little more than `limit` bytes. */
static void put_escaped(line *out, const char *text, size_t n, size_t limit) {
    const unsigned char *c = (const unsigned char *)text;
    size_t end = out->used + limit;
    char escape[8];
    for (size_t i = 0; i < n;) {
        size_t size = utf8_size(c + i, n - i);
        if (out->used >= end) {
            put_text(out, "...");
            return;
        }
        if (size == 1 && (c[i] == '"' || c[i] == '\\')) {
            put(out, (const char[]){'\\', text[i]}, 2);
        } else if (!size || c[i] < 0x20 || c[i] == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", c[i]);
            put_text(out, escape);
            size = 1;
        } else {
            put(out, text + i, size);
        }
        i += size;
    }
}

/* In text, a value without spaces and quotes needs no quotes: route=atom path="/a b". */
static bool needs_quotes(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f || strchr("\"\\=", text[i]))
            return true;
    return n == 0;
}

static void put_name(line *out, const char *name) {
    if (out->format == LOG_JSON) {
        put_text(out, ",\"");
        put_text(out, name);
        put_text(out, "\":");
    } else {
        put_text(out, " ");
        put_text(out, name);
        put_text(out, "=");
    }
}

static void field_text(line *out, const char *name, const char *value, size_t n) {
    bool quoted = out->format == LOG_JSON || needs_quotes(value, n);
    put_name(out, name);
    if (quoted) put_text(out, "\"");
    put_escaped(out, value, n, LONGEST_VALUE);
    if (quoted) put_text(out, "\"");
}

static void field_string(line *out, const char *name, const char *value) {
    if (value) field_text(out, name, value, strlen(value));
}

static void field_number(line *out, const char *name, uint64_t value) {
    put_name(out, name);
    put_number(out, value);
}

/* ---- the two formats ----------------------------------------------------------------------------------- */

static const char *level_name(ra_log_level level) {
    static const char *const names[] = {[RA_LOG_DEBUG] = "debug",
                                        [RA_LOG_INFO] = "info",
                                        [RA_LOG_WARNING] = "warning",
                                        [RA_LOG_ERROR] = "error"};
    return names[level];
}

/* Time, level and message. */
static void begin(line *out, const char *stamp, ra_log_level level, const char *message) {
    if (out->format == LOG_JSON) {
        put_text(out, "{\"time\":\"");
        put_text(out, stamp);
        put_text(out, "\",\"level\":\"");
        put_text(out, level_name(level));
        put_text(out, "\",\"message\":\"");
        put_escaped(out, message, strlen(message), LONGEST_MESSAGE);
        put_text(out, "\"");
    } else {
        char head[STAMP_SIZE + 16];
        int n = snprintf(head, sizeof head, "%s %-7s ", stamp, level_name(level));
        put(out, head, (size_t)n);
        put_escaped(out, message, strlen(message), LONGEST_MESSAGE);
    }
}

static void end(line *out) {
    if (out->format == LOG_JSON) put_text(out, "}");
}

static ra_log_level level_of(const request_event *event) {
    return event->status >= 500 && event->status != 503 ? RA_LOG_ERROR : RA_LOG_INFO;
}

size_t log_request_line(const request_event *event, log_format format, const char *stamp, char *data,
                        size_t size) {
    line out = {.data = data, .size = size, .format = format};
    begin(&out, stamp, level_of(event), "request");
    field_string(&out, "id", event->id);
    field_string(&out, "method", event->method);
    field_string(&out, "route", event->route);
    field_string(&out, "path", event->path);
    field_number(&out, "status", (uint64_t)event->status);
    field_string(&out, "code", event->code);
    field_number(&out, "bytes_in", event->bytes_in);
    field_number(&out, "bytes_out", event->bytes_out);
    field_number(&out, "us", event->us.total);
    field_number(&out, "us_receive", event->us.receive);
    field_number(&out, "us_queue", event->us.queue);
    field_number(&out, "us_compute", event->us.compute);
    field_number(&out, "us_send", event->us.send);
    field_string(&out, "client", event->client);
    field_string(&out, "peer", event->peer);
    field_string(&out, "key", event->key);
    field_string(&out, "dictionary", event->dictionary);
    field_string(&out, "trace_id", event->trace_id);
    end(&out);
    return out.used;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static void write_out(char *data, size_t used) {
    data[used] = '\n';
    if (ring) {
        log_ring_put(ring, data, used + 1);
        return;
    }
    while (write(STDERR_FILENO, data, used + 1) < 0 && errno == EINTR)
        continue; /* there is nowhere to report other errors */
}

static void stamp_now(char *stamp) {
    struct timespec now;
    struct tm utc;
    char seconds[24];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp, STAMP_SIZE, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

static void write_line(void *context, ra_log_level level, const char *message) {
    (void)context;
    if (!log_wants(level)) return;
    char data[LINE_SIZE + 1], stamp[STAMP_SIZE];
    line out = {.data = data, .size = LINE_SIZE, .format = chosen};
    stamp_now(stamp);
    begin(&out, stamp, level, message);
    end(&out);
    write_out(data, out.used);
}

bool log_wants(ra_log_level level) {
    return started && level >= least;
}

void log_request(const request_event *event) {
    if (!log_wants(level_of(event))) return;
    char data[LINE_SIZE + 1], stamp[STAMP_SIZE];
    stamp_now(stamp);
    write_out(data, log_request_line(event, chosen, stamp, data, LINE_SIZE));
}

void log_start(ra_log_level level, log_format format) {
    least = level;
    chosen = format;
    started = true;
    ra_log_set_sink(write_line, NULL);
}

static size_t dropped_line(char *data, uint64_t lines) {
    char stamp[STAMP_SIZE], message[96];
    line out = {.data = data, .size = LINE_SIZE, .format = chosen};
    snprintf(message, sizeof message, "%llu lines of the log were dropped here, since nobody read them",
             (unsigned long long)lines);
    stamp_now(stamp);
    begin(&out, stamp, RA_LOG_WARNING, message);
    end(&out);
    data[out.used] = '\n';
    return out.used + 1;
}

ra_status log_never_wait(ra_error *err) {
    return log_ring_start(&(log_ring_options){STDERR_FILENO, RING_BYTES, dropped_line}, &ring, err);
}

void log_flush(unsigned milliseconds) {
    if (ring) log_ring_flush(ring, milliseconds);
}

uint64_t log_dropped(void) {
    return ring ? log_ring_dropped(ring) : 0;
}
