/* A candidate point. */
#include "api/forms.h"

#include <string.h>

enum { FIRST_CAPACITY = 64 };

static ra_status check_point(const api_call *call, ra_error *err) {
    size_t points = api_info(call)->points;
    if (call->index < points) return RA_OK;
    if (points == 0)
        RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_POINT, .where = "point"),
                      "dictionary %s does not know the points that it was made from", call->dictionary->name);
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND,
                  (.kind = PROBLEM_UNKNOWN_POINT, .where = "point", PROBLEM_COUNTS(points - 1, call->index)),
                  "there is no point %zu: dictionary %s has %zu, numbered from 0", call->index,
                  call->dictionary->name, points);
}

/* Both lists of a point are read into a buffer, and again into a larger one when it was full. */
static ra_status read_uses(const api_call *call, point_reply *reply, ra_error *err) {
    for (size_t capacity = FIRST_CAPACITY;; capacity *= 2) {
        ra_point_use *uses;
        RA_TRY(scratch_uses(capacity, &uses, err));
        reply->uses = uses;
        reply->use_count = ra_model_point_atoms(api_model(call), call->index, uses, capacity);
        if (reply->use_count < capacity) return RA_OK;
    }
}

static ra_status read_rows(const api_call *call, point_reply *reply, ra_error *err) {
    for (size_t capacity = FIRST_CAPACITY;; capacity *= 2) {
        ra_point_row *rows;
        RA_TRY(scratch_rows(capacity, &rows, err));
        reply->rows = rows;
        reply->row_count = ra_model_point_rows(api_model(call), call->index, rows, capacity);
        if (reply->row_count < capacity) return RA_OK;
    }
}

static ra_status read_vector(const api_call *call, point_reply *reply, ra_error *err) {
    float *vector;
    size_t d = reply->dimensions = api_info(call)->dimensions;
    if (!api_info(call)->has_point_vectors) return RA_OK;
    RA_TRY(scratch_numbers(2 * d, &vector, err));
    RA_TRY(ra_model_point(api_model(call), call->index, vector, err));
    memcpy(vector + d, vector, d * sizeof *vector);
    ra_model_unstandardize(api_model(call), vector + d, 1);
    reply->vector = vector;
    reply->location = vector + d;
    return api_check_finite("the location of the point", reply->location, d, err);
}

static ra_status send_vector(api_call *call, const point_reply *reply, ra_error *err) {
    if (!reply->vector)
        RA_FAIL(
            err, RA_ERR_STATE,
            "dictionary %s does not hold the vectors of its points; the rest of a point is available as JSON",
            call->dictionary->name);
    tensor_list list = {1, {ra_tensor_1d(RA_F32, reply->vector, reply->dimensions)}};
    return forms_reply_tensors(call, &list, err);
}

ra_status api_point(api_call *call, ra_error *err) {
    point_reply reply = {.point = call->index, .model = api_model(call)};
    RA_TRY(check_point(call, err));
    call->response->cacheable = true;
    RA_TRY(read_vector(call, &reply, err));
    if (call->request->reply_form != FORM_JSON) return send_vector(call, &reply, err);
    reply.label = ra_model_point_label(api_model(call), call->index);
    if (api_info(call)->archetypes) RA_TRY(read_uses(call, &reply, err));
    if (api_info(call)->point_rows) RA_TRY(read_rows(call, &reply, err));
    json_point(api_json(call), &reply);
    return RA_OK;
}
