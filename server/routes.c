/* The routing table, and the way of a request through it.
 *
 * To add an endpoint:
 *   1. write its handler in the file of its family under api/, and declare it in api/api.h
 *   2. add its row to the table below: the parameters of its query are named there, every other is refused
 *   3. write its reply in codec/json_replies.c, and show it in server/README.md
 *   4. add its tests to tests/http/
 *
 * In a pattern `{d}` stands for the name of a dictionary, which is looked up and held for the handler, and
 * `{i}` for a whole number. Rows are compared in their order; HEAD, OPTIONS, 404 and 405 follow from the rows
 * and need none of their own.
 */
#include "routes.h"

#include <stdio.h>
#include <string.h>

#define D "/v1/dictionaries/{d}"

static const route table[] = {
    {HTTP_GET, "/health/live", api_live, ROUTE_NO_BODY, "", "live"},
    {HTTP_GET, "/health/ready", api_ready, ROUTE_NO_BODY, "", "ready"},
    {HTTP_GET, "/v1/dictionaries", api_dictionaries, ROUTE_NO_BODY, "", "dictionaries"},
    {HTTP_GET, D, api_dictionary, ROUTE_NO_BODY, "", "dictionary"},
    {HTTP_GET, D "/atoms", api_atoms, ROUTE_NO_BODY, "offset limit ids fields", "atoms"},
    {HTTP_GET, D "/atoms/{i}", api_atom, ROUTE_NO_BODY, "fields", "atom"},
    {HTTP_GET, D "/atoms/{i}/neighbors", api_neighbors, ROUTE_NO_BODY, "k metric", "neighbors"},
    {HTTP_POST, D "/search", api_search, ROUTE_BODY, "", "search"},
    {HTTP_POST, D "/reconstruct", api_reconstruct, ROUTE_BODY, "", "reconstruct"},
    {HTTP_POST, D "/encode", api_encode, ROUTE_BODY, "", "encode"},
    {HTTP_POST, D "/explain", api_explain, ROUTE_BODY, "", "explain"},
    {HTTP_GET, D "/points/{i}", api_point, ROUTE_NO_BODY, "", "point"},
    {HTTP_OTHER, NULL, NULL, ROUTE_NO_BODY, "", "unknown"},
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

static void add_allow(http_response *response, unsigned methods) {
    char allow[64];
    size_t used = 0;
    for (int method = 0; method < HTTP_OTHER; method++)
        if (methods >> method & 1)
            used += (size_t)snprintf(allow + used, sizeof allow - used, "%s%s", used ? ", " : "",
                                     http_method_name((http_method)method));
    http_response_header(response, "Allow", allow);
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
            return ra_error_set(err, RA_ERR_ARGUMENT, "there is no parameter '%.64s' here; known: %s",
                                parameter->name, *row->query ? row->query : "none");
        if (http_target_parameter(target, parameter->name) != parameter->value)
            return ra_error_set(err, RA_ERR_ARGUMENT, "the parameter %s is given twice", parameter->name);
    }
    return RA_OK;
}

/* JSON, or nothing said. What curl sends unasked for -d is taken for nothing said. */
static bool is_json(const char *type) {
    static const char *const accepted[] = {"application/json", "application/x-www-form-urlencoded",
                                           "text/json", "text/plain"};
    if (!type) return true;
    size_t size = strcspn(type, "; \t");
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
        if (strlen(accepted[i]) == size && strncasecmp(accepted[i], type, size) == 0) return true;
    return size == 0;
}

static const char *wrong_media(const http_request *request) {
    const char *encoding = request->headers[HTTP_CONTENT_ENCODING];
    if (!is_json(request->headers[HTTP_CONTENT_TYPE]))
        return "the body's type is not taken; send application/json";
    if (encoding && strcasecmp(encoding, "identity") != 0)
        return "the body's encoding is not taken; send it without Content-Encoding";
    return NULL;
}

static void admit(void *context, http_request *request, http_response *response, size_t *max_body) {
    engine *shared = context;
    route_match match;
    ra_error err = {0};
    char sentence[256];
    routes_find(&request->target, request->method, &match);
    response->close = atomic_load(&shared->draining);
    request->route = match.route;
    memcpy(request->captures, match.captures, sizeof request->captures);
    if (!match.methods) {
        snprintf(sentence, sizeof sentence, "there is nothing at %.128s", request->target.path);
        http_problem(request, response, 404, sentence);
    } else if (request->method == HTTP_OPTIONS) {
        response->status = 204;
        add_allow(response, match.methods);
    } else if (!match.route) {
        snprintf(sentence, sizeof sentence, "%.128s does not take %s; Allow says what it takes",
                 request->target.path, request->method_name);
        http_problem(request, response, 405, sentence);
        add_allow(response, match.methods);
    } else if (check_query(&request->target, match.route, &err) != RA_OK) {
        http_fail(request, response, &err);
    } else if (match.route->body && wrong_media(request)) {
        http_problem(request, response, 415, wrong_media(request));
    } else {
        *max_body = match.route->body ? shared->max_body : 0;
    }
}

/* ---- answering it -------------------------------------------------------------------------------------- */

/* Turns what the pattern captured into what the handler wants: `{d}` comes before `{i}`. */
static ra_status resolve(api_call *call, ra_error *err) {
    const http_request *request = call->request;
    const char *const *capture = request->captures;
    if (strstr(request->route->pattern, "{d}")) {
        call->dictionary = registry_acquire(call->engine->dictionaries, *capture);
        if (!call->dictionary)
            return ra_error_set(err, RA_ERR_NOT_FOUND, "there is no dictionary named '%.64s'", *capture);
        atomic_fetch_add(call->dictionary->requests, 1);
        capture++;
    }
    if (strstr(request->route->pattern, "{i}"))
        return api_parse_index(*capture, *capture + strlen(*capture), "the number in the path", &call->index,
                               err);
    return RA_OK;
}

static void answer(void *context, http_request *request, http_response *response) {
    ra_error err = {0};
    api_call call = {.engine = context, .request = request, .response = response};
    ra_status status = resolve(&call, &err);
    if (status == RA_OK) status = request->route->handler(&call, &err);
    if (status != RA_OK) http_fail(request, response, &err);
    response->close |= atomic_load(&call.engine->draining);
    served_release(call.dictionary);
    scratch_trim();
}

static void done(void *context, const http_request *request, const http_response *response,
                 uint64_t microseconds) {
    (void)context;
    ra_log(RA_LOG_DEBUG, "request %s: %s %.256s (%s) %d, %zu bytes, %llu us", request->id,
           request->method_name, request->target.path, request->route ? request->route->label : "none",
           response->status, response->body.size, (unsigned long long)microseconds);
}

http_service routes_service(engine *shared) {
    return (http_service){.context = shared, .admit = admit, .answer = answer, .done = done};
}
