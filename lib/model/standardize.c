/* The two spaces of a model that was trained on standardized activations. Encoder and dictionary belong to
 * the standardized one; inputs and reconstructions are in the units of the data. All conversion is here. A
 * model without a standardization has one space, and nothing is copied. */
#include "model/model.h"
#include "tensor/vectors.h"

#include <string.h>

/* The bias b of a decoder makes x_hat = (z D + b) scale + mean, and where it is subtracted from the inputs, too, the
 * encoder sees (x - mean) / scale - b. So it moves the mean, and nothing else needs to know of it. */
static ra_status add_bias(ra_model *model, ra_error *err) {
    size_t d = model->info.dimensions;
    void *memory = NULL;
    RA_TRY(ra_model_allocate(model, "the bias of the decoder", 2 * d, sizeof(float), &memory, err));
    float *mean = memory, *scale = mean + d;
    for (size_t j = 0; j < d; j++) {
        scale[j] = model->file_scale ? model->file_scale[j] : 1;
        mean[j] = (float)((double)model->output_bias[j] * (double)scale[j] +
                          (model->file_mean ? (double)model->file_mean[j] : 0));
    }
    model->input_mean = mean;
    model->input_scale = scale;
    return RA_OK;
}

/* An encoder that sees the inputs themselves computes E (u + b) of u, what is left when b is subtracted: its bias takes
 * up E b. */
static ra_status restore_inputs(ra_model *model, ra_error *err) {
    ra_encoder_weights *encoder = &model->encoder;
    size_t K = model->info.concepts, d = model->info.dimensions;
    void *memory = NULL;
    if (!ra_encoder_has_tensor(encoder->kind, RA_ENCODER_BIAS))
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: matching pursuit with a bias of the decoder that is not subtracted from the inputs is "
                "not supported",
                model->info.path);
    if (model->hidden)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: hidden layers with a bias of the decoder that is not subtracted from the inputs are not "
                "supported",
                model->info.path);
    RA_TRY(ra_model_allocate(model, "the bias of the encoder", K, sizeof(float), &memory, err));
    float *bias = memory;
    for (size_t k = 0; k < K; k++)
        bias[k] = (float)((double)encoder->tensor[RA_ENCODER_BIAS][k] +
                          ra_dot_f64(encoder->tensor[RA_ENCODER_WEIGHT] + k * d, model->output_bias, d));
    model->encoder_bias = encoder->tensor[RA_ENCODER_BIAS];
    encoder->tensor[RA_ENCODER_BIAS] = bias;
    return RA_OK;
}

static ra_status open_bias(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const ra_tensor *bias = ra_safetensors_find(file, "output.bias");
    if (!bias) return RA_OK;
    RA_TRY(ra_model_check_tensor(model->info.path, "output.bias", bias, RA_MODEL_ANY_FLOAT, 1,
                                 model->info.dimensions, 0, err));
    RA_TRY(ra_model_check_finite(model, "output.bias", bias, err));
    RA_TRY(ra_model_keep_f32(model, "the bias of the decoder", bias, &model->output_bias, err));
    if (model->info.has_encoder) RA_TRY(ra_model_need_setting(model, RA_SET_CENTER_INPUT, err));
    if (model->info.has_encoder && !model->info.settings.center_input) RA_TRY(restore_inputs(model, err));
    return add_bias(model, err);
}

ra_status ra_model_open_standardization(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const float *mean, *scale;
    size_t d = model->info.dimensions;
    RA_TRY(ra_standardization_find(file, d, &mean, &scale, err));
    if (mean) {
        const ra_tensor tensors[] = {ra_tensor_1d(RA_F32, mean, d), ra_tensor_1d(RA_F32, scale, d)};
        RA_TRY(ra_model_keep_f32(model, "the standardization", &tensors[0], &model->file_mean, err));
        RA_TRY(ra_model_keep_f32(model, "the standardization", &tensors[1], &model->file_scale, err));
    }
    model->input_mean = model->file_mean;
    model->input_scale = model->file_scale;
    return open_bias(model, file, err);
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
