#include "codec/json/writer.h"
#include "ra_io.h"

#include <math.h>
#include <string.h>

static void separate(text *out) {
    char last = out->size ? out->data[out->size - 1] : '[';
    if (last != '{' && last != '[' && last != ':') text_append(out, ",", 1);
}

void put_open(text *out, char bracket) {
    separate(out);
    text_append(out, &bracket, 1);
}

void put_close(text *out, char bracket) {
    text_append(out, &bracket, 1);
}

void put_key(text *out, const char *name) {
    separate(out);
    text_append(out, "\"", 1);
    text_string(out, name);
    text_append(out, "\":", 2);
}

void put_raw(text *out, const char *value) {
    separate(out);
    text_string(out, value);
}

void put_string(text *out, const char *string) {
    if (!string) {
        put_raw(out, "null");
        return;
    }
    separate(out);
    text_json_string(out, string, strlen(string));
}

void put_string_checked(text *out, const char *string) {
    size_t size = strlen(string);
    if (ra_utf8_valid(string, size)) {
        put_string(out, string);
        return;
    }
    text ascii = {0};
    for (size_t i = 0; i < size; i++)
        text_append(&ascii, (unsigned char)string[i] < 0x80 ? string + i : "?", 1);
    separate(out);
    text_json_string(out, ascii.data, ascii.size);
    out->failed |= ascii.failed;
    text_release(&ascii);
}

void put_bool(text *out, bool value) {
    put_raw(out, value ? "true" : "false");
}

void put_size(text *out, size_t value) {
    separate(out);
    text_size(out, value);
}

void put_number(text *out, float value) {
    if (!isfinite(value)) {
        put_raw(out, "null");
        return;
    }
    separate(out);
    text_f32(out, value);
}

void put_numbers(text *out, const float *values, size_t n) {
    separate(out);
    text_f32_array(out, values, n);
}

void put_indices(text *out, const int32_t *values, size_t n) {
    separate(out);
    text_i32_array(out, values, n);
}
