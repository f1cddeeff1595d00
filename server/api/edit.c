/* Editing the codes of inputs: what they would be if some latents were different, with or without the error of the SAE.
 * The body of a binary request is only the inputs, so its query says how: set=5:scale:2,7:ablate&keep_error=false. Beside a
 * JSON body that says how, the query must say the same.
 */
#include "api/forms.h"
#include "api/limits.h"
#include "app/numbers.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

static ra_status fail_entry(const char *from, const char *end, ra_status code, ra_error *err) {
    RA_FAIL_FACTS(err, code == RA_ERR_NOT_FINITE ? code : RA_ERR_ARGUMENT, (.where = "set"),
                  "set has '%.*s', expected an atom, an operation and its value, like 5:scale:2 or 7:ablate",
                  (int)(end - from < 64 ? end - from : 64), from);
}

/* "5:scale:2" */
static ra_status parse_edit(const char *from, const char *end, ra_edit *edit, ra_error *err) {
    const char *colon = memchr(from, ':', (size_t)(end - from));
    if (!colon) return fail_entry(from, end, RA_ERR_FORMAT, err);
    const char *op = colon + 1, *second = memchr(op, ':', (size_t)(end - op));
    size_t size = (size_t)((second ? second : end) - op);
    int found = 0;
    while (edit_op_names[found] &&
           (strlen(edit_op_names[found]) != size || memcmp(edit_op_names[found], op, size) != 0))
        found++;
    bool ablates = found == RA_EDIT_ABLATE;
    if (!edit_op_names[found] || (!second && !ablates)) return fail_entry(from, end, RA_ERR_FORMAT, err);
    *edit = (ra_edit){.op = (ra_edit_op)found};
    ra_status why = RA_ERR_FORMAT;
    if (second && number_scan_f32(second + 1, end, &edit->value, &why) != end)
        return fail_entry(from, end, why, err);
    ra_status status = api_parse_index(from, colon, "the atom in set", &edit->atom, err);
    return status == RA_OK ? RA_OK : api_blame("set", err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
}

static bool same_edits(const edit_request *request, const ra_edit *edits, size_t count) {
    bool same = request->count == count;
    for (size_t i = 0; same && i < count; i++) {
        const ra_edit *a = &request->edits[i], *b = &edits[i];
        same = a->atom == b->atom && a->op == b->op && (a->op == RA_EDIT_ABLATE || a->value == b->value);
    }
    return same;
}

static ra_status query_edits(const api_call *call, edit_request *request, ra_error *err) {
    const http_target *target = &call->request->target;
    size_t count = 0;
    for (http_list list = {0}; http_target_list(target, "set", &list);) count++;
    if (count == 0) return RA_OK;
    if (count > EDIT_MAX)
        RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (.where = "set", PROBLEM_COUNTS(EDIT_MAX, count)),
                      "set has more than %d entries", EDIT_MAX);
    ra_edit *edits = ra_malloc(count, sizeof *edits);
    if (!edits) RA_FAIL_MEMORY(err, "the codes to edit", count * sizeof *edits);
    ra_status status = RA_OK;
    http_list list = {0};
    for (size_t i = 0; status == RA_OK && http_target_list(target, "set", &list); i++)
        status = parse_edit(list.entry, list.end, &edits[i], err);
    if (status == RA_OK)
        status = api_check_same("set", !request->edits || same_edits(request, edits, count), err);
    ra_free(status == RA_OK ? request->edits : edits);
    if (status != RA_OK) return status;
    request->edits = edits;
    request->count = count;
    return RA_OK;
}

static ra_status parse(const api_call *call, edit_request *request, ra_error *err) {
    static const char *const truths[] = {"false", "true", NULL};
    *request = (edit_request){.keep_error = EDIT_KEEP_NOT_GIVEN};
    if (call->request->body_form == FORM_JSON)
        RA_TRY(json_edit_parse(call->request->body, call->request->body_size, api_info(call)->dimensions,
                               call->server->max_rows, request, err));
    else
        RA_TRY(forms_inputs(call, &request->inputs, err));
    RA_TRY(query_edits(call, request, err));
    return api_choose_name(call, "keep_error", truths, request->keep_error, 1, &request->keep_error, err);
}

