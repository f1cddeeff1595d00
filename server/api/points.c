/* Candidate points: one of them, and a page of them. */
#include "api/forms.h"
#include "api/page.h"
#include "ra_memory.h"

#include <string.h>

enum { FIRST_CAPACITY = 64, DEFAULT_LIMIT = 10 };

/* ---- one ----------------------------------------------------------------------------------------------- */

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
        reply->row_count = ra_model_point_rows(api_model(call), reply->point, rows, capacity);
        if (reply->row_count < capacity) return RA_OK;
    }
}

static ra_status read_vector(const api_call *call, point_reply *reply, ra_error *err) {
    float *vector;
    size_t d = reply->dimensions = api_info(call)->dimensions;
    if (!api_info(call)->has_point_vectors) return RA_OK;
    RA_TRY(scratch_numbers(2 * d, &vector, err));
    RA_TRY(ra_model_point(api_model(call), reply->point, vector, err));
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
    const row_places places = api_row_places(call);
    point_reply reply = {.point = call->index, .places = &places, .model = api_model(call)};
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

/* ---- a page -------------------------------------------------------------------------------------------- */

static ra_status query_parts(const api_call *call, unsigned *parts, ra_error *err) {
    static const struct {
        const char *name;
        unsigned part;
    } known[] = {{"label", POINT_LABEL},
                 {"rows", POINT_ROWS},
                 {"vector", POINT_VECTOR},
                 {"location", POINT_LOCATION},
                 {"all", POINT_ALL_PARTS}};
    const http_target *target = &call->request->target;
    *parts = http_target_parameter(target, "fields") ? 0
             : forms_reply_is_text(call)             ? POINT_LABEL
                                                     : POINT_VECTOR;
    for (http_list list = {0}; http_target_list(target, "fields", &list);) {
        size_t size = (size_t)(list.end - list.entry), i = 0, n = sizeof known / sizeof *known;
        while (i < n && (strlen(known[i].name) != size || memcmp(known[i].name, list.entry, size) != 0)) i++;
        if (i == n)
            RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.where = "fields"),
                          "fields has '%.*s', expected label, rows, vector, location or all",
                          (int)(size < 64 ? size : 64), list.entry);
        *parts |= known[i].part;
    }
    if (forms_reply_is_text(call) || *parts & (POINT_VECTOR | POINT_LOCATION)) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.kind = PROBLEM_CONFLICTING_PARAMETERS, .where = "fields"),
                  "fields leaves out vector and location, but a binary reply has nothing else; ask for JSON");
}

static ra_status need_points(const api_call *call, unsigned parts, ra_error *err) {
    const char *name = call->dictionary->name;
    if (!api_info(call)->points)
        RA_FAIL_FACTS(err, RA_ERR_STATE, (.kind = PROBLEM_NOT_HELD),
                      "dictionary %s does not know the points that it was made from", name);
    if (!forms_reply_is_text(call) && parts && !api_info(call)->has_point_vectors)
        RA_FAIL_FACTS(err, RA_ERR_STATE, (.kind = PROBLEM_NOT_HELD),
                      "dictionary %s does not hold the vectors of its points; their labels and rows are "
                      "available as JSON",
                      name);
    return RA_OK;
}

/* The vectors, or the locations, or the former and then the latter: [points, dimensions]. */
static ra_status send_page(api_call *call, const page *here, unsigned parts, ra_error *err) {
    size_t d = api_info(call)->dimensions, count = here->end - here->offset;
    float *vectors = ra_malloc(2 * count * d + 1, sizeof *vectors);
    if (!vectors) RA_FAIL_MEMORY(err, "the vectors of a reply", 2 * count * d * sizeof *vectors);
    float *locations = vectors + count * d;
    ra_status status = RA_OK;
    for (size_t i = 0; i < count && status == RA_OK; i++)
        status = ra_model_point(api_model(call), here->offset + i, vectors + i * d, err);
    memcpy(locations, vectors, count * d * sizeof *vectors);
    if (status == RA_OK) ra_model_unstandardize(api_model(call), locations, count);
    tensor_list list = {0};
    if (parts & POINT_VECTOR) list.at[list.count++] = ra_tensor_2d(RA_F32, vectors, count, d);
    if (parts & POINT_LOCATION) list.at[list.count++] = ra_tensor_2d(RA_F32, locations, count, d);
    if (status == RA_OK) status = api_check_finite("the locations of points", locations, count * d, err);
    if (status == RA_OK) status = forms_reply_tensors(call, &list, err);
    ra_free(vectors);
    return status;
}

static ra_status write_page(api_call *call, const page *here, unsigned parts, ra_error *err) {
    const row_places places = api_row_places(call);
    text *out = forms_list_begin(call, "points");
    for (size_t i = here->offset; i < here->end; i++) {
        point_reply reply = {.point = i,
                             .places = &places,
                             .model = api_model(call),
                             .dimensions = api_info(call)->dimensions};
        reply.label = ra_model_point_label(api_model(call), i);
        if (parts & POINT_ROWS && api_info(call)->point_rows) RA_TRY(read_rows(call, &reply, err));
        if (parts & (POINT_VECTOR | POINT_LOCATION)) RA_TRY(read_vector(call, &reply, err));
        json_point_parts(out, &reply, parts);
        RA_TRY(forms_list_next(call, err));
    }
    forms_list_end(call, here->end - here->offset);
    if (parts & (POINT_ROWS | POINT_VECTOR)) json_units(out, api_model(call));
    page_members(out, here);
    json_object_end(out);
    return RA_OK;
}

ra_status api_points(api_call *call, ra_error *err) {
    page here;
    unsigned parts;
    RA_TRY(query_parts(call, &parts, err));
    RA_TRY(page_query(call, DEFAULT_LIMIT, api_info(call)->points, &here, err));
    RA_TRY(need_points(call, parts, err));
    RA_TRY(page_link(call, &here, "fields format", err));
    call->response->cacheable = true;
    return forms_reply_is_text(call) ? write_page(call, &here, parts, err)
                                     : send_page(call, &here, parts, err);
}
