#include "api/forms.h"
#include "app/numbers.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

/* ---- bodies -------------------------------------------------------------------------------------------- */

ra_status forms_tensors(const api_call *call, size_t width, tensor_list *list, ra_error *err) {
    const http_request *request = call->request;
    if (request->body_form == FORM_NPY)
        return tensors_parse_npy(request->body, request->body_size, list, err);
    return tensors_parse_raw(request->body, request->body_size, request->headers[HTTP_TENSOR_SHAPE],
                             request->headers[HTTP_TENSOR_DTYPE], width, list, err);
}

static ra_status binary_matrix(const api_call *call, const char *what, ra_matrix *matrix, ra_error *err) {
    tensor_list list;
    size_t d = api_info(call)->dimensions;
    RA_TRY(forms_tensors(call, d, &list, err));
    return tensors_to_matrix(&list, what, d, "dimensions", call->server->max_rows, matrix, err);
}

ra_status forms_inputs(const api_call *call, ra_matrix *inputs, ra_error *err) {
    const http_request *request = call->request;
    if (request->body_form != FORM_JSON) return binary_matrix(call, "inputs", inputs, err);
    return json_inputs_parse(request->body, request->body_size, api_info(call)->dimensions,
                             call->server->max_rows, inputs, err);
}

ra_status forms_latents(const api_call *call, latents_request *latents, ra_error *err) {
    const http_request *request = call->request;
    size_t concepts = api_info(call)->concepts;
    tensor_list list;
    if (request->body_form == FORM_JSON)
        return json_latents_parse(request->body, request->body_size, concepts, call->server->max_rows,
                                  latents, err);
    RA_TRY(forms_tensors(call, concepts, &list, err));
    return tensors_to_latents(&list, concepts, call->server->max_rows, latents, err);
}

ra_status forms_explain(const api_call *call, ra_matrix *inputs, size_t *k, ra_error *err) {
    const http_request *request = call->request;
    *k = 0;
    if (request->body_form != FORM_JSON)
        RA_TRY(binary_matrix(call, "inputs", inputs, err));
    else
        RA_TRY(json_explain_parse(request->body, request->body_size, api_info(call)->dimensions,
                                  call->server->max_rows, inputs, k, err));
    ra_status status = api_choose_k(call, *k, 0, k, err);
    if (status != RA_OK) ra_matrix_release(inputs);
    return status;
}

/* ---- search -------------------------------------------------------------------------------------------- */

/* A binary body does not say what it holds, so `as=inputs` does. */
static ra_status parse_search(const api_call *call, search_request *search, ra_error *err) {
    static const char *const kinds[] = {"vectors", "inputs", NULL};
    const http_request *request = call->request;
    bool json = request->body_form == FORM_JSON;
    int kind;
    *search = (search_request){
        .metric = SEARCH_NOT_GIVEN, .exclude_self = SEARCH_NOT_GIVEN, .min_score = -INFINITY};
    if (json)
        RA_TRY(json_search_parse(request->body, request->body_size, api_info(call)->dimensions,
                                 call->server->max_rows, search, err));
    if (search->kind == SEARCH_EXAMPLES) return RA_OK;
    RA_TRY(api_choose_name(call, "as", kinds, json ? (int)search->kind : -1, SEARCH_VECTORS, &kind, err));
    search->kind = (search_kind)kind;
    return json ? RA_OK : binary_matrix(call, kinds[kind], &search->vectors, err);
}

static ra_status query_min_score(const api_call *call, float *least, ra_error *err) {
    const char *given = http_target_parameter(&call->request->target, "min_score");
    float value;
    ra_status why = RA_ERR_FORMAT;
    if (!given) return RA_OK;
    const char *end = given + strlen(given);
    if (number_scan_f32(given, end, &value, &why) != end)
        RA_FAIL_FACTS(err, why == RA_ERR_NOT_FINITE ? why : RA_ERR_ARGUMENT, (.where = "min_score"),
                      "min_score is '%.64s', expected a number", given);
    RA_TRY(api_check_same("min_score", *least == -INFINITY || *least == value, err));
    *least = value;
    return RA_OK;
}

