#include "api/api.h"
#include "api/limits.h"
#include "codec/oip/reply.h"
#include "http/conditions.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- failures ------------------------------------------------------------------------------------------ */

bool api_is_oip(const http_request *request) {
    const char *path = request->target.path;
    return strncmp(path, "/v2", 3) == 0 && (path[3] == '/' || !path[3]);
}

const char *api_oip_name(const api_call *call, char name[OIP_MODEL_NAME_SIZE]) {
    if (!call->encodes) return call->dictionary->name;
    snprintf(name, OIP_MODEL_NAME_SIZE, "%s%s", call->dictionary->name, OIP_ENCODE_SUFFIX);
    return name;
}

bool api_oip_encoder_of(registry *dictionaries, const char *model, char base[REGISTRY_NAME_SIZE]) {
    size_t size = strlen(model), end = sizeof OIP_ENCODE_SUFFIX - 1;
    registry_status known;
    if (size <= end || size - end >= REGISTRY_NAME_SIZE ||
        strcmp(model + size - end, OIP_ENCODE_SUFFIX) != 0 || registry_status_of(dictionaries, model, &known))
        return false;
    memcpy(base, model, size - end);
    base[size - end] = '\0';
    return registry_status_of(dictionaries, base, &known);
}

void api_write_problem(const http_request *request, http_response *response, const char *sentence,
                       const ra_error_facts *facts) {
    if (api_is_oip(request)) {
        response->content_type = "application/json";
        oip_put_error(&response->body, sentence);
        return;
    }
    const char *base = request->target.base ? request->target.base : "";
    char instance[HTTP_MAX_TARGET + 256], type[256];
    snprintf(instance, sizeof instance, "%s%s", base, request->target.path);
    snprintf(type, sizeof type, "%.128s/problems#%s", base, problem_get(response->problem)->code);
    response->content_type = "application/problem+json";
    json_problem(&response->body, &(problem_reply){.what = response->problem,
                                                   .type = type,
                                                   .title = http_status_text(response->status),
                                                   .sentence = sentence,
                                                   .instance = instance,
                                                   .request_id = request->id[0] ? request->id : NULL,
                                                   .facts = facts});
}

ra_status api_problems(api_call *call, ra_error *err) {
    (void)err;
    json_problem_table(api_json(call));
    call->response->cacheable = true;
    return RA_OK;
}

/* ---- calls --------------------------------------------------------------------------------------------- */

text *api_json(api_call *call) {
    call->response->status = 200;
    call->response->content_type = "application/json";
    return &call->response->body;
}

const ra_model *api_model(const api_call *call) {
    return call->dictionary->model;
}

const ra_model_info *api_info(const api_call *call) {
    return ra_model_get_info(call->dictionary->model);
}

/* A compute thread takes its turn in the batcher, where computations are joined. An I/O thread, which has
 * only light work and must not wait, computes at once. */
ra_status api_compute(const api_call *call, computation *wanted, ra_error *err) {
    scratch *own;
    wanted->model = api_model(call);
    wanted->canceled = call->request->canceled;
    wanted->brief = call->brief;
    if (wanted->canceled && call->server->batcher) return batcher_run(call->server->batcher, wanted, err);
    RA_TRY(scratch_get(&own, err));
    return computation_run(wanted, own->workspace, err);
}

/* ---- parameters ---------------------------------------------------------------------------------------- */

ra_status api_blame(const char *where, ra_error *err, ra_error_facts facts) {
    snprintf(facts.where, sizeof facts.where, "%s", where);
    err->facts = facts;
    return err->code;
}

ra_status api_parse_index(const char *digits, const char *end, const char *what, size_t *value,
                          ra_error *err) {
    size_t n = 0;
    bool good = digits < end;
    for (const char *c = digits; c < end && good; c++) {
        good = *c >= '0' && *c <= '9';
        bool full = n > (SIZE_MAX - 9) / 10;
        n = full ? SIZE_MAX : n * 10 + (size_t)(*c - '0');
    }
    if (!good)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is '%.*s', expected a whole number, at least 0", what,
                (int)(end - digits < 64 ? end - digits : 64), digits);
    *value = n;
    return RA_OK;
}

