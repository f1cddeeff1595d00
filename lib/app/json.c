#include "app/json.h"
#include "ra_io.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- strings ------------------------------------------------------------------------------------------- */

static void append_escape(text *out, unsigned char c) {
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    char letter = c < sizeof letters ? letters[c] : 0;
    if (letter)
        text_append(out, (char[]){'\\', letter}, 2);
    else if (c >= 0x80)
        text_string(out, "\xEF\xBF\xBD");
    else
        text_format(out, "\\u%04x", c);
}

/* string[0..n) with its quotes, where something in it needs an escape: from `plain` on. */
static void quote_slowly(text *out, const char *string, size_t n, size_t plain) {
    bool utf8 = ra_utf8_valid(string, n);
    text_append(out, "\"", 1);
    text_append(out, string, plain);
    for (size_t i = plain; i < n; i++) {
        unsigned char c = (unsigned char)string[i];
        if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || utf8)) continue;
        text_append(out, string + plain, i - plain);
        plain = i + 1;
        append_escape(out, c);
    }
    text_append(out, string + plain, n - plain);
    text_append(out, "\"", 1);
}

/* Nearly every string is plain ASCII: it is copied while it is looked at. */
static void quote(text *out, const char *string) {
    size_t n = strlen(string), i = 0;
    char *to = text_reserve(out, n + 2);
    if (!to) return;
    for (; i < n; i++) {
        unsigned char c = (unsigned char)string[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x80) break;
        to[i + 1] = (char)c;
    }
    if (i < n) {
        quote_slowly(out, string, n, i);
        return;
    }
    to[0] = to[n + 1] = '"';
    out->size += n + 2;
}

/* The comma and the key in front of a value. */
static void begin(text *out, const char *key) {
    char last = out->size ? out->data[out->size - 1] : '[';
    if (last != '{' && last != '[' && last != ':' && last != '\n') text_append(out, ",", 1);
    if (!key) return;
    quote(out, key);
    text_append(out, ":", 1);
}

void json_text(text *out, const char *key, const char *string) {
    if (!string) {
        json_null(out, key);
        return;
    }
    begin(out, key);
    quote(out, string);
}

/* ---- objects and arrays -------------------------------------------------------------------------------- */

void json_object(text *out, const char *key) {
    begin(out, key);
    text_append(out, "{", 1);
}

void json_object_end(text *out) {
    text_append(out, "}", 1);
}

void json_array(text *out, const char *key) {
    begin(out, key);
    text_append(out, "[", 1);
}

void json_array_end(text *out) {
    text_append(out, "]", 1);
}

/* ---- other values -------------------------------------------------------------------------------------- */

void json_raw(text *out, const char *key, const char *json) {
    begin(out, key);
    text_string(out, json);
}

void json_null(text *out, const char *key) {
    json_raw(out, key, "null");
}

void json_bool(text *out, const char *key, bool value) {
    json_raw(out, key, value ? "true" : "false");
}

void json_count(text *out, const char *key, uint64_t value) {
    begin(out, key);
    text_size(out, value);
}

void json_float(text *out, const char *key, float value) {
    if (!isfinite(value)) {
        json_null(out, key);
        return;
    }
    begin(out, key);
    text_f32(out, value);
}

void json_real(text *out, const char *key, double value) {
    char digits[32];
    if (!isfinite(value)) {
        json_null(out, key);
        return;
    }
    begin(out, key);
    for (int n = 1; n <= 17; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, value);
        if (strtod(digits, NULL) == value) break;
    }
    text_string(out, digits);
}

void json_floats(text *out, const char *key, const float *values, size_t n) {
    begin(out, key);
    text_f32_array(out, values, n);
}

void json_indices(text *out, const char *key, const int32_t *values, size_t n) {
    begin(out, key);
    text_i32_array(out, values, n);
}

ra_status json_print(text *out, FILE *file, ra_error *err) {
    text_append(out, "\n", 1);
    ra_status status = text_print(out, file, err);
    text_release(out);
    return status;
}
