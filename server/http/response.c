#include "http/http.h"
#include "ra_memory.h"

#include <stdint.h>
#include <string.h>

static const char *const methods[] = {
#define X(name) [HTTP_##name] = #name,
    HTTP_METHOD_LIST(X)
#undef X
        [HTTP_OTHER] = NULL};

http_method http_method_from_name(const char *name) {
    int method = 0;
    while (methods[method] && strcmp(methods[method], name) != 0) method++;
    return (http_method)method;
}

const char *http_method_name(http_method method) {
    return methods[method];
}

/* ---- headers ------------------------------------------------------------------------------------------- */

/* Control characters are left out; a header is whole or absent. */
void http_response_header(http_response *response, const char *name, const char *value) {
    size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    char *to = text_reserve(&response->headers, name_size + value_size), *start = to;
    if (!to) return;
    to = (char *)memcpy(to, name, name_size) + name_size;
    for (const char *c = value; *c; c++) {
        *to = *c;
        to += (unsigned char)*c >= ' ' && *c != 0x7f;
    }
    *to++ = '\0';
    response->headers.size += (size_t)(to - start);
}

bool http_response_next_header(const http_response *response, size_t *position, const char **name,
                               const char **value) {
    if (*position >= response->headers.size) return false;
    *name = response->headers.data + *position;
    *value = *name + strlen(*name) + 1;
    *position = (size_t)(*value - response->headers.data) + strlen(*value) + 1;
    return true;
}

/* ---- what is sent -------------------------------------------------------------------------------------- */

/* The part of a piece within the window of *left bytes from *skip on; then both are counted from its end. */
static http_piece cut(const void *data, size_t size, size_t *skip, size_t *left) {
    size_t from = *skip < size ? *skip : size, n = size - from < *left ? size - from : *left;
    *skip -= from;
    *left -= n;
    return (http_piece){n ? (const char *)data + from : NULL, n};
}

size_t http_response_pieces(const http_response *response, http_piece pieces[HTTP_PIECES]) {
    size_t skip = response->partial ? response->first : 0, count = 0;
    size_t left = response->partial ? response->length : SIZE_MAX;
    if (response->body.failed) return 0;
    pieces[count] = cut(response->body.data, response->body.size, &skip, &left);
    count += pieces[count].size > 0;
    pieces[count] = cut(response->tail.data, response->tail.size, &skip, &left);
    count += pieces[count].size > 0;
    for (size_t i = 0; i < response->tail.more_count && i < HTTP_MOST_MORE; i++) {
        const http_piece *more = &response->tail.more[i];
        pieces[count] = cut(more->data, more->size, &skip, &left);
        count += pieces[count].size > 0;
    }
    return count;
}

size_t http_response_size(const http_response *response) {
    RA_UNINITIALIZED http_piece pieces[HTTP_PIECES];
    size_t size = 0, count = response->status == 304 ? 0 : http_response_pieces(response, pieces);
    for (size_t i = 0; i < count; i++) size += pieces[i].size;
    return size;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void release_tail(http_response *response) {
    if (response->tail.release) response->tail.release(response->tail.owner);
    response->tail = (http_tail){0};
}

static text emptied(text buffer) {
    buffer.size = 0;
    buffer.failed = false;
    return buffer;
}

void http_response_reset(http_response *response) {
    release_tail(response);
    *response = (http_response){.body = emptied(response->body),
                                .headers = emptied(response->headers),
                                .spare = emptied(response->spare)};
}

void http_response_release(http_response *response) {
    release_tail(response);
    text_release(&response->body);
    text_release(&response->headers);
    text_release(&response->spare);
    *response = (http_response){0};
}

/* ---- problems ------------------------------------------------------------------------------------------ */

const char *http_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } texts[] = {{200, "OK"},
                 {204, "No Content"},
                 {206, "Partial Content"},
                 {304, "Not Modified"},
                 {308, "Permanent Redirect"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {406, "Not Acceptable"},
                 {409, "Conflict"},
                 {412, "Precondition Failed"},
                 {413, "Content Too Large"},
                 {414, "URI Too Long"},
                 {415, "Unsupported Media Type"},
                 {416, "Range Not Satisfiable"},
                 {422, "Unprocessable Content"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status) return texts[i].text;
    return "Unknown Status";
}

void http_problem(const http_request *request, http_response *response, problem_kind what,
                  const char *sentence, const ra_error_facts *facts) {
    static const ra_error_facts unknown;
    const problem_row *row = problem_get(what);
    release_tail(response);
    response->status = row->status;
    response->problem = what;
    response->body = emptied(response->body);
    response->cacheable = response->ranges = response->partial = false;
    response->content_type = "text/plain; charset=utf-8";
    if (request->write_problem)
        request->write_problem(request, response, sentence, facts ? facts : &unknown);
    else
        text_string(&response->body, sentence);
    text_append(&response->body, "\n", 1);
    http_response_header(response, "X-Error-Code", row->code);
    if (row->status == 429 || row->status == 503) http_response_header(response, "Retry-After", "1");
}

void http_too_many(const http_request *request, http_response *response, const char *sentence) {
    http_problem(request, response, PROBLEM_TOO_MANY_REQUESTS, sentence, NULL);
}

void http_overloaded(const http_request *request, http_response *response, const char *sentence) {
    http_problem(request, response, PROBLEM_OVERLOADED, sentence, NULL);
}

/* What the server alone did wrong is for its log. */
static bool is_for_the_client(problem_kind what) {
    return problem_get(what)->status < 500 || what == PROBLEM_NOT_SUPPORTED ||
           what == PROBLEM_DICTIONARY_CHANGED || what == PROBLEM_STATE_UNAVAILABLE;
}

void http_fail(const http_request *request, http_response *response, const ra_error *err) {
    problem_kind what = problem_of(err);
    if (is_for_the_client(what)) {
        http_problem(request, response, what, err->message, &err->facts);
        return;
    }
    /* a client that has left is no failure */
    ra_log(err->code == RA_ERR_CANCELED ? RA_LOG_INFO : RA_LOG_ERROR, "request %s: %s", request->id,
           err->message);
    http_problem(request, response, what,
                 err->code == RA_ERR_MEMORY
                     ? "the server is out of memory for this request"
                     : "the server failed; its log has the reason under this request id",
                 NULL);
}
