#include "ra_status.h"

#include <stdio.h>

static const struct {
    const char *name, *text;
} statuses[RA_STATUS_COUNT] = {
#define X(name, text) [RA_##name] = {#name, text},
    RA_STATUS_LIST(X)
#undef X
};

const char *ra_status_text(ra_status status) {
    return (unsigned)status < RA_STATUS_COUNT ? statuses[status].text : "unknown status";
}

const char *ra_status_name(ra_status status) {
    return (unsigned)status < RA_STATUS_COUNT ? statuses[status].name : "unknown";
}

ra_status ra_error_set(ra_error *err, ra_status code, const char *format, ...) {
    if (err) {
        err->code = code;
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        /* A name from a file or a request may hold control characters; a message is one line. */
        for (char *c = err->message; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    }
    return code;
}

/* Written once at start, before other threads; read by all. */
static ra_log_sink *sink;
static void *sink_context;

void ra_log_set_sink(ra_log_sink *new_sink, void *context) {
    sink = new_sink;
    sink_context = context;
}

void ra_log(ra_log_level level, const char *format, ...) {
    if (!sink) return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    sink(sink_context, level, line);
}
