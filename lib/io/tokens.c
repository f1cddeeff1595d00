/* Tokens of texts, one JSON array of strings per line.
 *
 * A file of a million texts has gigabytes of tokens, of which few are needed, and which ones is known only when the codes of
 * all rows are. So the file stays mapped, and only where its lines begin is kept. All of it is checked when it is opened,
 * before hours of work that would need it. A line is copied before it is read: others may write the file. */
#include "io/json.h"
#include "ra_io.h"
#include "ra_memory.h"
#include "ra_text.h"

#include <string.h>

enum { ENCODED_MOST = 6 * RA_TOKEN_MOST + 2 /* every byte as \u0041, and two quotes */ };

struct ra_token_lines {
    ra_mapping mapping;
    char *path;
    size_t *start; /* [texts + 1] of the lines */
    size_t texts, rows, skip;
    ra_text line; /* the one that is read */
};

/* ---- one line ------------------------------------------------------------------------------------------ */

typedef struct reading {
    ra_token_lines *lines;
    size_t text, count, first; /* tokens of the line so far; the row of its first */
    ra_token_reader *token;    /* NULL: they are counted */
    void *context;
} reading;

static ra_status fail_long(const reading *now, ra_error *err) {
    RA_FAIL(err, RA_ERR_TOO_LARGE, "%s: token %zu of line %zu has more than %d bytes", now->lines->path,
            now->count, now->text + 1, RA_TOKEN_MOST);
}

/* Between its quotes; the closing one becomes the NUL at its end meanwhile. */
static ra_status pass_plain(const reading *now, ra_json_span value, ra_error *err) {
    char *line = now->lines->line.data, *token = line + (value.text - line) + 1;
    if (value.size - 2 > RA_TOKEN_MOST) return fail_long(now, err);
    if (!now->token) return RA_OK;
    token[value.size - 2] = '\0';
    ra_status status = now->token(now->context, now->first + now->count, token, err);
    token[value.size - 2] = '"';
    return status;
}

static ra_status pass_decoded(const reading *now, ra_json_span value, ra_error *err) {
    char *token = NULL;
    if (value.size > ENCODED_MOST) return fail_long(now, err);
    if (!now->token && value.size - 2 <= RA_TOKEN_MOST) return RA_OK; /* no escape is shorter than its text */
    RA_TRY(ra_json_string(value, &token, err));
    ra_status status = RA_OK;
    if (strlen(token) > RA_TOKEN_MOST)
        status = fail_long(now, err);
    else if (now->token)
        status = now->token(now->context, now->first + now->count, token, err);
    ra_free(token);
    return status;
}

static ra_status each_token(void *context, ra_json_span value, ra_error *err) {
    reading *now = context;
    RA_TRY((memchr(value.text, '\\', value.size) ? pass_decoded : pass_plain)(now, value, err));
    now->count++;
    return RA_OK;
}

static ra_status copy_line(ra_token_lines *lines, size_t text, ra_error *err) {
    const char *at = (const char *)lines->mapping.data + lines->start[text];
    size_t size = lines->start[text + 1] - lines->start[text];
    lines->line.size = 0;
    ra_text_add_bytes(&lines->line, at, size);
    if (lines->line.failed) RA_FAIL_MEMORY(err, "a line of tokens", size);
    return RA_OK;
}

static ra_status walk_line(reading *now, ra_error *err) {
    const ra_token_lines *lines = now->lines;
    const ra_json_span line = {lines->line.data, lines->line.size};
    const char *problem = NULL;
    size_t at = 0;
    now->count = 0;
    RA_TRY(ra_json_each_string(line, each_token, now, &problem, &at, err));
    if (!problem) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT,
            "%s: line %zu is no JSON array of strings, the tokens of a text: at its byte %zu, %s",
            lines->path, now->text + 1, at, problem);
}

