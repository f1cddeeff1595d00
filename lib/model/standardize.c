/* The two spaces of a model that was trained on standardized activations. Encoder and dictionary belong to
 * the standardized one; inputs and reconstructions are in the units of the data. All conversion is here. A
 * model without a standardization has one space, and nothing is copied. */
#include "model/model.h"
#include "tensor/vectors.h"

#include <string.h>

ra_status ra_model_open_standardization(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const float *mean, *scale;
    size_t d = model->info.dimensions;
    RA_TRY(ra_standardization_find(file, d, &mean, &scale, err));
    if (!mean) return RA_OK;
    const ra_tensor tensors[] = {ra_tensor_1d(RA_F32, mean, d), ra_tensor_1d(RA_F32, scale, d)};
    RA_TRY(ra_model_keep_f32(model, "the standardization", &tensors[0], &model->input_mean, err));
    return ra_model_keep_f32(model, "the standardization", &tensors[1], &model->input_scale, err);
}

bool ra_model_standardization(const ra_model *model, const float **mean, const float **scale) {
    *mean = model->input_mean;
    *scale = model->input_scale;
    return model->input_mean != NULL;
}

static ra_status standardize_in_place(const ra_model *model, float *x, size_t rows, ra_error *err) {
    size_t d = model->info.dimensions, n = rows * d;
    ra_standardize_rows(x, rows, d, model->input_mean, model->input_scale);
    size_t bad = ra_find_not_finite(x, n);
    if (bad == n) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE, "input %zu is beyond float32 at position %zu once it is standardized",
            bad / d, bad % d);
}

ra_status ra_model_standardize(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                               const float **standardized, ra_error *err) {
    size_t d = model->info.dimensions, n = rows * d;
    void *values = NULL;
    *standardized = x;
    if (!model->input_mean || rows == 0) return RA_OK;
    RA_TRY(ra_scratch_reserve(&workspace->input, "standardized inputs", n, sizeof(float), &values, err));
    memcpy(values, x, n * sizeof(float));
    *standardized = values;
    return standardize_in_place(model, values, rows, err);
}

ra_status ra_model_standardize_inputs(const ra_model *model, float *x, size_t rows, ra_error *err) {
    RA_TRY(ra_model_check_rows("input", x, rows, model->info.dimensions, err));
    return model->input_mean ? standardize_in_place(model, x, rows, err) : RA_OK;
}

ra_status ra_model_direction(const ra_model *model, size_t atom, float *direction, ra_error *err) {
    size_t d = model->info.dimensions;
    RA_TRY(ra_model_atom(model, atom, direction, err));
    for (size_t j = 0; model->input_scale && j < d; j++) direction[j] *= model->input_scale[j];
    size_t bad = ra_find_not_finite(direction, d);
    if (bad == d) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE, "atom %zu is beyond float32 at position %zu in the units of the data",
            atom, bad);
}

void ra_model_unstandardize(const ra_model *model, float *x, size_t rows) {
    if (model->input_mean)
        ra_unstandardize_rows(x, rows, model->info.dimensions, model->input_mean, model->input_scale);
}
