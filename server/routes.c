/* The routing table, and the way of a request through it.
 *
 * To add an endpoint:
 *   1. write its handler in the file of its family under api/, and declare it in api/api.h
 *   2. add its row to the table below: the parameters of its query are named there, every other is refused
 *   3. write its reply in codec/json/replies.c, show it in server/README.md, and describe it in
 *      proto/openapi.json, which tests compare with this table and with real replies
 *   4. add its tests to tests/http/
 *
 * In a pattern `{d}` stands for the name of a dictionary, which is looked up and held for the handler, `{v}`
 * for the version it must have (the Open Inference Protocol's word for its generation), `{m}` for a name that
 * the handler looks up itself, and `{i}` for a whole number. Rows are compared in their order; HEAD, OPTIONS,
 * 404 and 405 follow from the rows and need none of their own.
 */
#include "routes.h"
#include "http/cors.h"
#include "telemetry/observe.h"
#include "cost.h"

#include <stdio.h>
#include <string.h>

#define D "/v1/dictionaries/{d}"
#define M "/v2/models/{d}"
#define V M "/versions/{v}"

static const route table[] = {
    {HTTP_GET, "/health/live", api_live, AUTH_OPEN, ROUTE_NO_BODY, "", "live"},
    {HTTP_GET, "/health/ready", api_ready, AUTH_OPEN, ROUTE_NO_BODY, "", "ready"},
    {HTTP_GET, "/metrics", api_metrics, AUTH_METRICS, ROUTE_NO_BODY, "", "metrics"},
    {HTTP_GET, "/v1/dictionaries", api_dictionaries, AUTH_READ, ROUTE_NO_BODY, "", "dictionaries"},
    {HTTP_GET, D, api_dictionary, AUTH_READ, ROUTE_NO_BODY, "", "dictionary"},
    {HTTP_GET, D "/atoms", api_atoms, AUTH_READ, ROUTE_VECTORS, "offset limit ids fields format", "atoms"},
    {HTTP_GET, D "/atoms/{i}", api_atom, AUTH_READ, ROUTE_VECTORS, "fields format", "atom"},
    {HTTP_GET, D "/atoms/{i}/neighbors", api_neighbors, AUTH_READ, ROUTE_NO_BODY, "k metric", "neighbors"},
    {HTTP_POST, D "/search", api_search, AUTH_READ, ROUTE_TENSORS, "k metric format", "search"},
    {HTTP_POST, D "/reconstruct", api_reconstruct, AUTH_READ, ROUTE_TENSORS, "format", "reconstruct"},
    {HTTP_POST, D "/encode", api_encode, AUTH_READ, ROUTE_TENSORS, "format", "encode"},
    {HTTP_POST, D "/explain", api_explain, AUTH_READ, ROUTE_TENSORS_IN, "format", "explain"},
    {HTTP_POST, D "/steer", api_steer, AUTH_READ, ROUTE_TENSORS, "steer on format", "steer"},
    {HTTP_GET, D "/points/{i}", api_point, AUTH_READ, ROUTE_VECTORS, "format", "point"},
    {HTTP_GET, D "/dictionary", api_dictionary_file, AUTH_READ, ROUTE_DICTIONARY, "format",
     "dictionary_file"},
    {HTTP_POST, D "/reload", api_reload, AUTH_ADMIN, ROUTE_NO_BODY, "", "reload"},
    {HTTP_POST, "/v1/util/sae-vector", api_sae_vector, AUTH_READ, ROUTE_BODY, "", "sae_vector"},
    {HTTP_POST, "/v1/util/sae-topk-by-decoder-cossim", api_sae_topk, AUTH_READ, ROUTE_BODY, "", "sae_topk"},
    {HTTP_GET, "/openapi.json", api_openapi, AUTH_OPEN, ROUTE_NO_BODY, "", "openapi"},
    {HTTP_GET, "/docs", api_docs, AUTH_OPEN, ROUTE_NO_BODY, "", "docs"},
    {HTTP_GET, "/docs/docs.css", api_docs_css, AUTH_OPEN, ROUTE_NO_BODY, "", "docs_css"},
    {HTTP_GET, "/docs/docs.js", api_docs_js, AUTH_OPEN, ROUTE_NO_BODY, "", "docs_js"},
    {HTTP_GET, "/v2", api_oip_server, AUTH_READ, ROUTE_NO_BODY, "", "v2_server"},
    {HTTP_GET, "/v2/health/live", api_oip_live, AUTH_OPEN, ROUTE_NO_BODY, "", "v2_live"},
    {HTTP_GET, "/v2/health/ready", api_oip_server_ready, AUTH_OPEN, ROUTE_NO_BODY, "", "v2_ready"},
    {HTTP_GET, "/v2/models/stats", api_oip_all_statistics, AUTH_READ, ROUTE_NO_BODY, "", "v2_all_stats"},
    {HTTP_GET, M, api_oip_model, AUTH_READ, ROUTE_NO_BODY, "", "v2_model"},
    {HTTP_GET, V, api_oip_model, AUTH_READ, ROUTE_NO_BODY, "", "v2_version"},
    {HTTP_GET, M "/ready", api_oip_ready, AUTH_READ, ROUTE_NO_BODY, "", "v2_model_ready"},
    {HTTP_GET, V "/ready", api_oip_ready, AUTH_READ, ROUTE_NO_BODY, "", "v2_version_ready"},
    {HTTP_GET, M "/config", api_oip_config, AUTH_READ, ROUTE_NO_BODY, "", "v2_model_config"},
    {HTTP_GET, V "/config", api_oip_config, AUTH_READ, ROUTE_NO_BODY, "", "v2_version_config"},
    {HTTP_GET, M "/stats", api_oip_statistics, AUTH_READ, ROUTE_NO_BODY, "", "v2_model_stats"},
    {HTTP_GET, V "/stats", api_oip_statistics, AUTH_READ, ROUTE_NO_BODY, "", "v2_version_stats"},
    {HTTP_POST, M "/infer", api_oip_infer, AUTH_READ, ROUTE_OIP, "", "v2_infer"},
    {HTTP_POST, V "/infer", api_oip_infer, AUTH_READ, ROUTE_OIP, "", "v2_version_infer"},
    {HTTP_POST, "/v2/repository/index", api_oip_index, AUTH_READ, ROUTE_OIP, "", "v2_index"},
    {HTTP_POST, "/v2/repository/models/{m}/load", api_oip_load, AUTH_ADMIN, ROUTE_OIP, "", "v2_load"},
    {HTTP_POST, "/v2/repository/models/{m}/unload", api_oip_unload, AUTH_ADMIN, ROUTE_OIP, "", "v2_unload"},
    {HTTP_OTHER, NULL, NULL, AUTH_OPEN, ROUTE_NO_BODY, "", "unknown"},
};