ra_status api_query_count(const api_call *call, const char *name, size_t fallback, size_t min, size_t max,
                          size_t *value, ra_error *err) {
    const char *given = http_target_parameter(&call->request->target, name);
    *value = fallback;
    if (!given) return RA_OK;
    if (api_parse_index(given, given + strlen(given), name, value, err) != RA_OK)
        return api_blame(name, err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
    if (*value >= min && *value <= max) return RA_OK;
    if (max == SIZE_MAX) {
        ra_error_set(err, RA_ERR_ARGUMENT, "%s is %.20s, expected at least %zu", name, given, min);
        return api_blame(name, err, (ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE});
    }
    ra_error_set(err, RA_ERR_ARGUMENT, "%s is %.20s, expected a number from %zu to %zu", name, given, min,
                 max);
    return api_blame(name, err, (ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE, PROBLEM_COUNTS(max, *value)});
}

ra_status api_query_metric(const api_call *call, ra_similarity fallback, ra_similarity *metric,
                           ra_error *err) {
    const char *name = http_target_parameter(&call->request->target, "metric");
    *metric = fallback;
    if (!name) return RA_OK;
    for (*metric = RA_SIMILARITY_COSINE; *metric <= RA_SIMILARITY_DOT; ++*metric)
        if (strcmp(name, metric_name(*metric)) == 0) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.where = "metric"), "metric is '%.64s', expected cosine or dot",
                  name);
}

ra_status api_fail_unknown(const char *name, ra_error *err) {
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_DICTIONARY, .where = "dictionary"),
                  "there is no dictionary named '%.64s'", name);
}

ra_status api_check_same(const char *name, bool same, ra_error *err) {
    if (same) return RA_OK;
    ra_error_set(err, RA_ERR_ARGUMENT, "%s is in the query and in the body, and the two differ; give it once",
                 name);
    return api_blame(name, err, (ra_error_facts){.kind = PROBLEM_CONFLICTING_PARAMETERS});
}

ra_status api_choose_k(const api_call *call, size_t given, size_t fallback, size_t *k, ra_error *err) {
    RA_TRY(api_query_count(call, "k", given ? given : fallback, 1, SIZE_MAX, k, err));
    return api_check_same("k", !given || *k == given, err);
}

ra_status api_choose_name(const api_call *call, const char *parameter, const char *const names[], int given,
                          int fallback, int *index, ra_error *err) {
    const char *asked = http_target_parameter(&call->request->target, parameter);
    *index = given >= 0 ? given : fallback;
    if (!asked) return RA_OK;
    int found = 0;
    while (names[found] && strcmp(asked, names[found]) != 0) found++;
    if (!names[found]) {
        char list[128] = "";
        for (int i = 0; names[i]; i++)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
                     !i             ? ""
                     : names[i + 1] ? ", "
                                    : " or ",
                     names[i]);
        ra_error_set(err, RA_ERR_ARGUMENT, "%s is '%.64s', expected %s", parameter, asked, list);
        return api_blame(parameter, err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
    }
    *index = found;
    return api_check_same(parameter, given < 0 || found == given, err);
}

ra_status api_fail_lost(const char *name, ra_error *err) {
    RA_FAIL(
        err, RA_ERR_CHANGED,
        "dictionary %s is not available: its file was changed while it was served; it has to be loaded again",
        name);
}

/* ---- what is kept -------------------------------------------------------------------------------------- */

static bool write_media(const void *source, const char *base, const media_row *row, text *out) {
    return media_write_link(source, base, row, out);
}

row_places api_row_places(const api_call *call) {
    const char *base = call->request->target.base;
    row_places places = row_places_of(api_model(call));
    places.source = media_of(call->server->media, call->dictionary->name);
    places.media = places.source ? write_media : NULL;
    places.base = base ? base : "";
    return places;
}

const char *api_atom_label(const api_call *call, size_t atom) {
    const set_label *set = set_labels_at(call->labels, atom);
    return set ? set->label : ra_model_atom_label(api_model(call), atom);
}

