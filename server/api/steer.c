/* Steering: inputs, or what the dictionary makes of them, moved along atoms. In binary, where a body is
 * nothing but the inputs, the query says how: steer=5:2.0,9:-1&on=reconstruction; it holds over a JSON body
 * as well. */
#include "api/forms.h"
#include "app/numbers.h"
#include "ra_memory.h"

#include <string.h>

/* "5:2.0" */
static ra_status parse_push(const char *from, const char *end, ra_steer *push, ra_error *err) {
    const char *colon = memchr(from, ':', (size_t)(end - from)), *rest = NULL;
    ra_status why = RA_ERR_FORMAT;
    if (colon) rest = number_scan_f32(colon + 1, end, &push->scale, &why);
    if (!colon || rest != end)
        RA_FAIL(err, why == RA_ERR_NOT_FINITE ? why : RA_ERR_ARGUMENT,
                "steer has '%.*s', expected an atom, a colon and a number: 5:2.0",
                (int)(end - from < 64 ? end - from : 64), from);
    return api_parse_index(from, colon, "the atom in steer", &push->atom, err);
}

static ra_status query_pushes(const api_call *call, steer_request *request, ra_error *err) {
    const char *list = http_target_parameter(&call->request->target, "steer");
    if (!list) return RA_OK;
    size_t count = 1;
    for (const char *c = list; *c; c++) count += *c == ',';
    if (count > STEER_MAX_PUSHES)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "steer has more than %d entries", STEER_MAX_PUSHES);
    ra_steer *pushes = ra_malloc(count, sizeof *pushes);
    if (!pushes) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu pushes", count);
    ra_free(request->pushes);
    request->pushes = pushes;
    request->count = count;
    ra_status status = RA_OK;
    for (size_t i = 0; i < count && status == RA_OK; i++) {
        const char *end = strchrnul(list, ',');
        status = parse_push(list, end, &pushes[i], err);
        list = end + 1;
    }
    return status;
}

static ra_status query_base(const api_call *call, steer_request *request, ra_error *err) {
    const char *name = http_target_parameter(&call->request->target, "on");
    if (!name) return RA_OK;
    bool input = strcmp(name, "input") == 0;
    if (!input && strcmp(name, "reconstruction") != 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "on is '%.64s', expected input or reconstruction", name);
    request->base = input ? RA_STEER_INPUT : RA_STEER_RECONSTRUCTION;
    return RA_OK;
}

static ra_status parse(const api_call *call, steer_request *request, ra_error *err) {
    ra_status status;
    *request = (steer_request){.base = RA_STEER_INPUT};
    if (call->request->body_form == FORM_JSON)
        status = json_steer_parse(call->request->body, call->request->body_size, api_info(call)->dimensions,
                                  call->server->max_rows, request, err);
    else
        status = forms_inputs(call, &request->inputs, err);
    if (status == RA_OK) status = query_pushes(call, request, err);
    return status == RA_OK ? query_base(call, request, err) : status;
}

static ra_status check(const api_call *call, const steer_request *request, ra_error *err) {
    ra_status status = RA_OK;
    if (request->count == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "nothing says along which atoms to steer; expected \"steer\": [{\"atom\": 5, "
                "\"scale\": 2.0}, ...] in a JSON body, or steer=5:2.0 in the query");
    for (size_t i = 0; i < request->count && status == RA_OK; i++)
        status = api_check_atom(call, request->pushes[i].atom, err);
    if (status == RA_OK && request->base == RA_STEER_RECONSTRUCTION) status = api_need_encoder(call, err);
    return status;
}

static ra_status run(api_call *call, const steer_request *request, ra_error *err) {
    scratch *mine = NULL;
    void *out = NULL;
    size_t rows = request->inputs.rows, d = request->inputs.cols;
    ra_status status = scratch_get(&mine, err);
    if (status == RA_OK) status = scratch_reserve(mine, SCRATCH_NUMBERS, rows * d, sizeof(float), &out, err);
    computation wanted = {.kind = COMPUTE_STEER,
                          .x = request->inputs.data,
                          .rows = rows,
                          .base = request->base,
                          .pushes = request->pushes,
                          .push_count = request->count,
                          .x_hat = out};
    if (status == RA_OK) status = api_compute(call, &wanted, err);
    return status == RA_OK ? forms_reply_matrix(call, "outputs", out, rows, d, err) : status;
}

ra_status api_steer(api_call *call, ra_error *err) {
    steer_request request;
    ra_status status = parse(call, &request, err);
    if (status == RA_OK) status = check(call, &request, err);
    if (status == RA_OK) status = run(call, &request, err);
    steer_request_release(&request);
    return status;
}
