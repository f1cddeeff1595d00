#include "http/http.h"
#include "codec/json_replies.h"

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

void http_response_header(http_response *response, const char *name, const char *value) {
    size_t before = response->headers.size;
    text_append(&response->headers, name, strlen(name) + 1);
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c >= ' ' && *c != 0x7f) text_append(&response->headers, c, 1);
    text_append(&response->headers, "", 1);
    if (response->headers.failed) response->headers.size = before; /* a header is there whole or not at all */
}

bool http_response_next_header(const http_response *response, size_t *position, const char **name,
                               const char **value) {
    if (*position >= response->headers.size) return false;
    *name = response->headers.data + *position;
    *value = *name + strlen(*name) + 1;
    *position = (size_t)(*value - response->headers.data) + strlen(*value) + 1;
    return true;
}

void http_response_reset(http_response *response) {
    text body = response->body, headers = response->headers;
    body.size = headers.size = 0;
    body.failed = headers.failed = false;
    *response = (http_response){.body = body, .headers = headers};
}

void http_response_release(http_response *response) {
    text_release(&response->body);
    text_release(&response->headers);
    *response = (http_response){0};
}

/* ---- problems ------------------------------------------------------------------------------------------ */

const char *http_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } texts[] = {{200, "OK"},
                 {204, "No Content"},
                 {400, "Bad Request"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {409, "Conflict"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status) return texts[i].text;
    return "Unknown Status";
}

int http_status_of(ra_status status) {
    static const int statuses[RA_STATUS_COUNT] = {
        [RA_OK] = 200,
        [RA_ERR_ARGUMENT] = 400,
        [RA_ERR_SETTING] = 400,
        [RA_ERR_SHAPE] = 400,
        [RA_ERR_DTYPE] = 400,
        [RA_ERR_FORMAT] = 400,
        [RA_ERR_NOT_FINITE] = 400,
        [RA_ERR_NOT_FOUND] = 404,
        [RA_ERR_STATE] = 409,
        [RA_ERR_TOO_LARGE] = 413,
        [RA_ERR_UNSUPPORTED] = 501,
        [RA_ERR_MEMORY] = 503,
        [RA_ERR_CANCELLED] = 503,
        [RA_ERR_IO] = 500,
        [RA_ERR_DEVICE] = 500,
        [RA_ERR_INTERNAL] = 500,
    };
    return (unsigned)status < RA_STATUS_COUNT && statuses[status] ? statuses[status] : 500;
}

void http_problem(const http_request *request, http_response *response, int status, const char *sentence) {
    response->status = status;
    response->content_type = "application/problem+json";
    response->body.size = 0;
    response->body.failed = false;
    json_problem(&response->body, status, http_status_text(status), sentence, request->target.path);
}

void http_fail(const http_request *request, http_response *response, const ra_error *err) {
    int status = http_status_of(err->code);
    if (status < 500 || err->code == RA_ERR_UNSUPPORTED) {
        http_problem(request, response, status, err->message);
        return;
    }
    ra_log(RA_LOG_ERROR, "request %s: %s", request->id, err->message);
    http_problem(request, response, status,
                 err->code == RA_ERR_MEMORY ? "the server is out of memory for this request"
                                            : "the server failed; its log says why, under this request's id");
}
