#include "api/api.h"

#include <stdint.h>
#include <string.h>

enum { MAX_REPLY_MIB = 256 };

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
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is '%.*s', expected a whole number from 0 on", what,
                (int)(end - digits < 64 ? end - digits : 64), digits);
    *value = n;
    return RA_OK;
}

ra_status api_query_count(const api_call *call, const char *name, size_t standard, size_t min, size_t max,
                          size_t *value, ra_error *err) {
    const char *given = http_target_parameter(&call->request->target, name);
    *value = standard;
    if (!given) return RA_OK;
    ra_status status = api_parse_index(given, given + strlen(given), name, value, err);
    if (status == RA_OK && (*value < min || *value > max))
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is %.20s, expected a number from %zu to %zu", name, given, min,
                max);
    return status;
}

ra_status api_query_metric(const api_call *call, ra_similarity standard, ra_similarity *metric,
                           ra_error *err) {
    const char *name = http_target_parameter(&call->request->target, "metric");
    *metric = standard;
    if (!name) return RA_OK;
    for (*metric = RA_SIMILARITY_COSINE; *metric <= RA_SIMILARITY_DOT; ++*metric)
        if (strcmp(name, metric_name(*metric)) == 0) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "metric is '%.64s', expected cosine or dot", name);
}

ra_status api_check_atom(const api_call *call, size_t atom, ra_error *err) {
    size_t concepts = api_info(call)->concepts;
    if (atom < concepts) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no atom %zu: dictionary %s has %zu, numbered from 0", atom,
            call->dictionary->name, concepts);
}

ra_status api_need_encoder(const api_call *call, ra_error *err) {
    if (api_info(call)->has_encoder) return RA_OK;
    RA_FAIL(err, RA_ERR_STATE,
            "dictionary %s has no encoder, so it cannot encode or explain inputs; serve a file "
            "that holds one, or send latents to reconstruct",
            call->dictionary->name);
}

ra_status api_check_finite(const char *what, const float *values, size_t n, ra_error *err) {
    if (ra_find_not_finite(values, n) == n) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE,
            "%s: the numbers of the request are so large that the result is "
            "beyond float32",
            what);
}

ra_status api_check_reply(const api_call *call, ra_error *err) {
    return api_check_size(call->response->body.size, err);
}

ra_status api_check_size(size_t bytes, ra_error *err) {
    if (bytes <= (size_t)MAX_REPLY_MIB << 20) return RA_OK;
    RA_FAIL(err, RA_ERR_TOO_LARGE, "the reply has more than %d MiB; ask for less at once", MAX_REPLY_MIB);
}
