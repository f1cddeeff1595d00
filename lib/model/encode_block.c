/* One block of activations to codes: what an SAE is in evaluation mode, in the operations of a backend.
 * Nothing is waited for but the codes. */
#include "model/model.h"

enum { PRE_BYTES = 64 << 20, MOST_ROWS = 4096 }; /* of a block */

enum { INPUTS, PRE, STATISTICS, SPANS };

size_t ra_model_encode_block_rows(const ra_model *model, size_t rows) {
    size_t block = PRE_BYTES / sizeof(float) / model->info.concepts;
    if (block > MOST_ROWS) block = MOST_ROWS;
    if (block > rows) block = rows;
    return block < 1 ? 1 : block;
}

static void measure_spans(const ra_model *model, bool remote, size_t rows, ra_span *spans) {
    bool by_row = model->encoder.kind == RA_ENCODER_MLP_LN_1;
    spans[INPUTS] = (ra_span){.bytes = remote ? rows * model->info.dimensions * sizeof(float) : 0};
    spans[PRE] = (ra_span){.bytes = rows * model->info.concepts * sizeof(float)};
    spans[STATISTICS] = (ra_span){.bytes = by_row ? 2 * rows * sizeof(float) : 0};
}

size_t ra_model_encode_scratch(const ra_model *model) {
    ra_span spans[SPANS];
    if (!model->info.has_encoder) return 0;
    measure_spans(model, true, ra_model_encode_block_rows(model, MOST_ROWS), spans);
    return ra_spans_bytes(spans, SPANS);
}

/* Atoms, values and residuals. */
size_t ra_model_pursuit_scratch(const ra_model *model) {
    if (!model->info.has_encoder || !ra_activation_types[model->activation.kind]->pursues) return 0;
    size_t rows = ra_model_encode_block_rows(model, MOST_ROWS);
    return rows * (2 * model->activation.top_k + model->info.dimensions) * sizeof(float);
}

ra_status ra_model_encode_block(const ra_model *model, ra_workspace *workspace, ra_execution *execution,
                                const float *x, size_t rows, ra_codes *codes, ra_error *err) {
    const ra_encoder_weights *encoder = &model->resident.encoder;
    const ra_activation *activation = &model->resident.activation;
    const ra_activation_type *type = ra_activation_types[activation->kind];
    size_t d = model->info.dimensions, K = model->info.concepts;
    ra_span spans[SPANS];
    measure_spans(model, execution->remote, rows, spans);
    RA_TRY(ra_execution_reserve(execution, "pre-codes", spans, SPANS, err));
    float *pre = spans[PRE].at;
    RA_TRY(ra_execution_upload(execution, x, rows * d, &spans[INPUTS], &x, err));
    RA_TRY(ra_encoder_evaluate(execution->stream, encoder, x, rows, spans[STATISTICS].at, pre, err));
    if (type->pursues)
        return ra_pursuit_run(&workspace->pursuit, execution->stream, encoder->tensor[RA_ENCODER_WEIGHT], K,
                              d, x, rows, activation->top_k, false, pre, codes, err);
    return type->evaluate(activation, execution->stream, pre, rows, K, codes, err);
}
