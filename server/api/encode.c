/* The SAE at work: reconstruct, encode, explain.
 *
 * Encode and explain go through a batch in chunks of rows: an SAE without a limit on its active latents may
 * activate all of them, and the codes of a whole batch would not fit into memory.
 */
#include "api/codes.h"
#include "api/fields.h"
#include "api/forms.h"

/* ---- reconstruct --------------------------------------------------------------------------------------- */

static ra_status reconstruct(api_call *call, const ra_codes *codes, ra_error *err) {
    float *x_hat;
    size_t d = api_info(call)->dimensions, numbers = codes->rows * d;
    RA_TRY(forms_reply_numbers(call, numbers, &x_hat, err));
    computation wanted = {.kind = COMPUTE_RECONSTRUCT, .codes = codes, .x_hat = x_hat};
    RA_TRY(api_compute(call, &wanted, err));
    RA_TRY(api_check_finite("reconstructions", x_hat, numbers, err));
    return forms_reply_matrix(call, "reconstructions", x_hat, codes->rows, d, err);
}

ra_status api_reconstruct(api_call *call, ra_error *err) {
    latents_request latents;
    RA_TRY(forms_latents(call, &latents, err));
    ra_status status = reconstruct(call, &latents.codes, err);
    latents_request_release(&latents);
    return status;
}

/* ---- inputs -------------------------------------------------------------------------------------------- */

enum { CHUNK = 256 };

static ra_status parse_inputs(const api_call *call, ra_matrix *inputs, ra_error *err) {
    RA_TRY(api_need_encoder(call, err));
    return forms_inputs(call, inputs, err);
}

static size_t chunk_rows(const ra_matrix *inputs, size_t first) {
    return inputs->rows - first < CHUNK ? inputs->rows - first : CHUNK;
}

/* ---- encode -------------------------------------------------------------------------------------------- */

void code_texts_release(code_texts *texts) {
    text_release(&texts->start);
    text_release(&texts->index);
    text_release(&texts->value);
}

static ra_status add_json(api_call *call, const ra_codes *codes, code_texts *texts, ra_error *err) {
    for (size_t row = 0; row < codes->rows; row++) {
        size_t start = codes->start[row], count = codes->start[row + 1] - start;
        json_indices(&call->response->body, NULL, codes->index + start, count);
        json_floats(&texts->value, NULL, codes->value + start, count);
        RA_TRY(api_check_reply(call, err));
    }
    return RA_OK;
}

static ra_status add_binary(api_call *call, const ra_codes *codes, code_texts *texts, ra_error *err) {
    (void)call;
    size_t entries = ra_codes_entries(codes), before = texts->index.size / sizeof *codes->index;
    for (size_t row = 0; row < codes->rows; row++) {
        int64_t end = (int64_t)(before + codes->start[row + 1]);
        text_append(&texts->start, &end, sizeof end);
    }
    text_append(&texts->index, codes->index, entries * sizeof *codes->index);
    text_append(&texts->value, codes->value, entries * sizeof *codes->value);
    return api_check_size(texts->index.size + texts->value.size, err);
}

typedef ra_status add_codes(api_call *call, const ra_codes *codes, code_texts *texts, ra_error *err);

static ra_status encode_rows(api_call *call, const ra_matrix *inputs, add_codes *add, code_texts *texts,
                             ra_error *err) {
    scratch *own;
    RA_TRY(scratch_get(&own, err));
    for (size_t first = 0; first < inputs->rows; first += CHUNK) {
        ra_codes *codes = &own->codes;
        computation wanted = {.kind = COMPUTE_ENCODE,
                              .x = ra_matrix_row(inputs, first),
                              .rows = chunk_rows(inputs, first),
                              .codes_out = codes};
        RA_TRY(api_compute(call, &wanted, err));
        RA_TRY(api_check_finite("codes", codes->value, ra_codes_entries(codes), err));
        RA_TRY(add(call, codes, texts, err));
    }
    return RA_OK;
}

