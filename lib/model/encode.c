/* Activations to codes, in blocks of rows: pre-codes are dense, [rows, K], and for a batch of thousands
 * against tens of thousands of atoms they would not fit anywhere. Nothing in evaluation mode looks across
 * rows, so the blocks are independent. */
#include "model/model.h"

#include <math.h>
#include <string.h>

/* Room for `rows` rows and `entries` entries in all, keeping what is there. */
static ra_status grow(ra_codes *all, size_t rows, size_t entries, ra_error *err) {
    if (rows + 1 > all->row_capacity) {
        size_t *start = ra_realloc(all->start, rows + 1, sizeof *start);
        if (!start) RA_FAIL_MEMORY(err, "sparse codes", (rows + 1) * sizeof *start);
        all->start = start;
        all->row_capacity = rows + 1;
    }
    if (entries > all->entry_capacity) {
        size_t capacity = entries + entries / 2;
        int32_t *index = ra_realloc(all->index, capacity, sizeof *index);
        if (!index) RA_FAIL_MEMORY(err, "sparse codes", capacity * sizeof *index);
        all->index = index;
        float *value = ra_realloc(all->value, capacity, sizeof *value);
        if (!value) RA_FAIL_MEMORY(err, "sparse codes", capacity * sizeof *value);
        all->value = value;
        all->entry_capacity = capacity;
    }
    return RA_OK;
}

static ra_status append(ra_codes *all, const ra_codes *block, ra_error *err) {
    size_t used = ra_codes_entries(all), entries = ra_codes_entries(block);
    RA_TRY(grow(all, all->rows + block->rows, used + entries, err));
    if (entries) {
        memcpy(all->index + used, block->index, entries * sizeof *block->index);
        memcpy(all->value + used, block->value, entries * sizeof *block->value);
    }
    for (size_t b = 0; b < block->rows; b++) all->start[all->rows + b + 1] = used + block->start[b + 1];
    all->rows += block->rows;
    return RA_OK;
}

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
        if (status == RA_OK && !whole) status = append(codes, part, err);
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
