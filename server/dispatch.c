/* Admitting a request is all that its headers allow: finding the row, comparing address, key, query and forms
 * with it. Answering it looks up what the path names and calls the handler. Everything that differs between
 * routes is in their rows (routes.c).
 */
#include "dispatch.h"
#include "routes.h"
#include "http/conditions.h"
#include "ra_memory.h"
#include "telemetry/observe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- admitting ----------------------------------------------------------------------------------------- */

enum { METHODS_SIZE = 64, SENTENCE_SIZE = 256, NAMES_SIZE = 64 };

/* "GET, HEAD, OPTIONS" */
static const char *list_methods(unsigned methods, char list[METHODS_SIZE]) {
    size_t used = 0;
    for (int method = 0; method < HTTP_OTHER; method++)
        if (methods >> method & 1)
            used += (size_t)snprintf(list + used, METHODS_SIZE - used, "%s%s", used ? ", " : "",
                                     http_method_name((http_method)method));
    return list;
}

static bool is_listed(const char *list, const char *name) {
    size_t size = strlen(name);
    for (const char *at = list; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == size && strncmp(at, name, n) == 0) return true;
        at += n;
    }
    return false;
}

/* A parameter's own name is in the facts, unless it is too long to be one. */
static ra_status fail_parameter(problem_kind what, const char *name, ra_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static ra_status fail_parameter(problem_kind what, const char *name, ra_error *err, const char *format, ...) {
    char sentence[SENTENCE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    ra_error_set(err, RA_ERR_ARGUMENT, "%s", sentence);
    err->facts.kind = what;
    if (strlen(name) < sizeof err->facts.where)
        snprintf(err->facts.where, sizeof err->facts.where, "%s", name);
    return RA_ERR_ARGUMENT;
}

/* The parameters that are lists, wherever they are taken: given several times they are one list. */
static const char lists[] = "fields ids steer exclude columns set";

static ra_status check_query(const http_target *target, const route *row, ra_error *err) {
    for (size_t i = 0; i < target->parameter_count; i++) {
        const http_parameter *parameter = &target->parameters[i];
        if (!is_listed(row->query, parameter->name))
            return fail_parameter(PROBLEM_UNKNOWN_PARAMETER, parameter->name, err,
                                  "there is no parameter '%.64s' here; known: %s", parameter->name,
                                  *row->query ? row->query : "none");
        if (is_listed(lists, parameter->name)) continue;
        if (http_target_parameter(target, parameter->name) != parameter->value)
            return fail_parameter(PROBLEM_CONFLICTING_PARAMETERS, parameter->name, err,
                                  "the parameter %s is given twice", parameter->name);
    }
    return RA_OK;
}

/* where: the header, or the parameter that takes its place. */
static void refuse_header(const http_request *request, http_response *response, problem_kind what,
                          const char *sentence, const char *where) {
    ra_error_facts facts = {.kind = what};
    snprintf(facts.where, sizeof facts.where, "%s", where);
    http_problem(request, response, what, sentence, &facts);
}

/* Finds the form and the coding of the body; fills the response when the route does not take them. Clients of
 * the Open Inference Protocol often send no Content-Type and never rely on it; there an unknown coding is
 * 501. */
static void choose_body(const route *row, http_request *request, http_response *response) {
    RA_UNINITIALIZED char sentence[SENTENCE_SIZE], names[NAMES_SIZE];
    const char *type = request->headers[HTTP_CONTENT_TYPE], *coding = request->headers[HTTP_CONTENT_ENCODING];
    if (!row->takes) return;
    bool any_type = row->takes == FORMS_OIP || row->takes == FORMS_NOTHING;
    if (!any_type &&
        (!form_from_content_type(type, &request->body_form) || !(row->takes >> request->body_form & 1))) {
        snprintf(sentence, sizeof sentence, "the Content-Type of the body is '%.64s', expected one for %s",
                 type, form_names(row->takes, names, sizeof names));
        refuse_header(request, response, PROBLEM_UNSUPPORTED_MEDIA_TYPE, sentence, "Content-Type");
    } else if (!content_coding_from_name(coding, &request->coding)) {
        snprintf(sentence, sizeof sentence,
                 "the Content-Encoding of the body is '%.64s', expected gzip, deflate or zstd", coding);
        refuse_header(request, response,
                      row->takes == FORMS_OIP ? PROBLEM_NOT_SUPPORTED : PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                      sentence, "Content-Encoding");
    }
}

/* Chooses the form of the reply; fills the response when the client accepts none of those that there are. */
static void choose_reply(const route *row, http_request *request, http_response *response) {
    RA_UNINITIALIZED char sentence[SENTENCE_SIZE], names[NAMES_SIZE];
    const char *asked = http_target_parameter(&request->target, "format");
    form chosen = row->gives & FORMS_JSON || !row->gives ? FORM_JSON : FORM_SAFETENSORS;
    request->reply_form = chosen;
    if (!row->gives) return;
    if (asked && (!form_from_name(asked, &request->reply_form) || !(row->gives >> request->reply_form & 1))) {
        snprintf(sentence, sizeof sentence, "format is '%.64s', but the reply is available as %s", asked,
                 form_names(row->gives, names, sizeof names));
        refuse_header(request, response, PROBLEM_NOT_ACCEPTABLE, sentence, "format");
    } else if (!asked &&
               !form_choose(request->headers[HTTP_ACCEPT], row->gives, chosen, &request->reply_form)) {
        snprintf(sentence, sizeof sentence, "Accept excludes every form of the reply: %s",
                 form_names(row->gives, names, sizeof names));
        refuse_header(request, response, PROBLEM_NOT_ACCEPTABLE, sentence, "Accept");
    }
}

static auth_verdict check_key(const rasaed *server, const route *row, http_request *request) {
    auth_scope required = row->key;
    if (required == AUTH_METRICS) required = server->keys ? server->metrics_access : AUTH_OPEN;
    return auth_check(server->keys, required, request->headers, request->key_name);
}

static bool is_served_here(const rasaed *server, const route *row, const http_request *request) {
    return row->address == ADDRESS_BOTH || !server->has_admin ||
           request->admin == (row->address == ADDRESS_ADMIN);
}

/* OPTIONS * asks what the server can do at all, and whether it is there. */
static void answer_server_options(const http_request *request, http_response *response) {
    static const char methods[] = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
    if (request->method == HTTP_OPTIONS)
        response->status = 200;
    else
        http_problem(request, response, PROBLEM_MALFORMED_REQUEST, "the target * is that of OPTIONS only",
                     NULL);
    http_response_header(response, "Allow", methods);
}

static void admit(void *context, http_request *request, http_response *response, size_t *max_body) {
    rasaed *server = context;
    route_match match;
    ra_error err = {0};
    RA_UNINITIALIZED char sentence[SENTENCE_SIZE], methods[METHODS_SIZE];
    auth_verdict verdict;
    routes_find(&request->target, request->method, &match);
    const route *row = match.route;
    response->close = atomic_load(&server->draining);
    observe_began(server->metrics, request, response);
    cors_answer(server->cors, request, response);
    request->route = row;
    memcpy(request->captures, match.captures, sizeof request->captures);
    request->patient =
        row && (row->cost.kind == COST_FILE || (row->cost.kind == COST_STATE && row->method != HTTP_GET));
    request->vital = request->admin || (row && row->address == ADDRESS_BOTH);
    if (strcmp(request->target.path, "*") == 0) {
        answer_server_options(request, response);
    } else if (!match.methods || (row && !is_served_here(server, row, request))) {
        snprintf(sentence, sizeof sentence, "there is nothing at %.128s%s", request->target.path,
                 request->admin ? "" : "; see /docs");
        http_problem(request, response, PROBLEM_UNKNOWN_PATH, sentence, NULL);
    } else if (request->method == HTTP_OPTIONS) {
        response->status = 204;
        http_response_header(response, "Allow", list_methods(match.methods, methods));
        cors_preflight(server->cors, request, response, methods);
    } else if (!row) {
        snprintf(sentence, sizeof sentence,
                 "%.128s does not support %.32s; the header Allow lists what it supports",
                 request->target.path, request->method_name);
        http_problem(request, response, PROBLEM_METHOD_NOT_ALLOWED, sentence, NULL);
        http_response_header(response, "Allow", list_methods(match.methods, methods));
    } else if ((verdict = check_key(server, row, request)) != AUTH_GRANTED) {
        auth_refuse(verdict, request, response);
    } else if (check_query(&request->target, row, &err) != RA_OK) {
        http_fail(request, response, &err);
    } else {
        *max_body = row->takes ? server->max_body : 0;
        choose_body(row, request, response);
        if (!response->status) choose_reply(row, request, response);
    }
}

/* ---- answering ----------------------------------------------------------------------------------------- */

static ra_status find_dictionary(api_call *call, const char *name, ra_error *err) {
    enum { ATTEMPTS = 8 };
    registry_status known = {.ready = true};
    registry *dictionaries = call->server->dictionaries;
    /* A dictionary that could not be had and is ready a moment later came back in between: ask again. */
    for (int i = 0; i < ATTEMPTS && known.ready; i++) {
        call->dictionary = registry_acquire(dictionaries, name);
        if (call->dictionary) {
            atomic_fetch_add(call->dictionary->requests, 1);
            call->labels = store_labels(call->dictionary->changes);
            return RA_OK;
        }
        if (!registry_status_of(dictionaries, name, &known)) return api_fail_unknown(name, err);
    }
    if (!known.lost && !known.ready)
        RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_NOT_LOADED, .where = "dictionary"),
                      "dictionary %s is not loaded: %s", known.name, known.reason);
    const route *row = call->request->route;
    return row->revives ? RA_OK : api_fail_lost(known.name, err);
}

