#include "app/text.h"
#include "ra_memory.h"

#include <stdarg.h>
#include <stdio.h>

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