static ra_status reply_json(api_call *call, const ra_matrix *inputs, code_texts *texts, ra_error *err) {
    text *out = api_json(call), *values = &texts->value;
    json_object(out, NULL);
    json_array(out, "indices");
    RA_TRY(encode_rows(call, inputs, add_json, texts, err));
    json_array_end(out);
    json_array(out, "values");
    text_append(out, values->data, values->size);
    json_array_end(out);
    json_object_end(out);
    out->failed |= values->failed;
    return RA_OK;
}

ra_status code_texts_encode(api_call *call, const ra_matrix *inputs, code_texts *texts, ra_error *err) {
    int64_t zero = 0;
    text_append(&texts->start, &zero, sizeof zero);
    RA_TRY(encode_rows(call, inputs, add_binary, texts, err));
    if (texts->start.failed || texts->index.failed || texts->value.failed)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the codes of a reply");
    return RA_OK;
}

static ra_status reply_binary(api_call *call, const ra_matrix *inputs, code_texts *texts, ra_error *err) {
    RA_TRY(code_texts_encode(call, inputs, texts, err));
    size_t entries = texts->index.size / sizeof(int32_t);
    tensor_list list = {3,
                        {ra_tensor_1d(RA_I64, texts->start.data, inputs->rows + 1),
                         ra_tensor_1d(RA_I32, texts->index.data, entries),
                         ra_tensor_1d(RA_F32, texts->value.data, entries)}};
    return forms_reply_tensors(call, &list, err);
}

ra_status api_encode(api_call *call, ra_error *err) {
    ra_matrix inputs = {0};
    code_texts texts = {0};
    ra_status status;
    bool json = call->request->reply_form == FORM_JSON;
    RA_TRY_OUT(status, parse_inputs(call, &inputs, err));
    RA_TRY_OUT(status, (json ? reply_json : reply_binary)(call, &inputs, &texts, err));
out:
    code_texts_release(&texts);
    ra_matrix_release(&inputs);
    return status;
}

/* ---- explain ------------------------------------------------------------------------------------------- */

typedef struct explain_request {
    ra_matrix inputs;
    size_t k; /* the most concepts of a row; 0: all */
    atom_fields fields;
} explain_request;

static ra_status write_explanation(api_call *call, explain_request *request, const ra_explanation *batch,
                                   size_t row, ra_error *err) {
    text *out = &call->response->body;
    atom_fields *fields = &request->fields;
    size_t first = batch->start[row], count = batch->start[row + 1] - first;
    size_t shown = request->k && request->k < count ? request->k : count;
    json_object(out, NULL);
    json_array(out, "concepts");
    for (size_t i = first; i < first + shown; i++) {
        RA_TRY(fields_read(fields, batch->entries[i].atom, err));
        json_concept(out, fields->model, &batch->entries[i], fields->parts, &fields->numbers);
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    json_count(out, "active", count);
    json_fit(out, batch->residual_norm[row], batch->input_norm[row], batch->r2[row]);
    json_units(out, fields->model);
    json_object_end(out);
    return forms_list_next(call, err);
}

static ra_status explain_rows(api_call *call, explain_request *request, ra_error *err) {
    const ra_matrix *inputs = &request->inputs;
    for (size_t first = 0; first < inputs->rows; first += CHUNK) {
        ra_explanation explanation = {0};
        size_t rows = chunk_rows(inputs, first);
        computation wanted = {.kind = COMPUTE_EXPLAIN,
                              .x = ra_matrix_row(inputs, first),
                              .rows = rows,
                              .explanation = &explanation};
        ra_status status = api_compute(call, &wanted, err);
        for (size_t row = 0; row < rows && status == RA_OK; row++)
            status = write_explanation(call, request, &explanation, row, err);
        ra_explanation_release(&explanation);
        RA_TRY(status);
    }
    return RA_OK;
}

ra_status api_explain(api_call *call, ra_error *err) {
    explain_request request = {.k = 0};
    ra_status status;
    RA_TRY(api_need_encoder(call, err));
    RA_TRY(fields_query(call, ATOM_LABEL, &request.fields, err));
    RA_TRY(forms_explain(call, &request.inputs, &request.k, err));
    text *out = forms_list_begin(call, "explanations");
    RA_TRY_OUT(status, explain_rows(call, &request, err));
    forms_list_end(call, request.inputs.rows);
    json_object_end(out);
out:
    ra_matrix_release(&request.inputs);
    return status;
}
