#include "api/api.h"
#include "api/limits.h"
#include "codec/oip/reply.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- failures ------------------------------------------------------------------------------------------ */

bool api_is_oip(const http_request *request) {
    const char *path = request->target.path;
    return strncmp(path, "/v2", 3) == 0 && (path[3] == '/' || !path[3]);
}

void api_write_problem(const http_request *request, http_response *response, const char *sentence) {
    if (api_is_oip(request)) {
        response->content_type = "application/json";
        oip_put_error(&response->body, sentence);
    } else {
        char instance[HTTP_MAX_TARGET + 256];
        snprintf(instance, sizeof instance, "%s%s", request->target.base ? request->target.base : "",
                 request->target.path);
        response->content_type = "application/problem+json";
        json_problem(&response->body, response->status, http_status_text(response->status), sentence,
                     instance);
    }
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
    if (wanted->canceled && call->server->batcher) return batcher_run(call->server->batcher, wanted, err);
    RA_TRY(scratch_get(&own, err));
    return computation_run(wanted, own->workspace, err);
}

/* ---- parameters ---------------------------------------------------------------------------------------- */

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
    RA_TRY(api_parse_index(given, given + strlen(given), name, value, err));
    if (*value >= min && *value <= max) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "%s is %.20s, expected a number from %zu to %zu", name, given, min, max);
}

ra_status api_query_metric(const api_call *call, ra_similarity fallback, ra_similarity *metric,
                           ra_error *err) {
    const char *name = http_target_parameter(&call->request->target, "metric");
    *metric = fallback;
    if (!name) return RA_OK;
    for (*metric = RA_SIMILARITY_COSINE; *metric <= RA_SIMILARITY_DOT; ++*metric)
        if (strcmp(name, metric_name(*metric)) == 0) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "metric is '%.64s', expected cosine or dot", name);
}

ra_status api_check_same(const char *name, bool same, ra_error *err) {
    if (same) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "%s is in the query and in the body, and the two differ; give it once",
            name);
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
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is '%.64s', expected %s", parameter, asked, list);
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

/* ---- checks -------------------------------------------------------------------------------------------- */

ra_status api_check_atom(const api_call *call, size_t atom, ra_error *err) {
    size_t concepts = api_info(call)->concepts;
    if (atom < concepts) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no atom %zu: dictionary %s has %zu, numbered from 0", atom,
            call->dictionary->name, concepts);
}

ra_status api_need_encoder(const api_call *call, ra_error *err) {
    if (api_info(call)->has_encoder) return RA_OK;
    RA_FAIL(err, RA_ERR_STATE,
            "dictionary %s has no encoder, so it cannot encode or explain inputs; serve a file with an "
            "encoder, or "
            "send latents to reconstruct",
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
    RA_FAIL(err, RA_ERR_TOO_LARGE, "the reply is larger than %d MiB; ask for less at once",
            LIMIT_REPLY_BYTES >> 20);
}
