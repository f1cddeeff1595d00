/* Encoder and activation of both kinds of file. A file without an encoder is a bare dictionary, a model that
 * cannot encode and explain. Tensors that are not known were refused before (sae/tensors.c). */
#include "model/hidden.h"
#include "model/model.h"

#include <string.h>

static void settle_kind(ra_model *model, ra_encoder_kind kind) {
    ra_sae_settings *settings = &model->info.settings;
    settings->encoder = (int)kind;
    settings->known |= UINT32_C(1) << RA_SET_ENCODER;
    model->encoder.kind = kind;
    model->encoder.concepts = model->info.concepts;
    model->encoder.dimensions = model->info.dimensions;
}

/* The weight as the file has it, for a device; of a checkpoint, which is not kept open, there is none. */
static void keep_half(ra_model *model, const ra_tensor *weight) {
    if (!model->file || weight->dtype == RA_F32) return;
    model->encoder.half = weight->data;
    model->encoder.half_type = weight->dtype;
}

/* Tied encoders and pursuits encode with D in float32: a narrower D is converted here, once; a tied encoder on a device
 * has no need of that. The D of a checkpoint is float32, and computed after this. */
static ra_status use_dictionary(ra_model *model, ra_error *err) {
    const float **weight = &model->encoder.tensor[RA_ENCODER_WEIGHT];
    if (!ra_activation_types[model->activation.kind]->pursues) keep_half(model, &model->dictionary);
    if (model->dictionary.dtype != RA_F32)
        return ra_model_keep_f32(model, "the encoder", &model->dictionary, weight, err);
    *weight = model->dictionary.data;
    return RA_OK;
}

/* A bias that the encoder may lack. */
static ra_status zero_bias(ra_model *model, ra_error *err) {
    void *memory = NULL;
    size_t concepts = model->info.concepts;
    RA_TRY(ra_model_allocate(model, "the encoder", concepts, sizeof(float), &memory, err));
    memset(memory, 0, concepts * sizeof(float));
    model->encoder.tensor[RA_ENCODER_BIAS] = memory;
    return RA_OK;
}

/* An RMSNorm is applied as a BatchNorm of these: mean and beta 0, rstd 1 (ra_encoder_scale). */
static ra_status complete_rms_norm(ra_model *model, ra_error *err) {
    void *memory = NULL;
    size_t concepts = model->info.concepts;
    RA_TRY(ra_model_allocate(model, "the encoder", 2 * concepts, sizeof(float), &memory, err));
    float *zeros = memset(memory, 0, 2 * concepts * sizeof(float)), *ones = zeros + concepts;
    for (size_t k = 0; k < concepts; k++) ones[k] = 1;
    model->encoder.tensor[RA_ENCODER_RUNNING_MEAN] = zeros;
    model->encoder.tensor[RA_ENCODER_NORM_BIAS] = zeros;
    model->encoder.rstd = ones;
    return RA_OK;
}

static ra_status keep_rstd(ra_model *model, const float *variance, ra_error *err) {
    void *memory = NULL;
    size_t concepts = model->info.concepts;
    RA_TRY(ra_model_allocate(model, "the encoder", concepts, sizeof(float), &memory, err));
    ra_encoder_rstd(variance, memory, concepts);
    model->encoder.rstd = memory;
    return RA_OK;
}

static ra_status open_weights(ra_model *model, const ra_safetensors *file, ra_error *err) {
    ra_encoder_weights *encoder = &model->encoder;
    if (!ra_encoder_has_tensor(encoder->kind, RA_ENCODER_WEIGHT)) RA_TRY(use_dictionary(model, err));
    for (size_t i = 0; i < RA_ENCODER_TENSORS; i++) {
        ra_tensor tensor;
        if (!ra_encoder_has_tensor(encoder->kind, i)) continue;
        if (ra_encoder_tensor_is_optional(file, encoder->kind, i) &&
            !ra_safetensors_find(file, ra_encoder_tensor_names[i])) {
            RA_TRY(zero_bias(model, err));
            continue;
        }
        RA_TRY(ra_encoder_tensor_get(file, encoder->kind, i, encoder->concepts, encoder->dimensions, &tensor,
                                     err));
        RA_TRY(ra_model_check_finite(model, ra_encoder_tensor_names[i], &tensor, err));
        RA_TRY(ra_model_keep_f32(model, "the encoder", &tensor, &encoder->tensor[i], err));
        if (i == RA_ENCODER_WEIGHT) keep_half(model, &tensor);
    }
    if (ra_encoder_norm(encoder->kind) == RA_ENCODER_RMS_NORM) RA_TRY(complete_rms_norm(model, err));
    const float *variance = encoder->tensor[RA_ENCODER_RUNNING_VAR];
    for (size_t k = 0; variance && k < encoder->concepts; k++)
        if (variance[k] < 0)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %g at [%zu]; expected variances of at least 0",
                    model->info.path, ra_encoder_tensor_names[RA_ENCODER_RUNNING_VAR], (double)variance[k],
                    k);
    return variance ? keep_rstd(model, variance, err) : RA_OK;
}

/* theta, and the thresholds exp(theta) that evaluation compares with; or those alone, as other programs have them. */
static ra_status open_thresholds(ra_model *model, const ra_safetensors *file, ra_error *err) {
    ra_tensor theta;
    void *memory = NULL;
    size_t concepts = model->info.concepts;
    const ra_tensor *values = ra_safetensors_find(file, "thresholds.value");
    if (values) {
        RA_TRY(ra_model_check_tensor(model->info.path, "thresholds.value", values, RA_MODEL_ANY_FLOAT, 1,
                                     concepts, 0, err));
        RA_TRY(ra_model_check_finite(model, "thresholds.value", values, err));
        return ra_model_keep_f32(model, "the thresholds", values, &model->activation.thresholds, err);
    }
    RA_TRY(ra_safetensors_get(file, "thresholds", &theta, err));
    RA_TRY(ra_model_check_tensor(model->info.path, "thresholds", &theta, RA_MODEL_ANY_FLOAT, 1, concepts, 0,
                                 err));
    RA_TRY(ra_model_check_finite(model, "thresholds", &theta, err));
    RA_TRY(ra_model_keep_f32(model, "the thresholds", &theta, &model->activation.theta, err));
    RA_TRY(ra_model_allocate(model, "the thresholds", concepts, sizeof(float), &memory, err));
    ra_activation_thresholds(model->activation.theta, memory, concepts);
    model->activation.thresholds = memory;
    return RA_OK;
}

ra_status ra_model_open_encoder(ra_model *model, const ra_safetensors *file, ra_error *err) {
    bool found;
    ra_encoder_kind kind;
    RA_TRY(ra_encoder_find(file, &model->info.settings, &found, &kind, err));
    if (!found) return RA_OK;
    RA_TRY(ra_model_need_setting(model, RA_SET_SAE, err));
    settle_kind(model, kind);
    RA_TRY(ra_activation_init(&model->activation, &model->info.settings, model->info.concepts, false,
                              model->info.path, err));
    RA_TRY(ra_model_open_hidden(model, file, err));
    RA_TRY(open_weights(model, file, err));
    if (ra_activation_types[model->activation.kind]->has_thresholds)
        RA_TRY(open_thresholds(model, file, err));
    model->info.has_encoder = true;
    return RA_OK;
}
