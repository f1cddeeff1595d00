#include "ra_text.h"
#include "ra_memory.h"

#include <stdint.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

char *ra_text_reserve(ra_text *text, size_t more) {
    if (text->failed) return NULL;
    if (more < text->capacity - text->size) return text->data + text->size;
    size_t needed, capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
    bool overflow = __builtin_add_overflow(text->size, more, &needed) || needed >= SIZE_MAX / 2;
    while (!overflow && capacity <= needed) capacity *= 2;
    char *grown = overflow ? NULL : ra_realloc(text->data, capacity, 1);
    text->failed = !grown;
    if (!grown) return NULL;
    text->data = grown;
    text->capacity = capacity;
    return grown + text->size;
}

void ra_text_add_bytes(ra_text *text, const void *bytes, size_t n) {
    char *to = ra_text_reserve(text, n);
    if (!to || !n) return;
    memcpy(to, bytes, n);
    text->size += n;
}

void ra_text_add(ra_text *text, const char *string) {
    ra_text_add_bytes(text, string, strlen(string));
}

void ra_text_release(ra_text *text) {
    ra_free(text->data);
    *text = (ra_text){0};
}
