/* What the server is, and what a client may ask of it: its version, the forms and codings that it knows, its limits,
 * and what the key of the request allows. A client reads this once and cuts its batches by it. */
#include "api/api.h"
#include "api/limits.h"
#include "codec/json/requests.h"
#include "codec/negotiate.h"
#include "ra.h"

/* All that some route takes or sends. */
static void write_forms(text *out) {
    json_array(out, "forms");
    for (int i = 0; i < FORM_COUNT; i++) {
        json_object(out, NULL);
        json_text(out, "format", form_name((form)i));
        json_text(out, "media_type", form_media_type((form)i));
        json_object_end(out);
    }
    json_array_end(out);
}

static void write_limits(text *out, const rasaed *server) {
    json_object(out, "limits");
    json_count(out, "rows", server->max_rows);
    json_count(out, "body_bytes", server->max_body);
    json_count(out, "reply_bytes", LIMIT_REPLY_BYTES);
    json_count(out, "page", LIMIT_PAGE);
    json_count(out, "query_ids", LIMIT_PAGE);
    json_count(out, "ids", LIMIT_IDS);
    json_count(out, "results", LIMIT_RESULTS);
    json_count(out, "steer", STEER_MAX_PUSHES);
    json_count(out, "edits", EDIT_MAX);
    json_count(out, "lists", LIMIT_LISTS);
    json_count(out, "compared_atoms", LIMIT_COMPARED);
    json_count(out, "target_bytes", HTTP_MAX_TARGET);
    json_object_end(out);
}

ra_status api_server(api_call *call, ra_error *err) {
    (void)err;
    const rasaed *server = call->server;
    const http_request *request = call->request;
    text *out = api_json(call);
    bool admin = auth_check(server->keys, AUTH_ADMIN, request->headers, NULL) == AUTH_GRANTED;
    json_object(out, NULL);
    json_text(out, "name", "rasaed");
    json_text(out, "version", RA_VERSION);
    json_text(out, "access", admin ? "admin" : "read");
    json_text(out, "key_name", request->key_name[0] ? request->key_name : NULL);
    json_bool(out, "keeps_changes", server->changes != NULL);
    write_forms(out);
    write_limits(out, server);
    json_object_end(out);
    return RA_OK;
}
