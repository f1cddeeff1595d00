#include "api/forms.h"

enum { FIRST_CAPACITY = 64 };

static ra_status check_point(const api_call *call, ra_error *err) {
    size_t points = api_info(call)->points;
    if (call->index < points) return RA_OK;
    if (points == 0)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "dictionary %s does not know the points it was made from",
                call->dictionary->name);
    RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no point %zu: dictionary %s has %zu, numbered from 0",
            call->index, call->dictionary->name, points);
}

/* Both lists of a point are asked for with room to spare, and again with more when all of it was used. */
static ra_status read_uses(const api_call *call, scratch *mine, point_reply *reply, ra_error *err) {
    for (size_t capacity = FIRST_CAPACITY;; capacity *= 2) {
        void *uses = NULL;
        ra_status status = scratch_reserve(mine, SCRATCH_USES, capacity, sizeof(ra_point_use), &uses, err);
        if (status != RA_OK) return status;
        reply->uses = uses;
        reply->use_count = ra_model_point_atoms(api_model(call), call->index, uses, capacity);
        if (reply->use_count < capacity) return RA_OK;
    }
}

static ra_status read_rows(const api_call *call, scratch *mine, point_reply *reply, ra_error *err) {
    for (size_t capacity = FIRST_CAPACITY;; capacity *= 2) {
        void *rows = NULL;
        ra_status status = scratch_reserve(mine, SCRATCH_ROWS, capacity, sizeof(ra_point_row), &rows, err);
        if (status != RA_OK) return status;
        reply->rows = rows;
        reply->row_count = ra_model_point_rows(api_model(call), call->index, rows, capacity);
        if (reply->row_count < capacity) return RA_OK;
    }
}

static ra_status read_vector(const api_call *call, scratch *mine, point_reply *reply, ra_error *err) {
    void *vector = NULL;
    reply->dimensions = api_info(call)->dimensions;
    if (!api_info(call)->has_point_vectors) return RA_OK;
    ra_status status = scratch_reserve(mine, SCRATCH_NUMBERS, reply->dimensions, sizeof(float), &vector, err);
    if (status == RA_OK) status = ra_model_point(api_model(call), call->index, vector, err);
    reply->vector = vector;
    return status;
}

static ra_status send_vector(api_call *call, const point_reply *reply, ra_error *err) {
    if (!reply->vector)
        RA_FAIL(err, RA_ERR_STATE,
                "dictionary %s does not hold the vectors of its points; the rest of a point can be "
                "had as JSON",
                call->dictionary->name);
    tensor_list list = {1, {ra_tensor_1d(RA_F32, reply->vector, reply->dimensions)}};
    return forms_reply_tensors(call, &list, err);
}

ra_status api_point(api_call *call, ra_error *err) {
    scratch *mine = NULL;
    ra_status status = check_point(call, err);
    if (status == RA_OK) status = scratch_get(&mine, err);
    if (status != RA_OK) return status;
    point_reply reply = {.point = call->index, .label = ra_model_point_label(api_model(call), call->index)};
    call->response->cacheable = true;
    if (call->request->reply_form != FORM_JSON) {
        status = read_vector(call, mine, &reply, err);
        return status == RA_OK ? send_vector(call, &reply, err) : status;
    }
    status = read_uses(call, mine, &reply, err);
    if (status == RA_OK) status = read_rows(call, mine, &reply, err);
    if (status == RA_OK) status = read_vector(call, mine, &reply, err);
    if (status == RA_OK) json_point(api_json(call), &reply);
    return status;
}
