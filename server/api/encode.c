/* Encode and explain. A batch is worked through in blocks of rows: an SAE without a limit on its active
 * latents may light up all of them, and a whole batch of that would not fit anywhere. */
#include "api/forms.h"

enum { BLOCK = 256 };

static ra_status parse_inputs(const api_call *call, ra_matrix *inputs, ra_error *err) {
    ra_status status = api_need_encoder(call, err);
    if (status != RA_OK) return status;
    return forms_inputs(call, inputs, err);
}

static size_t block_rows(const ra_matrix *inputs, size_t first) {
    return inputs->rows - first < BLOCK ? inputs->rows - first : BLOCK;
}

/* ---- encode -------------------------------------------------------------------------------------------- */

/* Codes as they are collected, block after block. In JSON start is not used, and indices go straight to the
 * reply; otherwise these are the bytes of three tensors. */
typedef struct code_texts {
    text start, index, value;
} code_texts;

static void release(code_texts *texts) {
    text_release(&texts->start);
    text_release(&texts->index);
    text_release(&texts->value);
}

static ra_status add_json(api_call *call, const ra_codes *codes, code_texts *texts, ra_error *err) {
    ra_status status = RA_OK;
    for (size_t row = 0; status == RA_OK && row < codes->rows; row++) {
        size_t start = codes->start[row], count = codes->start[row + 1] - start;
        json_indices(&call->response->body, NULL, codes->index + start, count);
        json_floats(&texts->value, NULL, codes->value + start, count);
        status = api_check_reply(call, err);
    }
    return status;
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

static ra_status encode_rows(api_call *call, const ra_matrix *inputs, code_texts *texts, ra_error *err) {
    scratch *mine = NULL;
    bool json = call->request->reply_form == FORM_JSON;
    ra_status status = scratch_get(&mine, err);
    for (size_t first = 0; first < inputs->rows && status == RA_OK; first += BLOCK) {
        ra_codes *codes = &mine->codes;
        computation wanted = {.kind = COMPUTE_ENCODE,
                              .x = ra_matrix_row(inputs, first),
                              .rows = block_rows(inputs, first),
                              .codes_out = codes};
        status = api_compute(call, &wanted, err);
        if (status == RA_OK) status = api_check_finite("codes", codes->value, ra_codes_entries(codes), err);
        if (status == RA_OK) status = (json ? add_json : add_binary)(call, codes, texts, err);
    }
    return status;
}

static ra_status reply_json(api_call *call, const ra_matrix *inputs, code_texts *texts, ra_error *err) {
    text *out = api_json(call), *values = &texts->value;
    json_object(out, NULL);
    json_array(out, "indices");
    ra_status status = encode_rows(call, inputs, texts, err);
    json_array_end(out);
    json_array(out, "values");
    text_append(out, values->data, values->size);
    json_array_end(out);
    json_object_end(out);
    out->failed |= values->failed;
    return status;
}

static ra_status reply_binary(api_call *call, const ra_matrix *inputs, code_texts *texts, ra_error *err) {
    int64_t zero = 0;
    text_append(&texts->start, &zero, sizeof zero);
    ra_status status = encode_rows(call, inputs, texts, err);
    if (status != RA_OK) return status;
    if (texts->start.failed || texts->index.failed || texts->value.failed)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the codes of a reply");
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
    ra_status status = parse_inputs(call, &inputs, err);
    if (status == RA_OK)
        status =
            (call->request->reply_form == FORM_JSON ? reply_json : reply_binary)(call, &inputs, &texts, err);
    release(&texts);
    ra_matrix_release(&inputs);
    return status;
}

/* ---- explain ------------------------------------------------------------------------------------------- */

static ra_status write_explanation(api_call *call, const ra_explanation *all, size_t row,
                                   ra_archetype *archetypes, ra_error *err) {
    const ra_model *model = api_model(call);
    size_t width = api_info(call)->archetypes;
    text *out = &call->response->body;
    ra_status status = RA_OK;
    json_object(out, NULL);
    json_array(out, "concepts");
    for (size_t i = all->start[row]; i < all->start[row + 1] && status == RA_OK; i++) {
        const ra_contribution *entry = &all->entries[i];
        json_concept(out, entry, ra_model_atom_label(model, entry->atom), archetypes,
                     ra_model_atom_archetypes(model, entry->atom, archetypes, width));
        status = api_check_reply(call, err);
    }
    json_array_end(out);
    json_fit(out, all->residual_norm[row], all->input_norm[row], all->r2[row]);
    json_object_end(out);
    return status;
}

static ra_status explain_rows(api_call *call, const ra_matrix *inputs, ra_error *err) {
    scratch *mine = NULL;
    void *archetypes = NULL;
    ra_status status = scratch_get(&mine, err);
    if (status == RA_OK)
        status = scratch_reserve(mine, SCRATCH_ARCHETYPES, api_info(call)->archetypes, sizeof(ra_archetype),
                                 &archetypes, err);
    for (size_t first = 0; first < inputs->rows && status == RA_OK; first += BLOCK) {
        ra_explanation explanation = {0};
        size_t rows = block_rows(inputs, first);
        computation wanted = {.kind = COMPUTE_EXPLAIN,
                              .x = ra_matrix_row(inputs, first),
                              .rows = rows,
                              .explanation = &explanation};
        status = api_compute(call, &wanted, err);
        for (size_t row = 0; row < rows && status == RA_OK; row++)
            status = write_explanation(call, &explanation, row, archetypes, err);
        ra_explanation_release(&explanation);
    }
    return status;
}

ra_status api_explain(api_call *call, ra_error *err) {
    ra_matrix inputs = {0};
    text *out = api_json(call);
    ra_status status = parse_inputs(call, &inputs, err);
    json_object(out, NULL);
    json_array(out, "explanations");
    if (status == RA_OK) status = explain_rows(call, &inputs, err);
    json_array_end(out);
    json_object_end(out);
    ra_matrix_release(&inputs);
    return status;
}