const route *routes_table(void) {
    return table;
}

/* ---- finding a row ------------------------------------------------------------------------------------- */

/* The part of a pattern up to the next slash or its end; moves *pattern behind it. */
static const char *next_part(const char **pattern, size_t *size) {
    const char *part = *pattern + 1;
    *size = strcspn(part, "/");
    *pattern = part + *size;
    return part;
}

static bool matches(const char *pattern, const http_target *target, const char **captures) {
    size_t captured = 0;
    for (size_t i = 0; i < target->segment_count; i++) {
        if (!*pattern) return false;
        size_t size;
        const char *part = next_part(&pattern, &size), *segment = target->segments[i];
        if (*part == '{' && *segment)
            captures[captured++] = segment;
        else if (strlen(segment) != size || strncmp(segment, part, size) != 0)
            return false;
    }
    return target->segment_count > 0 && !*pattern;
}

void routes_find(const http_target *target, http_method method, route_match *match) {
    http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    *match = (route_match){0};
    const route *row = table;
    for (; row->pattern; row++) {
        const char *captures[HTTP_CAPTURES] = {NULL};
        if (!matches(row->pattern, target, captures)) continue;
        match->methods |= 1u << row->method | 1u << HTTP_OPTIONS;
        if (row->method == HTTP_GET) match->methods |= 1u << HTTP_HEAD;
        if (row->method != wanted || match->route) continue;
        match->route = row;
        memcpy(match->captures, captures, sizeof captures);
    }
    if (!match->methods) match->route = row;
}

/* ---- admitting a request: all that can be said before its body is there -------------------------------- */

enum { METHODS_SIZE = 64 };

/* "GET, HEAD, OPTIONS" */
static const char *list_methods(unsigned methods, char list[METHODS_SIZE]) {
    size_t used = 0;
    for (int method = 0; method < HTTP_OTHER; method++)
        if (methods >> method & 1)
            used += (size_t)snprintf(list + used, METHODS_SIZE - used, "%s%s", used ? ", " : "",
                                     http_method_name((http_method)method));
    return list;
}

static void add_allow(http_response *response, unsigned methods) {
    char list[METHODS_SIZE];
    http_response_header(response, "Allow", list_methods(methods, list));
}

/* A name of the row's list of query parameters. */
static bool is_listed(const char *list, const char *name) {
    size_t size = strlen(name);
    for (const char *at = list; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == size && strncmp(at, name, n) == 0) return true;
        at += n;
    }
    return false;
}