static ra_status check(const api_call *call, const edit_request *request, ra_error *err) {
    size_t codes = request->inputs.rows * request->count;
    bool queried = http_target_parameter(&call->request->target, "set");
    if (request->count == 0)
        RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.kind = PROBLEM_MISSING_PARAMETER, .where = "set"),
                      "no codes to edit are given; expected \"set\": [{\"atom\": 5, \"op\": \"scale\", "
                      "\"value\": 2}, ...] in a JSON body, or set=5:scale:2 in the query");
    for (size_t i = 0; i < request->count; i++) {
        char where[40];
        snprintf(where, sizeof where, queried ? "set" : "/set/%zu/atom", i);
        RA_TRY(api_check_listed_atom(call, request->edits[i].atom, where, err));
    }
    if (codes > LIMIT_RESULTS)
        RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE,
                      (.kind = PROBLEM_TOO_MANY, .where = "set", PROBLEM_COUNTS(LIMIT_RESULTS, codes)),
                      "%zu edits of %zu inputs are more than %d codes; send fewer inputs at once",
                      request->count, request->inputs.rows, LIMIT_RESULTS);
    return RA_OK;
}

/* {"outputs":[[...]],"edits":[{"atom":5,"before":[...],"after":[...]}]}; numbers of one edit are `count` apart. */
static ra_status write_json(api_call *call, const edit_request *request, const float *outputs,
                            const float *before, const float *after, ra_error *err) {
    size_t rows = request->inputs.rows, d = request->inputs.cols, count = request->count;
    float *column;
    RA_TRY(scratch_vectors(rows, &column, err));
    text *out = api_json(call);
    json_object(out, NULL);
    json_array(out, "outputs");
    for (size_t row = 0; row < rows; row++) {
        json_floats(out, NULL, outputs + row * d, d);
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    json_array(out, "edits");
    for (size_t i = 0; i < count; i++) {
        json_object(out, NULL);
        json_count(out, "atom", request->edits[i].atom);
        for (size_t row = 0; row < rows; row++) column[row] = before[row * count + i];
        json_floats(out, "before", column, rows);
        for (size_t row = 0; row < rows; row++) column[row] = after[row * count + i];
        json_floats(out, "after", column, rows);
        json_object_end(out);
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}

static ra_status run(api_call *call, const edit_request *request, ra_error *err) {
    size_t rows = request->inputs.rows, d = request->inputs.cols, count = request->count;
    float *outputs;
    RA_TRY(forms_reply_numbers(call, rows * (d + 2 * count), &outputs, err));
    float *before = outputs + rows * d, *after = before + rows * count;
    computation wanted = {.kind = COMPUTE_EDIT,
                          .x = request->inputs.data,
                          .rows = rows,
                          .keep_error = request->keep_error,
                          .edits = request->edits,
                          .edit_count = count,
                          .x_hat = outputs,
                          .before = before,
                          .after = after};
    RA_TRY(api_compute(call, &wanted, err));
    if (call->request->reply_form == FORM_JSON) return write_json(call, request, outputs, before, after, err);
    tensor_list list = {3,
                        {ra_tensor_2d(RA_F32, outputs, rows, d), ra_tensor_2d(RA_F32, before, rows, count),
                         ra_tensor_2d(RA_F32, after, rows, count)}};
    return forms_reply_tensors(call, &list, err);
}

ra_status api_edit(api_call *call, ra_error *err) {
    edit_request request;
    ra_status status;
    RA_TRY(api_need_encoder(call, err));
    RA_TRY_OUT(status, parse(call, &request, err));
    RA_TRY_OUT(status, check(call, &request, err));
    RA_TRY_OUT(status, run(call, &request, err));
out:
    edit_request_release(&request);
    return status;
}
