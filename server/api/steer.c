/* Steering moves inputs, or their reconstructions, along atoms. The body of a binary request is only the
 * inputs, so its query says how: steer=5:2.0,9:-1&on=reconstruction&method=cap. Beside a JSON body that says how, the query must
 * say the same.
 */
#include "api/forms.h"
#include "api/limits.h"
#include "app/numbers.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

/* "5:2.0" */
static ra_status parse_push(const char *from, const char *end, ra_steer *push, ra_error *err) {
    const char *colon = memchr(from, ':', (size_t)(end - from)), *rest = NULL;
    ra_status why = RA_ERR_FORMAT;
    if (colon) rest = number_scan_f32(colon + 1, end, &push->scale, &why);
    if (!colon || rest != end)
        RA_FAIL_FACTS(err, why == RA_ERR_NOT_FINITE ? why : RA_ERR_ARGUMENT, (.where = "steer"),
                      "steer has '%.*s', expected an atom, a colon and a number, like 5:2.0",
                      (int)(end - from < 64 ? end - from : 64), from);
    ra_status status = api_parse_index(from, colon, "the atom in steer", &push->atom, err);
    return status == RA_OK ? RA_OK : api_blame("steer", err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
}

static bool same_pushes(const steer_request *request, const ra_steer *pushes, size_t count) {
    bool same = request->count == count;
    for (size_t i = 0; same && i < count; i++)
        same = request->pushes[i].atom == pushes[i].atom && request->pushes[i].scale == pushes[i].scale;
    return same;
}

static ra_status query_pushes(const api_call *call, steer_request *request, ra_error *err) {
    const http_target *target = &call->request->target;
    size_t count = 0;
    for (http_list list = {0}; http_target_list(target, "steer", &list);) count++;
    if (count == 0) return RA_OK;
    if (count > STEER_MAX_PUSHES)
        RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (.where = "steer", PROBLEM_COUNTS(STEER_MAX_PUSHES, count)),
                      "steer has more than %d entries", STEER_MAX_PUSHES);
    ra_steer *pushes = ra_malloc(count, sizeof *pushes);
    if (!pushes) RA_FAIL_MEMORY(err, "the atoms to steer along", count * sizeof *pushes);
    ra_status status = RA_OK;
    http_list list = {0};
    for (size_t i = 0; status == RA_OK && http_target_list(target, "steer", &list); i++)
        status = parse_push(list.entry, list.end, &pushes[i], err);
    bool same = !request->pushes || same_pushes(request, pushes, count);
    if (status == RA_OK) status = api_check_same("steer", same, err);
    ra_free(status == RA_OK ? request->pushes : pushes);
    if (status != RA_OK) return status;
    request->pushes = pushes;
    request->count = count;
    return RA_OK;
}

static ra_status query_base(const api_call *call, steer_request *request, ra_error *err) {
    static const char *const names[] = {
        [RA_STEER_INPUT] = "input", [RA_STEER_RECONSTRUCTION] = "reconstruction", NULL};
    return api_choose_name(call, "on", names, request->base, RA_STEER_INPUT, &request->base, err);
}

static ra_status parse(const api_call *call, steer_request *request, ra_error *err) {
    *request = (steer_request){.base = STEER_BASE_NOT_GIVEN, .method = STEER_METHOD_NOT_GIVEN};
    if (call->request->body_form == FORM_JSON)
        RA_TRY(json_steer_parse(call->request->body, call->request->body_size, api_info(call)->dimensions,
                                call->server->max_rows, request, err));
    else
        RA_TRY(forms_inputs(call, &request->inputs, err));
    RA_TRY(query_pushes(call, request, err));
    RA_TRY(query_base(call, request, err));
    return api_choose_name(call, "method", steer_method_names, request->method, RA_STEER_ADD,
                           &request->method, err);
}

/* Each row is moved by one push after another, which takes time where it is not the same for all. */
static ra_status check_work(const steer_request *request, ra_error *err) {
    size_t steps = request->inputs.rows * request->count;
    if (request->method == RA_STEER_ADD || steps <= LIMIT_RESULTS) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE,
                  (.kind = PROBLEM_TOO_MANY, .where = "steer", PROBLEM_COUNTS(LIMIT_RESULTS, steps)),
                  "%zu inputs moved by %zu atoms are more than %d steps; send fewer inputs at once",
                  request->inputs.rows, request->count, LIMIT_RESULTS);
}

static ra_status check(const api_call *call, const steer_request *request, ra_error *err) {
    if (request->count == 0)
        RA_FAIL_FACTS(
            err, RA_ERR_ARGUMENT, (.kind = PROBLEM_MISSING_PARAMETER, .where = "steer"),
            "no atoms to steer along are given; expected \"steer\": [{\"atom\": 5, \"scale\": 2.0}, ...] "
            "in a "
            "JSON body, or steer=5:2.0 in the query");
    bool queried = http_target_parameter(&call->request->target, "steer");
    for (size_t i = 0; i < request->count; i++) {
        char where[40];
        snprintf(where, sizeof where, queried ? "steer" : "/steer/%zu/atom", i);
        RA_TRY(api_check_listed_atom(call, request->pushes[i].atom, where, err));
        if (request->method != RA_STEER_ADD &&
            ra_model_atom_norm(api_model(call), request->pushes[i].atom) == 0) {
            ra_error_set(err, RA_ERR_ARGUMENT,
                         "atom %zu is zero, so it has no direction to steer along but by adding",
                         request->pushes[i].atom);
            return api_blame(where, err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
        }
    }
    if (request->base == RA_STEER_RECONSTRUCTION) RA_TRY(api_need_encoder(call, err));
    return check_work(request, err);
}

static ra_status run(api_call *call, const steer_request *request, ra_error *err) {
    float *outputs;
    size_t rows = request->inputs.rows, d = request->inputs.cols;
    RA_TRY(forms_reply_numbers(call, rows * d, &outputs, err));
    computation wanted = {.kind = COMPUTE_STEER,
                          .x = request->inputs.data,
                          .rows = rows,
                          .base = (ra_steer_base)request->base,
                          .method = (ra_steer_method)request->method,
                          .pushes = request->pushes,
                          .push_count = request->count,
                          .x_hat = outputs};
    RA_TRY(api_compute(call, &wanted, err));
    return forms_reply_matrix(call, "outputs", outputs, rows, d, err);
}

ra_status api_steer(api_call *call, ra_error *err) {
    steer_request request;
    ra_status status;
    RA_TRY_OUT(status, parse(call, &request, err));
    RA_TRY_OUT(status, check(call, &request, err));
    RA_TRY_OUT(status, run(call, &request, err));
out:
    steer_request_release(&request);
    return status;
}