static ra_status check_query(const http_target *target, const route *row, ra_error *err) {
    for (size_t i = 0; i < target->parameter_count; i++) {
        const http_parameter *parameter = &target->parameters[i];
        if (!is_listed(row->query, parameter->name))
            RA_FAIL(err, RA_ERR_ARGUMENT, "there is no parameter '%.64s' here; known: %s", parameter->name,
                    *row->query ? row->query : "none");
        if (http_target_parameter(target, parameter->name) != parameter->value)
            RA_FAIL(err, RA_ERR_ARGUMENT, "the parameter %s is given twice", parameter->name);
    }
    return RA_OK;
}

/* The forms of each row's body and reply, as sets; a reply without a set is the handler's own affair. */
static const struct {
    unsigned taken, offered;
    form standard;
} forms_of[] = {
#define J (1u << FORM_JSON)
#define T (1u << FORM_RAW | 1u << FORM_NPY)
    [ROUTE_NO_BODY] = {0, 0, FORM_JSON},
    [ROUTE_BODY] = {J, 0, FORM_JSON},
    [ROUTE_VECTORS] = {0, J | T, FORM_JSON},
    [ROUTE_TENSORS] = {J | T, J | T, FORM_JSON},
    [ROUTE_TENSORS_IN] = {J | T, J, FORM_JSON},
    [ROUTE_OIP] = {J, 0, FORM_JSON},
    [ROUTE_DICTIONARY] = {0, 1u << FORM_SAFETENSORS | T, FORM_SAFETENSORS},
#undef J
#undef T
};

bool route_takes_body(route_body body) {
    return forms_of[body].taken != 0;
}

/* The Open Inference Protocol's clients often send no Content-Type, and never depend on it; a coding that is
 * not known is 501 there. */
static void choose_oip_body(http_request *request, http_response *response) {
    char sentence[256];
    const char *coding = request->headers[HTTP_CONTENT_ENCODING];
    if (content_coding_from_name(coding, &request->coding)) return;
    snprintf(sentence, sizeof sentence, "the body's encoding is '%.64s'; taken are gzip and deflate", coding);
    http_problem(request, response, 501, sentence);
}

/* Reads what the body is in; fills the response when that is not taken here. */
static void choose_body(http_request *request, http_response *response) {
    char sentence[256], names[64];
    unsigned taken = forms_of[request->route->body].taken;
    const char *type = request->headers[HTTP_CONTENT_TYPE], *coding = request->headers[HTTP_CONTENT_ENCODING];
    if (!taken) return;
    if (request->route->body == ROUTE_OIP) {
        choose_oip_body(request, response);
        return;
    }
    if (!form_from_content_type(type, &request->body_form) || !(taken >> request->body_form & 1)) {
        snprintf(sentence, sizeof sentence, "the body's type is '%.64s'; taken here: %s", type,
                 form_names(taken, names, sizeof names));
        http_problem(request, response, 415, sentence);
    } else if (!content_coding_from_name(coding, &request->coding)) {
        snprintf(sentence, sizeof sentence, "the body's encoding is '%.64s'; taken are gzip and deflate",
                 coding);
        http_problem(request, response, 415, sentence);
    }
}

/* Chooses what the reply is written in; fills the response when the client wants none that there is. */
static void choose_reply(http_request *request, http_response *response) {
    char sentence[256], names[64];
    unsigned offered = forms_of[request->route->body].offered;
    const char *asked = http_target_parameter(&request->target, "format");
    request->reply_form = forms_of[request->route->body].standard;
    if (!offered) return;
    form_names(offered, names, sizeof names);
    if (asked && (!form_from_name(asked, &request->reply_form) || !(offered >> request->reply_form & 1))) {
        snprintf(sentence, sizeof sentence, "format is '%.64s', but the reply can be had as %s", asked,
                 names);
        http_problem(request, response, 406, sentence);
    } else if (!asked && !form_choose(request->headers[HTTP_ACCEPT], offered, request->reply_form,
                                      &request->reply_form)) {
        snprintf(sentence, sizeof sentence, "Accept excludes every form that the reply can be had in: %s",
                 names);
        http_problem(request, response, 406, sentence);
    }
}

static auth_verdict check_key(const rasaed *server, const route *row, const http_request *request) {
    auth_scope needed = row->needs;
    if (needed == AUTH_METRICS) needed = server->keys ? (auth_scope)server->metrics_access : AUTH_OPEN;
    return auth_check(server->keys, needed, request->headers[HTTP_AUTHORIZATION]);
}

route_place route_where(const route *row) {
    bool both = row->needs == AUTH_METRICS || row->handler == api_live || row->handler == api_ready;
    return both ? ROUTE_BOTH : row->needs == AUTH_ADMIN ? ROUTE_ADMIN : ROUTE_MAIN;
}