/* Leaves the number of tokens in now->count. */
static ra_status count_tokens(reading *now, ra_error *err) {
    const ra_token_lines *lines = now->lines;
    if (!ra_utf8_valid(lines->line.data, lines->line.size))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu is not valid UTF-8", lines->path, now->text + 1);
    RA_TRY(walk_line(now, err));
    if (now->count == lines->rows || now->count == lines->rows - lines->skip) return RA_OK;
    if (lines->skip)
        RA_FAIL(
            err, RA_ERR_SHAPE,
            "%s: line %zu has %zu tokens; expected %zu, one for each row of a text, or %zu without the %zu "
            "class and register tokens in front",
            lines->path, now->text + 1, now->count, lines->rows, lines->rows - lines->skip, lines->skip);
    RA_FAIL(err, RA_ERR_SHAPE, "%s: line %zu has %zu tokens; expected %zu, one for each row of a text",
            lines->path, now->text + 1, now->count, lines->rows);
}

ra_status ra_token_lines_read(ra_token_lines *lines, size_t text, ra_token_reader *token, void *context,
                              ra_error *err) {
    reading now = {.lines = lines, .text = text};
    RA_TRY(copy_line(lines, text, err));
    RA_TRY(count_tokens(&now, err));
    now.first = lines->rows - now.count;
    now.token = token;
    now.context = context;
    return token ? walk_line(&now, err) : RA_OK;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

/* How many lines there are; of the first `most`, lines->start gets where they begin, and where the last one ends. */
static size_t find_lines(ra_token_lines *lines, size_t most) {
    static const char mark[] = "\xef\xbb\xbf"; /* a byte order mark, which editors on Windows write */
    const char *text = lines->mapping.data;
    size_t size = lines->mapping.size, count = 0;
    lines->start[0] =
        size >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0 ? sizeof mark - 1 : 0;
    for (size_t at = lines->start[0]; at < size; count++) {
        const char *newline = memchr(text + at, '\n', size - at);
        at = newline ? (size_t)(newline - text) + 1 : size;
        if (count < most) lines->start[count + 1] = at;
    }
    return count;
}

static ra_status open_lines(ra_token_lines *lines, const char *path, ra_error *err) {
    lines->path = ra_strdup(path);
    lines->start = ra_malloc(lines->texts + 1, sizeof *lines->start);
    if (!lines->path || !lines->start)
        RA_FAIL_MEMORY(err, "the lines of tokens", (lines->texts + 1) * sizeof *lines->start);
    RA_TRY(ra_mapping_open(path, &lines->mapping, err));
    ra_mapping_advise(lines->mapping.data, lines->mapping.size, RA_ACCESS_SEQUENTIAL);
    size_t count = find_lines(lines, lines->texts);
    if (count != lines->texts)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu lines; expected %zu, one for each text of the data", path,
                count, lines->texts);
    for (size_t i = 0; i < lines->texts; i++) RA_TRY(ra_token_lines_read(lines, i, NULL, NULL, err));
    ra_mapping_advise(lines->mapping.data, lines->mapping.size, RA_ACCESS_NORMAL);
    return RA_OK;
}

ra_status ra_token_lines_open(const char *path, size_t texts, size_t rows, size_t skip, ra_token_lines **out,
                              ra_error *err) {
    ra_token_lines *lines = ra_calloc(1, sizeof *lines);
    if (!lines) RA_FAIL_MEMORY(err, "a file of tokens", sizeof *lines);
    lines->texts = texts;
    lines->rows = rows;
    lines->skip = skip;
    ra_status status = open_lines(lines, path, err);
    if (status == RA_OK)
        *out = lines;
    else
        ra_token_lines_free(lines);
    return status;
}

void ra_token_lines_free(ra_token_lines *lines) {
    if (!lines) return;
    ra_mapping_close(&lines->mapping);
    ra_text_release(&lines->line);
    ra_free(lines->start);
    ra_free(lines->path);
    ra_free(lines);
}

size_t ra_token_lines_texts(const ra_token_lines *lines) {
    return lines->texts;
}

size_t ra_token_lines_rows(const ra_token_lines *lines) {
    return lines->rows;
}
