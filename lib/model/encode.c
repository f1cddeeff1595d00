/* Activations to codes: the SAE in evaluation mode, with the operations of a backend.
 *
 * The rows are encoded in chunks, because pre-codes are dense, [rows, K]: those of thousands of rows and tens
 * of thousands of atoms would not fit into memory. In evaluation mode no row depends on another. */
#include "model/hidden.h"
#include "model/model.h"
#include "tensor/dots.h"

#include <string.h>

enum { PRE_BYTES = 64 << 20, MOST_ROWS = 4096 }; /* of a chunk */

enum { INPUTS, PRE, STATISTICS, WIDENED, SPANS };

static size_t rows_at_a_time(const ra_model *model, size_t rows) {
    size_t chunk = PRE_BYTES / sizeof(float) / model->info.concepts;
    if (chunk > MOST_ROWS) chunk = MOST_ROWS;
    if (chunk > rows) chunk = rows;
    return chunk < 1 ? 1 : chunk;
}

static void measure_spans(const ra_model *model, bool remote, size_t rows, ra_span *spans) {
    bool by_row = ra_encoder_norm(model->encoder.kind) == RA_ENCODER_LAYER_NORM;
    size_t inputs = model->encoder.dimensions;
    spans[INPUTS] = (ra_span){.bytes = remote ? rows * inputs * sizeof(float) : 0};
    spans[PRE] = (ra_span){.bytes = rows * model->info.concepts * sizeof(float)};
    spans[STATISTICS] = (ra_span){.bytes = by_row ? 2 * rows * sizeof(float) : 0};
    spans[WIDENED] = (ra_span){.bytes = remote ? ra_encoder_widened_bytes(&model->encoder) : 0};
}

size_t ra_model_encode_scratch(const ra_model *model) {
    ra_span spans[SPANS];
    if (!model->info.has_encoder) return 0;
    measure_spans(model, true, rows_at_a_time(model, MOST_ROWS), spans);
    return ra_spans_bytes(spans, SPANS);
}

/* Atoms, values and residuals of a pursuit. */
size_t ra_model_pursuit_scratch(const ra_model *model) {
    if (!model->info.has_encoder || !ra_activation_types[model->activation.kind]->pursues) return 0;
    size_t rows = rows_at_a_time(model, MOST_ROWS);
    return rows * (2 * model->activation.top_k + model->info.dimensions) * sizeof(float);
}

ra_status ra_model_encoder_vector(const ra_model *model, size_t latent, float *vector, ra_error *err) {
    const ra_encoder_weights *encoder = &model->encoder;
    size_t d = model->info.dimensions;
    if (!model->info.has_encoder) RA_FAIL(err, RA_ERR_STATE, "%s has no encoder", model->info.path);
    if (model->hidden)
        RA_FAIL(err, RA_ERR_STATE, "%s has an encoder with hidden layers, in which a latent has no vector",
                model->info.path);
    RA_TRY(ra_model_atom(model, latent, vector, err));
    if (ra_encoder_has_tensor(encoder->kind, RA_ENCODER_WEIGHT))
        memcpy(vector, encoder->tensor[RA_ENCODER_WEIGHT] + latent * d, d * sizeof *vector);
    for (size_t j = 0; model->input_scale && j < d; j++) vector[j] /= model->input_scale[j];
    return RA_OK;
}

static ra_status encode_chunk(const ra_model *model, ra_workspace *workspace, ra_execution *execution,
                              const float *x, size_t rows, ra_codes *codes, ra_error *err) {
    const ra_encoder_weights *encoder = &model->resident.encoder;
    const ra_activation *activation = &model->resident.activation;
    const ra_activation_type *type = ra_activation_types[activation->kind];
    size_t d = encoder->dimensions, K = model->info.concepts;
    ra_span spans[SPANS];
    RA_TRY(ra_model_apply_hidden(model, workspace, x, rows, &x, err));
    measure_spans(model, execution->remote, rows, spans);
    RA_TRY(ra_execution_reserve(execution, "pre-codes", spans, SPANS, err));
    float *pre = spans[PRE].at;
    RA_TRY(ra_execution_upload(execution, x, rows * d, &spans[INPUTS], &x, err));
    RA_TRY(ra_encoder_evaluate(execution->stream, encoder, x, rows, spans[STATISTICS].at, spans[WIDENED].at,
                               pre, err));
    if (type->pursues)
        return ra_pursuit_run(&workspace->pursuit, execution->stream, encoder->tensor[RA_ENCODER_WEIGHT], K,
                              d, x, rows, activation->top_k, false, pre, codes, err);
    return type->evaluate(activation, execution->stream, pre, rows, K, codes, err);
}

/* Each product is one of rows with a transposed matrix. */
size_t ra_model_rows_as_alone(const ra_model *model) {
    return ra_backend_host_memory(model->backend) ? ra_dots_most_rows(model->info.dimensions) : SIZE_MAX;
}

/* ---- all rows ----------------------------------------------------------------------------------------- */

/* Very large inputs may overflow on the way to codes. */
static ra_status check_values(const ra_codes *codes, ra_error *err) {
    size_t entries = ra_codes_entries(codes), bad = ra_find_not_finite(codes->value, entries), row = 0;
    if (bad == entries) return RA_OK;
    while (codes->start[row + 1] <= bad) row++;
    RA_FAIL(err, RA_ERR_NOT_FINITE,
            "the code of latent %d for input %zu is not finite: the input is too large", codes->index[bad],
            row);
}

ra_status ra_model_take_inputs(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                               const float **inputs, ra_error *err) {
    if (!model->info.has_encoder)
        RA_FAIL(
            err, RA_ERR_STATE,
            "%s has no encoder, so it cannot encode or explain (if it is an MpSAE, give --sae mp; an OMPSAE "
            "is not supported)",
            model->info.path);
    RA_TRY(ra_model_check_rows("input", x, rows, model->info.dimensions, err));
    return ra_model_standardize(model, workspace, x, rows, inputs, err);
}

ra_status ra_model_encode_inputs(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                                 ra_codes *codes, ra_error *err) {
    size_t concepts = model->info.concepts, d = model->info.dimensions;
    RA_TRY(ra_codes_reserve(codes, 0, concepts, 0, err));
    if (rows == 0) return RA_OK;
    ra_execution *execution = NULL;
    RA_TRY(ra_execution_open(&workspace->executions, model->backend, &execution, err));
    size_t chunk = rows_at_a_time(model, rows);
    ra_status status = RA_OK;
    for (size_t from = 0; from < rows && status == RA_OK; from += chunk) {
        bool whole = chunk == rows;
        ra_codes *part = whole ? codes : &workspace->chunk;
        status = ra_workspace_check(workspace, err);
        if (status == RA_OK)
            status = encode_chunk(model, workspace, execution, x + from * d,
                                  rows - from < chunk ? rows - from : chunk, part, err);
        if (status == RA_OK && !whole) status = ra_codes_append(codes, part, err);
    }
    RA_TRY(ra_execution_finish(execution, status));
    return check_values(codes, err);
}

ra_status ra_model_encode(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                          ra_codes *codes, ra_error *err) {
    const float *inputs;
    RA_TRY(ra_model_take_inputs(model, workspace, x, rows, &inputs, err));
    return ra_model_encode_inputs(model, workspace, inputs, rows, codes, err);
}