static bool is_served_here(const rasaed *server, const route *row, const http_request *request) {
    route_place place = route_where(row);
    if (!row->pattern || place == ROUTE_BOTH || !server->has_admin) return true;
    return request->admin == (place == ROUTE_ADMIN);
}

static void admit(void *context, http_request *request, http_response *response, size_t *max_body) {
    rasaed *server = context;
    route_match match;
    ra_error err = {0};
    char sentence[256], methods[METHODS_SIZE];
    auth_verdict verdict;
    routes_find(&request->target, request->method, &match);
    response->close = atomic_load(&server->draining);
    observe_began(server, request, response);
    cors_answer(server->cors, request, response);
    request->route = match.route;
    memcpy(request->captures, match.captures, sizeof request->captures);
    request->vital = request->admin || (match.route && route_where(match.route) == ROUTE_BOTH);
    if (!match.methods || (match.route && !is_served_here(server, match.route, request))) {
        snprintf(sentence, sizeof sentence, "there is nothing at %.128s", request->target.path);
        http_problem(request, response, 404, sentence);
    } else if (request->method == HTTP_OPTIONS) {
        response->status = 204;
        add_allow(response, match.methods);
        cors_preflight(server->cors, request, response, list_methods(match.methods, methods));
    } else if (!match.route) {
        snprintf(sentence, sizeof sentence, "%.128s does not take %s; Allow says what it takes",
                 request->target.path, request->method_name);
        http_problem(request, response, 405, sentence);
        add_allow(response, match.methods);
    } else if ((verdict = check_key(server, match.route, request)) != AUTH_GRANTED) {
        auth_refuse(verdict, request, response);
    } else if (check_query(&request->target, match.route, &err) != RA_OK) {
        http_fail(request, response, &err);
    } else {
        *max_body = route_takes_body(match.route->body) ? server->max_body : 0;
        choose_body(request, response);
        if (!response->status) choose_reply(request, response);
    }
}

/* ---- answering it -------------------------------------------------------------------------------------- */

/* The version in the path is the generation that serves; those before it are gone. */
static ra_status check_version(const served *dictionary, const char *given, ra_error *err) {
    char current[24];
    snprintf(current, sizeof current, "%zu", dictionary->generation);
    if (strcmp(given, current) == 0) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no version '%.32s' of dictionary %s; it is at %s", given,
            dictionary->name, current);
}

static ra_status fail_not_served(const api_call *call, const char *name, ra_error *err) {
    registry_status known;
    if (registry_status_of(call->server->dictionaries, name, &known))
        RA_FAIL(err, RA_ERR_NOT_FOUND, "dictionary %s is not loaded", known.name);
    RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no dictionary named '%.64s'", name);
}

/* Turns what the pattern captured into what the handler wants: `{d}` comes before `{v}` and `{i}`. */
static ra_status resolve(api_call *call, ra_error *err) {
    const http_request *request = call->request;
    const char *const *capture = request->captures;
    if (strstr(request->route->pattern, "{d}")) {
        call->dictionary = registry_acquire(call->server->dictionaries, *capture);
        if (!call->dictionary) return fail_not_served(call, *capture, err);
        atomic_fetch_add(call->dictionary->requests, 1);
        capture++;
    }
    if (strstr(request->route->pattern, "{v}")) return check_version(call->dictionary, *capture, err);
    if (strstr(request->route->pattern, "{i}"))
        return api_parse_index(*capture, *capture + strlen(*capture), "the number in the path", &call->index,
                               err);
    return RA_OK;
}

static void answer(void *context, http_request *request, http_response *response) {
    ra_error err = {0};
    api_call call = {.server = context, .request = request, .response = response};
    ra_status status = resolve(&call, &err);
    if (status == RA_OK) status = request->route->handler(&call, &err);
    if (status != RA_OK) http_fail(request, response, &err);
    if (status == RA_ERR_DEVICE) device_watch_failed(&call.server->device);
    http_response_finish(request, response);
    response->close |= atomic_load(&call.server->draining);
    served_release(call.dictionary);
    scratch_trim();
}

static void done(void *context, const http_request *request, const http_response *response,
                 uint64_t microseconds) {
    observe_done(context, request, response, microseconds);
}

static bool is_heavy(void *context, const http_request *request) {
    return weight_is_heavy(context, request);
}

static bool submit(void *context, void (*run)(void *argument), void *argument) {
    rasaed *server = context;
    return compute_submit(server->compute, run, argument);
}

/* Without compute threads nothing is too heavy. */
http_service routes_service(rasaed *server) {
    return (http_service){.context = server,
                          .admit = admit,
                          .answer = answer,
                          .is_heavy = server->compute ? is_heavy : NULL,
                          .submit = submit,
                          .done = done};
}
