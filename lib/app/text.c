#include "app/text.h"
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

ra_status text_print(text *buffer, FILE *file, ra_error *err) {
    if (buffer->failed) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a text of %zu bytes", buffer->size);
    if (buffer->size) fwrite(buffer->data, 1, buffer->size, file);
    buffer->size = 0;
    return RA_OK;
}

void text_release(text *buffer) {
    ra_free(buffer->data);
    *buffer = (text){0};
}
