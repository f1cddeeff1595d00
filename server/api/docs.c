/* The documents inside the program: the contract, a page that shows it and loads nothing from elsewhere, and the forms of
 * tensors.
 *
 * They are files of proto/ and server/web/, which the build puts into the program (ASSETS in the Makefile).
 * To add one: the file, a row in the list below, its handler in api.h and its row in routes.c.
 *
 * The policy of the page allows it to load only these files and to talk only to this server.
 */
#include "api/document.h"

#include <string.h>

/* handler, the file as the Makefile names it, media type */
#define DOCUMENT_LIST(X)                                                                                     \
    X(api_openapi, proto_openapi_json, "application/json")                                                   \
    X(api_index, server_web_index_html, "text/html; charset=utf-8")                                          \
    X(api_docs, server_web_docs_html, "text/html; charset=utf-8")                                            \
    X(api_docs_css, server_web_docs_css, "text/css; charset=utf-8")                                          \
    X(api_docs_js, server_web_docs_js, "text/javascript; charset=utf-8")                                     \
    X(api_tensors, proto_tensors_md, "text/markdown; charset=utf-8")

/* Pictures and sounds may also come from where --media-url says that they are. */
static bool put_policy(api_call *call) {
    text origins = {0}, policy = {0};
    media_write_origins(call->server->media, &origins);
    text_append(&origins, "", 1);
    text_format(&policy,
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                "img-src 'self' data: blob:%s; media-src 'self' blob:%s; base-uri 'none'; form-action 'none'",
                origins.failed ? "" : origins.data, origins.failed ? "" : origins.data);
    text_append(&policy, "", 1);
    bool complete = !policy.failed && !origins.failed;
    if (complete) http_response_header(call->response, "Content-Security-Policy", policy.data);
    text_release(&origins);
    text_release(&policy);
    return complete;
}

/* Sends the reader to this address, relative to the present one. */
static bool lead_to(api_call *call, const char *location) {
    http_response_header(call->response, "Location", location);
    call->response->status = 308;
    return true;
}

/* The links of a page are relative, so that they hold behind a proxy's prefix; below /docs/ they would not, nor at the
 * prefix without a slash. */
static bool leads_elsewhere(api_call *call) {
    const http_target *target = &call->request->target;
    const char *path = target->path, *end = path + strlen(path);
    text location = {0};
    if (target->bare) {
        text_string(&location, strrchr(target->base, '/') + 1);
        text_append(&location, "/", 2);
        bool complete = !location.failed && lead_to(call, location.data);
        text_release(&location);
        return complete;
    }
    size_t slashes = 0;
    while (end - slashes > path && end[-1 - (ptrdiff_t)slashes] == '/') slashes++;
    if (slashes == 0 || end - slashes == path || slashes > 8) return false;
    for (size_t i = 0; i < slashes; i++) text_append(&location, "../", 3);
    text_append(&location, call->request->target.segments[0], strlen(call->request->target.segments[0]) + 1);
    bool complete = !location.failed && lead_to(call, location.data);
    text_release(&location);
    return complete;
}

ra_status document_send(api_call *call, const char *content_type, const char *start, const char *end) {
    if (strncmp(content_type, "text/html", 9) == 0 && leads_elsewhere(call)) return RA_OK;
    call->response->status = 200;
    call->response->content_type = content_type;
    text_append(&call->response->body, start, (size_t)(end - start));
    call->response->cacheable = true;
    http_response_header(call->response, "X-Content-Type-Options", "nosniff");
    if (!put_policy(call)) call->response->body.failed = true;
    return RA_OK;
}

#define X(handler, file, content_type)                                                                       \
    extern const char asset_##file[], asset_##file##_end[];                                                  \
    ra_status handler(api_call *call, ra_error *err) {                                                       \
        (void)err;                                                                                           \
        return document_send(call, content_type, asset_##file, asset_##file##_end);                          \
    }
DOCUMENT_LIST(X)
#undef X