static ra_status query_exclude(const api_call *call, ids_request *exclude, ra_error *err) {
    const http_target *target = &call->request->target;
    size_t count = 0, i = 0;
    for (http_list list = {0}; http_target_list(target, "exclude", &list);) count++;
    if (count == 0) return RA_OK;
    size_t *ids = ra_malloc(count, sizeof *ids);
    if (!ids) RA_FAIL_MEMORY(err, "the atoms to leave out", count * sizeof *ids);
    ra_status status = RA_OK;
    for (http_list list = {0}; status == RA_OK && http_target_list(target, "exclude", &list); i++)
        status = api_parse_index(list.entry, list.end, "exclude", &ids[i], err);
    if (status != RA_OK) (void)api_blame("exclude", err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
    bool same =
        !exclude->ids || (exclude->count == count && memcmp(ids, exclude->ids, count * sizeof *ids) == 0);
    if (status == RA_OK) status = api_check_same("exclude", same, err);
    ra_free(status == RA_OK ? exclude->ids : ids);
    if (status == RA_OK) *exclude = (ids_request){ids, count};
    return status;
}

static ra_status complete_search(const api_call *call, search_request *search, ra_error *err) {
    static const char *const metric_names[] = {
        [RA_SIMILARITY_COSINE] = "cosine", [RA_SIMILARITY_DOT] = "dot", NULL};
    static const char *const truths[] = {"false", "true", NULL};
    RA_TRY(api_choose_k(call, search->k, 0, &search->k, err));
    RA_TRY(api_choose_name(call, "metric", metric_names, search->metric, RA_SIMILARITY_COSINE,
                           &search->metric, err));
    RA_TRY(
        api_choose_name(call, "exclude_self", truths, search->exclude_self, 0, &search->exclude_self, err));
    if (search->exclude_self && search->kind != SEARCH_ATOMS)
        RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.kind = PROBLEM_CONFLICTING_PARAMETERS, .where = "exclude_self"),
                      "exclude_self is for a search by atoms, and this one is by %s",
                      search->kind == SEARCH_INPUTS    ? "inputs"
                      : search->kind == SEARCH_VECTORS ? "vectors"
                                                       : "examples, which are in no list");
    RA_TRY(query_min_score(call, &search->min_score, err));
    return query_exclude(call, &search->exclude, err);
}

static ra_status read_atoms(const api_call *call, search_request *search, ra_error *err) {
    const ids_request *atoms = &search->atoms;
    const ra_model_info *info = api_info(call);
    RA_TRY(api_check_list(call, "atoms", atoms->ids, atoms->count, err));
    RA_TRY(ra_matrix_init(&search->vectors, atoms->count, info->dimensions, err));
    for (size_t i = 0; i < atoms->count; i++)
        RA_TRY(ra_model_atom(api_model(call), atoms->ids[i], ra_matrix_row(&search->vectors, i), err));
    return RA_OK;
}

/* sum += the atom, scaled to length one, times `scale`; an atom of zeros adds nothing. */
static ra_status add_unit(const api_call *call, size_t atom, double scale, float *vector, double *sum,
                          ra_error *err) {
    size_t d = api_info(call)->dimensions;
    RA_TRY(ra_model_atom(api_model(call), atom, vector, err));
    double square = 0;
    for (size_t j = 0; j < d; j++) square += (double)vector[j] * (double)vector[j];
    for (size_t j = 0; square > 0 && j < d; j++) sum[j] += scale / sqrt(square) * (double)vector[j];
    return RA_OK;
}

/* One vector: the mean of the positive examples minus that of the negative ones, each of length one. */
static ra_status read_examples(const api_call *call, search_request *search, ra_error *err) {
    const ids_request *lists[] = {&search->positive, &search->negative};
    size_t d = api_info(call)->dimensions;
    RA_TRY(api_check_list(call, "positive", search->positive.ids, search->positive.count, err));
    RA_TRY(api_check_list(call, "negative", search->negative.ids, search->negative.count, err));
    RA_TRY(ra_matrix_init(&search->vectors, 1, d, err));
    double *sum = ra_calloc(d, sizeof *sum);
    if (!sum) RA_FAIL_MEMORY(err, "the mean of examples", d * sizeof *sum);
    ra_status status = RA_OK;
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < lists[side]->count && status == RA_OK; i++)
            status = add_unit(call, lists[side]->ids[i], (side ? -1.0 : 1.0) / (double)lists[side]->count,
                              search->vectors.data, sum, err);
    for (size_t j = 0; j < d; j++) search->vectors.data[j] = (float)sum[j];
    ra_free(sum);
    return status;
}

ra_status forms_search(const api_call *call, search_request *search, ra_error *err) {
    ra_matrix *vectors = &search->vectors;
    ra_status status;
    RA_TRY_OUT(status, parse_search(call, search, err));
    RA_TRY_OUT(status, complete_search(call, search, err));
    if (search->kind == SEARCH_INPUTS)
        RA_TRY_OUT(status, ra_model_standardize_inputs(api_model(call), vectors->data, vectors->rows, err));
    if (search->kind == SEARCH_ATOMS) RA_TRY_OUT(status, read_atoms(call, search, err));
    if (search->kind == SEARCH_EXAMPLES) RA_TRY_OUT(status, read_examples(call, search, err));
out:
    if (status != RA_OK) search_request_release(search);
    return status;
}

/* ---- replies ------------------------------------------------------------------------------------------- */

static void begin(api_call *call) {
    call->response->status = 200;
    call->response->content_type = form_media_type(call->request->reply_form);
}

/* In headers, what npy says in its own. */
static void describe_raw(api_call *call, const tensor_list *list) {
    char shape[TENSORS_HEADER_SIZE], dtype[TENSORS_HEADER_SIZE];
    tensors_headers(list, shape, dtype);
    http_response_header(call->response, "X-Tensor-Shape", shape);
    http_response_header(call->response, "X-Tensor-Dtype", dtype);
}

