#include "codec/text.h"
#include "ra_memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

char *text_reserve(text *buffer, size_t more) {
    if (buffer->failed) return NULL;
    if (more < buffer->capacity - buffer->size) return buffer->data + buffer->size;
    /* One byte beyond what is asked for is always kept free: text_detach() puts its NUL there. */
    size_t needed, capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    bool overflow = __builtin_add_overflow(buffer->size, more, &needed) || needed >= SIZE_MAX / 2;
    while (!overflow && capacity <= needed) capacity *= 2;
    char *grown = overflow ? NULL : ra_realloc(buffer->data, capacity, 1);
    if (!grown) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = grown;
    buffer->capacity = capacity;
    return grown + buffer->size;
}

void text_append(text *buffer, const void *bytes, size_t n) {
    char *to = text_reserve(buffer, n);
    if (!to || !n) return;
    memcpy(to, bytes, n);
    buffer->size += n;
}

void text_string(text *buffer, const char *string) {
    text_append(buffer, string, strlen(string));
}

void text_format(text *buffer, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *to = n < 0 ? NULL : text_reserve(buffer, (size_t)n);
    if (to) {
        vsnprintf(to, (size_t)n + 1, format, again); /* its NUL goes to the byte kept free */
        buffer->size += (size_t)n;
    } else {
        buffer->failed = true;
    }
    va_end(again);
    va_end(args);
}

/* The letter behind the backslash for the bytes that have a short escape. */
static char short_escape(unsigned char c) {
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    return c < sizeof letters ? letters[c] : 0;
}

void text_json_string(text *buffer, const char *s, size_t n) {
    text_append(buffer, "\"", 1);
    size_t plain = 0; /* s[plain..i) needs no escape and is not copied yet */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        text_append(buffer, s + plain, i - plain);
        plain = i + 1;
        char letter = short_escape(c);
        if (letter)
            text_append(buffer, (char[]){'\\', letter}, 2);
        else
            text_format(buffer, "\\u%04x", c);
    }
    text_append(buffer, s + plain, n - plain);
    text_append(buffer, "\"", 1);
}

char *text_detach(text *buffer, size_t *size) {
    char *end = text_reserve(buffer, 0);
    if (!end) {
        text_release(buffer);
        if (size) *size = 0;
        return NULL;
    }
    *end = '\0';
    char *block = buffer->data;
    if (size) *size = buffer->size;
    *buffer = (text){0};
    return block;
}

void text_release(text *buffer) {
    ra_free(buffer->data);
    *buffer = (text){0};
}
