/* Activations to codes, in blocks of rows: pre-codes are dense, [rows, K], and for a batch of thousands
 * against tens of thousands of atoms they would not fit anywhere. Nothing in evaluation mode looks across
 * rows, so the blocks are independent. */
#include "model/model.h"

/* Finite inputs of absurd size may still overflow on their way. */
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
        RA_FAIL(err, RA_ERR_STATE, "%s holds no encoder: it serves everything but encode and explain",
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
    size_t block = ra_model_encode_block_rows(model, rows);
    ra_status status = RA_OK;
    for (size_t from = 0; from < rows && status == RA_OK; from += block) {
        bool whole = block == rows;
        ra_codes *part = whole ? codes : &workspace->block;
        status = ra_model_encode_block(model, workspace, execution, x + from * d,
                                       rows - from < block ? rows - from : block, part, err);
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