/* In the Open Inference Protocol, NAME.encode is the encoder of a dictionary, if it has one. */
static ra_status find_model(api_call *call, const char *name, ra_error *err) {
    char base[REGISTRY_NAME_SIZE];
    call->encodes = api_is_oip(call->request) && api_oip_encoder_of(call->server->dictionaries, name, base);
    RA_TRY(find_dictionary(call, call->encodes ? base : name, err));
    if (!call->encodes || api_info(call)->has_encoder) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_DICTIONARY, .where = "dictionary"),
                  "there is no model %.80s: dictionary %s has no encoder", name, base);
}

/* The version in the path is the generation that serves; earlier ones are gone. */
static ra_status check_version(const served *dictionary, const char *given, ra_error *err) {
    char current[24];
    snprintf(current, sizeof current, "%zu", dictionary->generation);
    if (strcmp(given, current) == 0) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_VERSION, .where = "version"),
                  "there is no version '%.32s' of dictionary %s; the current one is %s", given,
                  dictionary->name, current);
}

/* Turns the captured segments into what the handler wants. */
static ra_status resolve(api_call *call, const route *row, ra_error *err) {
    for (size_t i = 0; i < HTTP_CAPTURES; i++) {
        const char *segment = call->request->captures[i];
        switch (row->captures[i]) {
        case CAPTURE_DICTIONARY:
            RA_TRY(find_model(call, segment, err));
            break;
        case CAPTURE_VERSION:
            RA_TRY(check_version(call->dictionary, segment, err));
            break;
        case CAPTURE_NUMBER:
            RA_TRY(api_parse_index(segment, segment + strlen(segment), "the number in the path", &call->index,
                                   err));
            break;
        case CAPTURE_NAME:
        case CAPTURE_ASSET:
        case CAPTURE_FILE:
        case CAPTURE_TEXT:
        case CAPTURE_NOTHING:
            break;
        }
    }
    return RA_OK;
}

