#include "model/moving.h"
#include "tensor/vectors.h"

ra_status ra_moving_reserve(const ra_model *model, ra_workspace *workspace, ra_moving *moving,
                            ra_error *err) {
    size_t d = model->info.dimensions;
    void *memory = NULL;
    RA_TRY(ra_scratch_reserve(&workspace->shift, "rows that are moved", d,
                              (RA_MOVING_ROWS + 1) * sizeof(double) + sizeof(float), &memory, err));
    double *rows = memory;
    *moving =
        (ra_moving){.model = model, .dimensions = d, .rows = rows, .direction = rows + RA_MOVING_ROWS * d};
    moving->widened = (float *)(moving->direction + d);
    return RA_OK;
}

void ra_moving_load(ra_moving *moving, const float *x, size_t rows) {
    for (size_t i = 0; i < rows * moving->dimensions; i++) moving->rows[i] = (double)x[i];
}

const double *ra_moving_direction(ra_moving *moving, size_t atom) {
    const ra_model *model = moving->model;
    size_t d = moving->dimensions;
    const float *vector =
        ra_row_widen(model->dictionary.dtype, ra_tensor_row(&model->dictionary, atom), 0, d, moving->widened);
    for (size_t j = 0; j < d; j++)
        moving->direction[j] = (double)vector[j] * (model->input_scale ? (double)model->input_scale[j] : 1);
    return moving->direction;
}

void ra_moving_add(ra_moving *moving, size_t row, double factor) {
    double *at = moving->rows + row * moving->dimensions;
    for (size_t j = 0; j < moving->dimensions; j++) at[j] += factor * moving->direction[j];
}

ra_status ra_moving_store(const ra_moving *moving, size_t first, size_t rows, float *out, ra_error *err) {
    size_t d = moving->dimensions, n = rows * d;
    for (size_t i = 0; i < n; i++) out[i] = (float)moving->rows[i];
    size_t bad = ra_find_not_finite(out, n);
    if (bad == n) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE, "the output for input %zu is beyond float32 at position %zu",
            first + bad / d, bad % d);
}
