/* Encode and explain. A batch is worked through in blocks of rows: an SAE without a limit on its active
 * latents may light up all of them, and a whole batch of that would not fit anywhere. */
#include "api/api.h"
#include "codec/json_requests.h"

enum { BLOCK = 256 };

static ra_status parse_inputs(const api_call *call, ra_matrix *inputs, ra_error *err) {
    ra_status status = api_need_encoder(call, err);
    if (status != RA_OK) return status;
    return json_inputs_parse(call->request->body, call->request->body_size, api_info(call)->dimensions,
                             call->engine->max_rows, inputs, err);
}

static size_t block_rows(const ra_matrix *inputs, size_t first) {
    return inputs->rows - first < BLOCK ? inputs->rows - first : BLOCK;
}

/* ---- encode -------------------------------------------------------------------------------------------- */

/* The indices go to the reply as they come, the values to a text of their own that is put behind. */
static ra_status encode_rows(api_call *call, const ra_matrix *inputs, text *values, ra_error *err) {
    scratch *mine = NULL;
    text *out = &call->response->body;
    ra_status status = scratch_get(&mine, err);
    for (size_t first = 0; first < inputs->rows && status == RA_OK; first += BLOCK) {
        ra_codes *codes = &mine->codes;
        status = ra_model_encode(api_model(call), mine->workspace, ra_matrix_row(inputs, first),
                                 block_rows(inputs, first), codes, err);
        if (status == RA_OK) status = api_check_finite("codes", codes->value, ra_codes_entries(codes), err);
        for (size_t row = 0; status == RA_OK && row < codes->rows; row++) {
            size_t start = codes->start[row], count = codes->start[row + 1] - start;
            put_indices(out, codes->index + start, count);
            put_numbers(values, codes->value + start, count);
            status = api_check_reply(call, err);
        }
    }
    return status;
}

ra_status api_encode(api_call *call, ra_error *err) {
    ra_matrix inputs = {0};
    text values = {0}, *out = api_json(call);
    ra_status status = parse_inputs(call, &inputs, err);
    put_open(out, '{');
    put_key(out, "indices");
    put_open(out, '[');
    put_open(&values, '[');
    if (status == RA_OK) status = encode_rows(call, &inputs, &values, err);
    put_close(out, ']');
    put_close(&values, ']');
    put_key(out, "values");
    text_append(out, values.data, values.size);
    put_close(out, '}');
    out->failed |= values.failed;
    text_release(&values);
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
    put_open(out, '{');
    put_key(out, "concepts");
    put_open(out, '[');
    for (size_t i = all->start[row]; i < all->start[row + 1] && status == RA_OK; i++) {
        const ra_contribution *entry = &all->entries[i];
        json_concept(out, entry, ra_model_atom_label(model, entry->atom), archetypes,
                     ra_model_atom_archetypes(model, entry->atom, archetypes, width));
        status = api_check_reply(call, err);
    }
    put_close(out, ']');
    json_fit(out, all->residual_norm[row], all->input_norm[row], all->r2[row]);
    put_close(out, '}');
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
        status = ra_model_explain(api_model(call), mine->workspace, ra_matrix_row(inputs, first), rows,
                                  &explanation, err);
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
    put_open(out, '{');
    put_key(out, "explanations");
    put_open(out, '[');
    if (status == RA_OK) status = explain_rows(call, &inputs, err);
    put_close(out, ']');
    put_close(out, '}');
    ra_matrix_release(&inputs);
    return status;
}