bool forms_reply_is_text(const api_call *call) {
    return call->request->reply_form == FORM_JSON || call->request->reply_form == FORM_NDJSON;
}

text *forms_list_begin(api_call *call, const char *key) {
    text *out = api_json(call);
    call->response->content_type = form_media_type(call->request->reply_form);
    if (call->request->reply_form == FORM_NDJSON) return out;
    json_object(out, NULL);
    json_array(out, key);
    return out;
}

ra_status forms_list_next(api_call *call, ra_error *err) {
    if (call->request->reply_form == FORM_NDJSON) text_append(&call->response->body, "\n", 1);
    return api_check_reply(call, err);
}

void forms_list_end(api_call *call, size_t count) {
    text *out = &call->response->body;
    if (call->request->reply_form != FORM_NDJSON) {
        json_array_end(out);
        return;
    }
    json_object(out, NULL);
    json_bool(out, "complete", true);
    json_count(out, "lines", count);
}

ra_status forms_reply_tensors(api_call *call, const tensor_list *list, ra_error *err) {
    text *body = &call->response->body;
    begin(call);
    if (call->request->reply_form == FORM_RAW) describe_raw(call, list);
    for (size_t i = 0; i < list->count; i++) {
        if (call->request->reply_form == FORM_NPY)
            RA_TRY(tensors_append_npy(body, &list->at[i], err));
        else
            tensors_append_raw(body, &list->at[i]);
        RA_TRY(api_check_reply(call, err));
    }
    return RA_OK;
}

/* Sends the numbers of call->block from where they are. */
static ra_status send_block(api_call *call, const ra_tensor *tensor, ra_error *err) {
    http_response *response = call->response;
    tensor_list list = {1, {*tensor}};
    void *header = NULL;
    size_t size = 0;
    if (call->request->reply_form == FORM_NPY) {
        RA_TRY(ra_npy_header(tensor, &header, &size, err));
        text_append(&response->body, header, size);
        ra_free(header);
    } else {
        describe_raw(call, &list);
    }
    begin(call);
    response->tail = (http_tail){.data = tensor->data,
                                 .size = ra_tensor_bytes(tensor),
                                 .release = reply_block_give,
                                 .owner = call->block};
    call->block = NULL;
    return api_check_size(response->body.size + response->tail.size, err);
}

ra_status forms_reply_numbers(api_call *call, size_t count, float **values, ra_error *err) {
    size_t bytes;
    if (__builtin_mul_overflow(count, sizeof **values, &bytes) || bytes < REPLIES_LEAST_BYTES ||
        !call->server->replies)
        return scratch_numbers(count, values, err);
    RA_TRY(replies_take(call->server->replies, bytes, &call->block, err));
    *values = call->block->data;
    return RA_OK;
}

ra_status forms_reply_matrix(api_call *call, const char *key, const float *values, size_t rows, size_t cols,
                             ra_error *err) {
    if (call->request->reply_form != FORM_JSON) {
        tensor_list list = {1, {ra_tensor_2d(RA_F32, values, rows, cols)}};
        bool in_block = call->block && call->block->data == values;
        return in_block ? send_block(call, &list.at[0], err) : forms_reply_tensors(call, &list, err);
    }
    text *out = api_json(call);
    json_object(out, NULL);
    json_array(out, key);
    for (size_t row = 0; row < rows; row++) {
        json_floats(out, NULL, values + row * cols, cols);
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}

static void release_dictionary(void *dictionary) {
    served_release(dictionary);
}

static bool dictionary_holds(void *dictionary) {
    return ra_model_check(((served *)dictionary)->model, NULL) == RA_OK;
}

static http_tail tail_of(api_call *call, const void *data, size_t size) {
    return (http_tail){.data = data,
                       .size = size,
                       .release = release_dictionary,
                       .owner = served_retain(call->dictionary),
                       .holds = api_info(call)->mapped ? dictionary_holds : NULL};
}

void forms_reply_artifact(api_call *call) {
    size_t count;
    const ra_bytes *parts = ra_artifact_parts(call->dictionary->artifact, &count);
    begin(call);
    call->response->tail = tail_of(call, parts[0].data, parts[0].size);
    call->response->tail.more = parts + 1;
    call->response->tail.more_count = count - 1;
}

void forms_reply_bytes(api_call *call, const ra_bytes *bytes, const char *content_type) {
    call->response->status = 200;
    call->response->content_type = content_type;
    call->response->tail = tail_of(call, bytes->data, bytes->size);
}

ra_status forms_reply_in_place(api_call *call, const ra_tensor *tensor, ra_error *err) {
    void *header = NULL;
    size_t size = 0;
    tensor_list list = {1, {*tensor}};
    if (call->request->reply_form == FORM_NPY) {
        RA_TRY(ra_npy_header(tensor, &header, &size, err));
    } else {
        describe_raw(call, &list);
    }
    begin(call);
    text_append(&call->response->body, header, size);
    call->response->tail = tail_of(call, tensor->data, ra_tensor_bytes(tensor));
    ra_free(header);
    return RA_OK;
}
