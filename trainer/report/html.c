#include "report/html.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ra_status html_begin(html_writer *html, const char *path, ra_error *err) {
    html->status = RA_OK;
    html->err = err;
    html->used = 0;
    return ra_atomic_file_begin(path, &html->file, err);
}

static void flush(html_writer *html) {
    if (html->status == RA_OK && html->used)
        html->status = ra_atomic_file_write(html->file, html->buffer, html->used, html->err);
    html->used = 0;
}

void html_bytes(html_writer *html, const char *markup, size_t size) {
    while (size > 0) {
        size_t room = sizeof html->buffer - html->used, part = size < room ? size : room;
        memcpy(html->buffer + html->used, markup, part);
        html->used += part;
        markup += part;
        size -= part;
        if (html->used == sizeof html->buffer) flush(html);
    }
}

void html_raw(html_writer *html, const char *markup) {
    html_bytes(html, markup, strlen(markup));
}

void html_format(html_writer *html, const char *format, ...) {
    char text[1024]; /* markup with a few numbers */
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length >= 0 && (size_t)length < sizeof text)
        html_bytes(html, text, (size_t)length);
    else if (html->status == RA_OK)
        html->status = ra_error_set(html->err, RA_ERR_INTERNAL,
                                    "a piece of a page is longer than %zu characters", sizeof text - 1);
}

static const char *escape_of(unsigned char byte, bool utf8) {
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        if (byte < 0x20 || byte == 0x7f) return " ";
        return byte >= 0x80 && !utf8 ? "\xEF\xBF\xBD" : NULL;
    }
}

void html_text(html_writer *html, const char *text, size_t most) {
    size_t characters = 0;
    if (!text) return;
    bool utf8 = ra_utf8_valid(text, strlen(text));
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        bool begins = !utf8 || (byte & 0xC0) != 0x80;
        if (begins && most && characters++ == most) {
            html_raw(html, "\u2026");
            return;
        }
        const char *escape = escape_of(byte, utf8);
        if (escape)
            html_raw(html, escape);
        else
            html_bytes(html, c, 1);
    }
}

ra_status html_end(html_writer *html) {
    flush(html);
    if (html->status == RA_OK) return ra_atomic_file_commit(html->file, html->err);
    ra_atomic_file_abort(html->file);
    return html->status;
}
