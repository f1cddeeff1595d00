#include "ra_status.h"

#include <stdio.h>
#include <string.h>

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

/* A message that was cut may end within a UTF-8 character, which replies and logs must not contain. */
static void trim_partial_character(char *message) {
    size_t length = strlen(message), tail = 0;
    if (length < RA_ERROR_MESSAGE_SIZE - 1) return;
    while (tail < 3 && tail < length && ((unsigned char)message[length - 1 - tail] & 0xc0) == 0x80) tail++;
    unsigned char lead = (unsigned char)message[length - 1 - tail];
    size_t needed = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (tail < needed) message[length - 1 - tail] = '\0';
}

ra_status ra_error_set(ra_error *err, ra_status code, const char *format, ...) {
    if (err) {
        err->code = code;
        err->facts = (ra_error_facts){0};
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        trim_partial_character(err->message);
        /* A name from a file or a request may contain control characters, but a message is one line. */
        for (char *c = err->message; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    }
    return code;
}

/* Set once at the start, before other threads; read by all. */
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