ra_status api_need_state(const api_call *call, ra_error *err) {
    if (call->dictionary->changes) return RA_OK;
    RA_FAIL_FACTS(
        err, RA_ERR_STATE, (.kind = PROBLEM_STATE_DISABLED),
        "this server keeps no labels and lists, because it was started without a state directory; start "
        "it with --state DIR");
}

void api_put_tag(api_call *call, const char *tag) {
    if (call->request->method == HTTP_GET || call->request->method == HTTP_HEAD) {
        call->response->cacheable = true;
        snprintf(call->response->tag, sizeof call->response->tag, "%s", tag);
    } else {
        http_response_header(call->response, "ETag", tag);
    }
}

/* "x" and what representation.c makes of it for a packed reply. */
static bool names_tag(const char *header, const char *tag, bool weakly) {
    char packed[HTTP_TAG_SIZE + 16];
    if (tag_list_holds(header, tag, weakly)) return true;
    for (content_coding coding = CODING_IDENTITY + 1; coding < CODING_COUNT; coding++) {
        snprintf(packed, sizeof packed, "%.*s-%s\"", (int)strlen(tag) - 1, tag, content_coding_name(coding));
        if (tag_list_holds(header, packed, weakly)) return true;
    }
    return false;
}

bool api_change_holds(const http_request *request, const char *tag) {
    const char *match = request->headers[HTTP_IF_MATCH], *none = request->headers[HTTP_IF_NONE_MATCH];
    if (match && (!*tag || !names_tag(match, tag, false))) return false;
    return !none || !*tag || !names_tag(none, tag, true);
}

void api_refuse_change(const api_call *call, const char *what) {
    char sentence[160];
    snprintf(sentence, sizeof sentence,
             "%s is not what If-Match or If-None-Match expects: it was changed meanwhile; ask for it again",
             what);
    http_problem(call->request, call->response, PROBLEM_PRECONDITION_FAILED, sentence, NULL);
}

/* ---- checks -------------------------------------------------------------------------------------------- */

ra_status api_check_atom(const api_call *call, size_t atom, ra_error *err) {
    size_t concepts = api_info(call)->concepts;
    if (atom < concepts) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND,
                  (.kind = PROBLEM_UNKNOWN_ATOM, .where = "atom", PROBLEM_COUNTS(concepts - 1, atom)),
                  "there is no atom %zu: dictionary %s has %zu, numbered from 0", atom,
                  call->dictionary->name, concepts);
}

ra_status api_check_listed_atom(const api_call *call, size_t atom, const char *where, ra_error *err) {
    if (api_check_atom(call, atom, err) == RA_OK) return RA_OK;
    err->code = RA_ERR_ARGUMENT;
    return api_blame(
        where, err,
        (ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE, PROBLEM_COUNTS(api_info(call)->concepts - 1, atom)});
}

ra_status api_check_list(const api_call *call, const char *member, const size_t *atoms, size_t count,
                         ra_error *err) {
    char where[64];
    for (size_t i = 0; i < count; i++) {
        if (atoms[i] < api_info(call)->concepts) continue;
        snprintf(where, sizeof where, "/%s/%zu", member, i);
        return api_check_listed_atom(call, atoms[i], where, err);
    }
    return RA_OK;
}

ra_status api_need_encoder(const api_call *call, ra_error *err) {
    if (api_info(call)->has_encoder) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_STATE, (.kind = PROBLEM_NO_ENCODER),
                  "dictionary %s has no encoder, so it cannot encode or explain inputs; serve a file with an "
                  "encoder, or send latents to reconstruct",
                  call->dictionary->name);
}

ra_status api_check_finite(const char *what, const float *values, size_t n, ra_error *err) {
    if (ra_find_not_finite(values, n) == n) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE,
            "%s: the numbers of the request are so large that the result is beyond float32", what);
}

ra_status api_check_reply(const api_call *call, ra_error *err) {
    return api_check_size(call->response->body.size, err);
}

ra_status api_check_size(size_t bytes, ra_error *err) {
    if (bytes <= LIMIT_REPLY_BYTES) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (.kind = PROBLEM_REPLY_TOO_LARGE, PROBLEM_LIMIT(LIMIT_REPLY_BYTES)),
                  "the reply is larger than %d MiB; ask for less at once", LIMIT_REPLY_BYTES >> 20);
}
