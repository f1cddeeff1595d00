/* Labels are one copy of the text, with NULs in place of line ends, and the offset of each line. */
#include "ra_io.h"
#include "ra_memory.h"

#include <string.h>

struct ra_labels {
    char *text;
    size_t *start; /* [count] */
    size_t count;
};

/* The bytes of the mark that some editors begin a text with. */
static size_t mark_size(const char *text, size_t size) {
    static const char mark[] = "\xef\xbb\xbf"; /* a byte order mark, which editors on Windows write */
    return size >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
}

size_t ra_labels_lines(const char *text, size_t size) {
    size_t lines = 0;
    if (mark_size(text, size) == size) return 0;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    return lines + (size > 0 && text[size - 1] != '\n');
}

static ra_status check_text(const char *text, size_t size, const char *where, ra_error *err) {
    const char *zero = size ? memchr(text, '\0', size) : NULL;
    if (zero)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: labels are text, but byte %zu is a NUL", where,
                (size_t)(zero - text));
    size_t line = 1;
    for (size_t i = 0; i < size; line++) { /* line by line, so that the message can say which line is bad */
        const char *newline = memchr(text + i, '\n', size - i);
        size_t length = newline ? (size_t)(newline - (text + i)) : size - i;
        if (!ra_utf8_valid(text + i, length))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu is not valid UTF-8", where, line);
        i += length + (newline != NULL);
    }
    return RA_OK;
}

static void split(ra_labels *labels, size_t size) {
    char *at = labels->text, *end = labels->text + size;
    *end = '\0';
    for (size_t line = 0; at < end; line++) {
        labels->start[line] = (size_t)(at - labels->text);
        char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline) return; /* the last line ends with the text */
        *newline = '\0';
        if (newline > at && newline[-1] == '\r') newline[-1] = '\0';
        at = newline + 1;
    }
}

ra_status ra_labels_parse(const void *bytes, size_t size, const char *where, ra_labels **out, ra_error *err) {
    const char *text = bytes;
    size_t mark = mark_size(text, size);
    if (mark) text += mark, size -= mark;
    RA_TRY(check_text(text, size, where, err));
    ra_labels *labels = ra_calloc(1, sizeof *labels);
    if (!labels) RA_FAIL_MEMORY(err, "labels", sizeof *labels);
    labels->count = ra_labels_lines(text, size);
    labels->text = ra_malloc(size + 1, 1);
    labels->start = ra_malloc(labels->count, sizeof *labels->start);
    if (!labels->text || !labels->start) {
        size_t needed = size + 1 + labels->count * sizeof *labels->start;
        ra_labels_free(labels);
        RA_FAIL_MEMORY(err, "labels", needed);
    }
    if (size) memcpy(labels->text, text, size);
    split(labels, size);
    *out = labels;
    return RA_OK;
}

/* Checks and divides labels->text, whose `size` bytes have a NUL behind them. */
static ra_status split_texts(ra_labels *labels, size_t size, const char *where, ra_error *err) {
    size_t count = 0;
    if (size && labels->text[size - 1])
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the last text does not end with a NUL", where);
    for (size_t i = 0, length; i < size; i += length + 1, count++) {
        length = strlen(labels->text + i);
        if (!ra_utf8_valid(labels->text + i, length))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: text %zu is not valid UTF-8", where, count);
    }
    labels->start = ra_malloc(count, sizeof *labels->start);
    if (!labels->start) RA_FAIL_MEMORY(err, "texts", count * sizeof *labels->start);
    for (size_t i = 0; i < size; i += strlen(labels->text + i) + 1) labels->start[labels->count++] = i;
    return RA_OK;
}

ra_status ra_labels_parse_texts(const void *texts, size_t size, const char *where, ra_labels **out,
                                ra_error *err) {
    ra_labels *labels = ra_calloc(1, sizeof *labels);
    if (labels) labels->text = ra_malloc(size + 1, 1);
    ra_status status = labels && labels->text
                           ? RA_OK
                           : ra_error_set(err, RA_ERR_MEMORY, "out of memory: %zu bytes of texts", size);
    if (status == RA_OK) {
        if (size) memcpy(labels->text, texts, size); /* before it is looked at: others may write it */
        labels->text[size] = '\0';
        status = split_texts(labels, size, where, err);
    }
    if (status == RA_OK)
        *out = labels;
    else
        ra_labels_free(labels);
    return status;
}

ra_status ra_labels_open(const char *path, ra_labels **labels, ra_error *err) {
    ra_mapping mapping;
    RA_TRY(ra_mapping_open_steady(path, SIZE_MAX, &mapping, err)); /* it is read more than once */
    ra_status status = ra_labels_parse(mapping.data, mapping.size, path, labels, err);
    ra_mapping_close(&mapping);
    return status;
}

void ra_labels_free(ra_labels *labels) {
    if (!labels) return;
    ra_free(labels->start);
    ra_free(labels->text);
    ra_free(labels);
}

size_t ra_labels_count(const ra_labels *labels) {
    return labels->count;
}

const char *ra_labels_at(const ra_labels *labels, size_t i) {
    return i < labels->count ? labels->text + labels->start[i] : NULL;
}

/* ---- texts of several lines ---------------------------------------------------------------------------- */

static const char escaped[] = "\t\n\\", letters[] = "tn\\";

void ra_labels_escape(ra_text *out, const char *text) {
    while (*text) {
        size_t size = strcspn(text, escaped);
        ra_text_add_bytes(out, text, size);
        text += size;
        if (!*text) return;
        ra_text_add(out, "\\");
        ra_text_add_bytes(out, &letters[strchr(escaped, *text++) - escaped], 1);
    }
}

/* In place: a text only becomes shorter. */
static bool unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        const char *letter = from;
        if (*from == '\\') {
            letter = from[1] ? strchr(letters, *++from) : NULL;
            if (!letter) return false;
            letter = &escaped[letter - letters];
        }
        *to++ = *letter;
    }
    *to = '\0';
    return true;
}

ra_status ra_labels_unescape(ra_labels *labels, const char *where, ra_error *err) {
    for (size_t i = 0; i < labels->count; i++)
        if (!unescape(labels->text + labels->start[i]))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: line %zu has a backslash before another character than t, n or a backslash", where,
                    i + 1);
    return RA_OK;
}
