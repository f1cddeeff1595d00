#include "json.h"

#include "ra_io.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void write_string(FILE *file, const char *text) {
    static const char short_forms[] =
        "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: character, letter after the backslash */
    bool utf8 = ra_utf8_valid(text, strlen(text));
    putc('"', file);
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        const char *pair = short_forms;
        while (*pair && *pair != *c) pair += 2;
        if (*pair)
            fprintf(file, "\\%c", pair[1]);
        else if (byte < 0x20 || byte == 0x7f)
            fprintf(file, "\\u%04x", byte);
        else if (byte >= 0x80 && !utf8)
            fputs("\\ufffd", file);
        else
            putc(byte, file);
    }
    putc('"', file);
}

/* The comma and the key in front of a value. */
static void begin_value(json_writer *json, const char *key) {
    if (json->follows[json->depth]) putc(',', json->file);
    json->follows[json->depth] = true;
    if (!key) return;
    write_string(json->file, key);
    putc(':', json->file);
}

static void open_level(json_writer *json, const char *key, char open, char close) {
    begin_value(json, key);
    putc(open, json->file);
    assert(json->depth < JSON_MAX_DEPTH);
    json->depth++;
    json->follows[json->depth] = false;
    json->close[json->depth] = close;
}

void json_object(json_writer *json, const char *key) {
    open_level(json, key, '{', '}');
}

void json_array(json_writer *json, const char *key) {
    open_level(json, key, '[', ']');
}

void json_end(json_writer *json) {
    putc(json->close[json->depth], json->file);
    if (--json->depth > 0) return;
    putc('\n', json->file);
    json->follows[0] = false; /* another document may follow on the next line */
}

void json_text(json_writer *json, const char *key, const char *text) {
    begin_value(json, key);
    if (text)
        write_string(json->file, text);
    else
        fputs("null", json->file);
}

void json_bool(json_writer *json, const char *key, bool value) {
    begin_value(json, key);
    fputs(value ? "true" : "false", json->file);
}

void json_count(json_writer *json, const char *key, uint64_t value) {
    begin_value(json, key);
    fprintf(json->file, "%llu", (unsigned long long)value);
}

static void write_number(json_writer *json, const char *key, double value, int digits) {
    char text[32];
    begin_value(json, key);
    if (!isfinite(value)) {
        fputs("null", json->file);
        return;
    }
    do snprintf(text, sizeof text, "%.*g", digits, value);
    while (strtod(text, NULL) != value && ++digits <= 17);
    fputs(text, json->file);
}

void json_real(json_writer *json, const char *key, double value) {
    write_number(json, key, value, 1);
}

void json_float(json_writer *json, const char *key, double value) {
    begin_value(json, key);
    fprintf(json->file, isfinite(value) ? "%.9g" : "null", value);
}
