#include "api/forms.h"
#include "ra_io.h"
#include "ra_memory.h"

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

ra_status forms_search(const api_call *call, search_request *search, ra_error *err) {
    const http_request *request = call->request;
    ra_status status;
    *search = (search_request){.k = SEARCH_DEFAULT_K, .metric = RA_SIMILARITY_COSINE};
    if (request->body_form == FORM_JSON)
        RA_TRY(json_search_parse(request->body, request->body_size, api_info(call)->dimensions,
                                 call->server->max_rows, search, err));
    else
        RA_TRY(binary_matrix(call, "vectors", &search->vectors, err));
    ra_similarity metric = (ra_similarity)search->metric;
    RA_TRY_OUT(status, api_query_count(call, "k", search->k, 1, SIZE_MAX, &search->k, err));
    RA_TRY_OUT(status, api_query_metric(call, metric, &metric, err));
    search->metric = metric;
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

ra_status forms_reply_matrix(api_call *call, const char *key, const float *values, size_t rows, size_t cols,
                             ra_error *err) {
    if (call->request->reply_form != FORM_JSON) {
        tensor_list list = {1, {ra_tensor_2d(RA_F32, values, rows, cols)}};
        return forms_reply_tensors(call, &list, err);
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

static void release_model(void *model) {
    ra_model_release(model);
}

static bool model_holds(void *model) {
    return ra_model_check(model, NULL) == RA_OK;
}

void forms_reply_after(api_call *call, const void *header, size_t size, const ra_tensor *tensor) {
    begin(call);
    text_append(&call->response->body, header, size);
    call->response->tail = (http_tail){.data = tensor->data,
                                       .size = ra_tensor_bytes(tensor),
                                       .release = release_model,
                                       .owner = ra_model_retain(call->dictionary->model),
                                       .holds = api_info(call)->mapped ? model_holds : NULL};
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
    forms_reply_after(call, header, size, tensor);
    ra_free(header);
    return RA_OK;
}