/* If-Match takes the revision of the dictionary that the request is about, wherever there is one: that of the path, or
 * the one that a handler has found. */
static bool has_revision(const served *dictionary, const char *wanted) {
    char tag[HTTP_TAG_SIZE];
    if (!dictionary) return false; /* what is not there has none */
    snprintf(tag, sizeof tag, "\"%s\"", ra_artifact_digest(dictionary->artifact));
    return tag_list_holds(wanted, tag, false);
}

static bool path_has_revision(const api_call *call, const char *wanted) {
    const route *row = call->request->route;
    if (row->captures[0] != CAPTURE_NAME) return has_revision(call->dictionary, wanted);
    served *current = registry_acquire(call->server->dictionaries, call->request->captures[0]);
    bool has = has_revision(current, wanted);
    served_release(current);
    return has;
}

static void refuse_revision(const api_call *call) {
    http_problem(
        call->request, call->response, PROBLEM_PRECONDITION_FAILED,
        "If-Match does not name the revision of the dictionary, which X-Dictionary-Revision has: the "
        "dictionary has changed",
        NULL);
}

/* A reply of GET may have an entity tag, and If-Match is compared with that, too, when it is written
 * (http/conditions.c). */
static ra_status handle(api_call *call, http_request *request, ra_error *err) {
    const route *row = request->route;
    const char **wanted = &request->headers[HTTP_IF_MATCH];
    bool tagged = (request->method == HTTP_GET || request->method == HTTP_HEAD) && !api_is_oip(request);
    bool about_one = row->captures[0] == CAPTURE_DICTIONARY || row->captures[0] == CAPTURE_NAME;
    RA_TRY(resolve(call, row, err));
    bool any = *wanted && strcmp(*wanted, "*") == 0 && row->own_tag; /* that is for the handler */
    if (*wanted && about_one && !any && path_has_revision(call, *wanted)) *wanted = NULL; /* it holds */
    if (*wanted && about_one && !tagged && !row->own_tag) {
        refuse_revision(call);
        return RA_OK;
    }
    RA_TRY(row->handler(call, err));
    if (*wanted && !tagged && !row->own_tag && call->dictionary && !has_revision(call->dictionary, *wanted))
        refuse_revision(call);
    return RA_OK;
}

/* What was computed or read is good if the file of the dictionary is what it was. Whatever else failed then failed
 * because of it. */
static ra_status check_dictionary(const api_call *call, ra_error *err) {
    ra_error why = {0};
    const served *dictionary = call->dictionary;
    if (!dictionary || ra_model_check(dictionary->model, &why) == RA_OK) return RA_OK;
    registry_lose(call->server->dictionaries, dictionary, why.message);
    return api_fail_lost(dictionary->name, err);
}

static void answer(void *context, http_request *request, http_response *response) {
    ra_error err = {0};
    api_call call = {.server = context, .request = request, .response = response};
    response->common = response->headers.size;
    call.brief = cost_is_brief(&((const route *)request->route)->cost, request);
    ra_status status = handle(&call, request, &err), checked = check_dictionary(&call, &err);
    if (checked != RA_OK) status = checked;
    if (status != RA_OK) {
        response->headers.size =
            response->common; /* what is said about the content is not true of a failure */
        http_fail(request, response, &err);
    }
    if (status == RA_ERR_DEVICE) device_watch_failed(&call.server->device);
    response->verbatim = api_is_oip(request);
    /* A label that is set changes replies, and a date cannot tell two changes of one second apart. */
    if (call.dictionary && !call.dictionary->changes && !response->modified && !response->undated)
        response->modified = call.dictionary->loaded;
    http_response_finish(request, response);
    if (call.dictionary && checked == RA_OK)
        http_response_header(response, "X-Dictionary-Revision",
                             ra_artifact_digest(call.dictionary->artifact));
    response->close |= atomic_load(&call.server->draining);
    set_labels_release(call.labels);
    served_release(call.dictionary);
    reply_block_give(call.block);
    scratch_trim();
}

/* Of the dictionary in the path. Where a route has none, the body names it, which is not read yet: then it may be the
 * largest one. */
static bool is_heavy(void *context, const http_request *request) {
    rasaed *server = context;
    const route *row = request->route;
    bool named = row->captures[0] == CAPTURE_DICTIONARY;
    static const cost of_encoding = {COST_SCAN, 0.3};
    char base[REGISTRY_NAME_SIZE];
    if (row->cost.kind == COST_NONE) return false;
    bool encodes =
        named && api_is_oip(request) && api_oip_encoder_of(server->dictionaries, request->captures[0], base);
    served *dictionary = named ? registry_acquire(server->dictionaries, encodes ? base : request->captures[0])
                               : registry_acquire_largest(server->dictionaries);
    bool heavy = cost_is_heavy(encodes ? &of_encoding : &row->cost, request,
                               dictionary ? ra_model_get_info(dictionary->model) : NULL);
    served_release(dictionary);
    return heavy;
}

/* What opens files is for the thread that does so: it would hold compute threads for as long as files take. */
static bool submit(void *context, const http_request *request, void (*run)(void *argument), void *argument) {
    rasaed *server = context;
    const route *row = request->route;
    if (row->cost.kind == COST_FILE) return reloader_submit(server->reloader, run, argument);
    return compute_submit(server->compute, run, argument, cost_is_brief(&row->cost, request));
}

/* ---- telling ------------------------------------------------------------------------------------------- */

/* A known path belongs to its row whatever the method, also for OPTIONS and 405. */
static const route *row_of(const http_request *request) {
    route_match match = {.route = request->route};
    for (int method = 0; method < HTTP_OTHER && request->admitted && !match.route; method++)
        routes_find(&request->target, (http_method)method, &match);
    return match.route ? match.route : &routes_table()[routes_count() - 1];
}

static void done(void *context, const http_request *request, const http_response *response,
                 uint64_t microseconds) {
    const rasaed *server = context;
    const route *row = row_of(request);
    bool named = row->captures[0] == CAPTURE_DICTIONARY || row->captures[0] == CAPTURE_NAME;
    observed_route observed = {.index = (size_t)(row - routes_table()),
                               .label = row->label,
                               .dictionary = named ? request->captures[0] : NULL};
    observe_done(server->metrics, &observed, request, response, microseconds);
}

/* Without compute threads, I/O threads answer everything. */
http_service dispatch_service(rasaed *server) {
    return (http_service){.context = server,
                          .admit = admit,
                          .answer = answer,
                          .is_heavy = server->compute ? is_heavy : NULL,
                          .submit = submit,
                          .done = done,
                          .write_problem = api_write_problem};
}
