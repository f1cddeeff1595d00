#include "sae/encoder.h"
#include "sae/activation.h"

#include <math.h>

const char *const ra_encoder_tensor_names[RA_ENCODER_TENSORS] = {
    [RA_ENCODER_WEIGHT] = "encoder.final_block.0.weight",
    [RA_ENCODER_BIAS] = "encoder.final_block.0.bias",
    [RA_ENCODER_NORM_WEIGHT] = "encoder.final_block.1.weight",
    [RA_ENCODER_NORM_BIAS] = "encoder.final_block.1.bias",
    [RA_ENCODER_RUNNING_MEAN] = "encoder.final_block.1.running_mean",
    [RA_ENCODER_RUNNING_VAR] = "encoder.final_block.1.running_var",
};

const char ra_encoder_batch_counter[] = "encoder.final_block.1.num_batches_tracked";

/* The tensors of each kind, first .. end-1, and its norm. */
static const struct {
    size_t first, end;
    ra_encoder_norm_kind norm;
} types[RA_ENCODER_KIND_COUNT] = {
    [RA_ENCODER_LINEAR] = {RA_ENCODER_WEIGHT, RA_ENCODER_NORM_WEIGHT, RA_ENCODER_NO_NORM},
    [RA_ENCODER_MLP_LN_1] = {RA_ENCODER_WEIGHT, RA_ENCODER_RUNNING_MEAN, RA_ENCODER_LAYER_NORM},
    [RA_ENCODER_MLP_BN_1] = {RA_ENCODER_WEIGHT, RA_ENCODER_TENSORS, RA_ENCODER_BATCH_NORM},
    [RA_ENCODER_TIED] = {RA_ENCODER_BIAS, RA_ENCODER_NORM_WEIGHT, RA_ENCODER_NO_NORM},
    [RA_ENCODER_IDENTITY] = {RA_ENCODER_TENSORS, RA_ENCODER_TENSORS, RA_ENCODER_NO_NORM},
};

bool ra_encoder_has_tensor(ra_encoder_kind kind, size_t i) {
    return i >= types[kind].first && i < types[kind].end;
}

ra_encoder_norm_kind ra_encoder_norm(ra_encoder_kind kind) {
    return types[kind].norm;
}

bool ra_encoder_tensor_is_optional(const ra_safetensors *file, ra_encoder_kind kind, size_t i) {
    bool untied = ra_safetensors_find(file, "encoder.weight") != NULL;
    return i == RA_ENCODER_BIAS && (kind == RA_ENCODER_TIED || (kind == RA_ENCODER_LINEAR && untied));
}

/* ---- in a file ----------------------------------------------------------------------------------------- */

/* The kind that has the first of these tensors that the file has. */
static bool kind_of_tensors(const ra_safetensors *file, ra_encoder_kind *kind) {
    static const struct {
        const char *tensor;
        ra_encoder_kind kind;
    } signs[] = {
        {"encoder.final_block.1.running_mean", RA_ENCODER_MLP_BN_1},
        {"encoder.final_block.1.weight", RA_ENCODER_MLP_LN_1},
        {"encoder.final_block.0.weight", RA_ENCODER_LINEAR},
        {"encoder.final_block.0.bias", RA_ENCODER_TIED},
        {"encoder.tied_to._weights", RA_ENCODER_TIED},
        {"encoder.tied_to.W", RA_ENCODER_TIED},
    };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (!ra_safetensors_find(file, signs[i].tensor)) continue;
        *kind = signs[i].kind;
        return true;
    }
    return false;
}

ra_status ra_encoder_find(const ra_safetensors *file, const ra_sae_settings *settings, bool *found,
                          ra_encoder_kind *kind, ra_error *err) {
    const char *const *names = ra_sae_settings_table()->rows[RA_SET_ENCODER].names;
    bool named = ra_setting_known(settings, RA_SET_ENCODER);
    bool mp = ra_setting_known(settings, RA_SET_SAE) && ra_activation_types[settings->sae]->pursues;
    *found = kind_of_tensors(file, kind);
    if (*found && named && settings->encoder != (int)*kind)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the setting encoder is %s, but the tensors are those of %s",
                ra_safetensors_path(file), names[settings->encoder], names[*kind]);
    if (*found && mp)
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s: the setting sae is mp, which has no encoder, but the tensors are those of %s",
                ra_safetensors_path(file), names[*kind]);
    if (*found) return RA_OK;
    *found = mp || (named && !ra_encoder_has_tensor((ra_encoder_kind)settings->encoder, RA_ENCODER_WEIGHT));
    if (*found) *kind = named ? (ra_encoder_kind)settings->encoder : RA_ENCODER_IDENTITY;
    if (mp && *kind != RA_ENCODER_IDENTITY)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the setting encoder is %s, but mp has the encoder identity",
                ra_safetensors_path(file), names[*kind]);
    if (*found && !mp && *kind == RA_ENCODER_IDENTITY && ra_setting_known(settings, RA_SET_SAE))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the setting encoder is identity, but only mp works without one",
                ra_safetensors_path(file));
    return RA_OK;
}

ra_status ra_encoder_tensor_get(const ra_safetensors *file, ra_encoder_kind kind, size_t i, size_t concepts,
                                size_t dimensions, ra_tensor *tensor, ra_error *err) {
    const char *name = ra_encoder_tensor_names[i];
    char shape[128], expected[64];
    if (!ra_encoder_has_tensor(kind, i)) RA_FAIL(err, RA_ERR_INTERNAL, "the encoder has no tensor %s", name);
    RA_TRY(ra_safetensors_get(file, name, tensor, err));
    if (!ra_dtype_is_float(tensor->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "%s: %s is %s; expected F32, F16 or BF16", ra_safetensors_path(file), name,
                ra_dtype_name(tensor->dtype));
    int rank = i == RA_ENCODER_WEIGHT ? 2 : 1;
    if (tensor->rank != rank || tensor->shape[0] != concepts || (rank == 2 && tensor->shape[1] != dimensions))
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has the shape %s; expected %s", ra_safetensors_path(file), name,
                ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape),
                ra_shape_text(rank, (const size_t[]){concepts, dimensions}, expected, sizeof expected));
    return RA_OK;
}

/* ---- evaluation --------------------------------------------------------------------------------------- */

void ra_encoder_rstd(const float *variance, float *rstd, size_t concepts) {
    for (size_t k = 0; k < concepts; k++) rstd[k] = (float)(1 / sqrt((double)variance[k] + RA_NORM_EPSILON));
}

ra_status ra_encoder_linear(ra_stream stream, const ra_encoder_weights *weights, const float *x, size_t rows,
                            float *linear, ra_error *err) {
    size_t K = weights->concepts, d = weights->dimensions;
    const float *bias = weights->tensor[RA_ENCODER_BIAS];
    if (bias) RA_TRY(ra_stream_broadcast_row(stream, bias, linear, rows, K, err));
    return ra_stream_gemm(stream, false, true, rows, K, d, 1, x, d, weights->tensor[RA_ENCODER_WEIGHT], d,
                          bias ? 1 : 0, linear, K, err);
}

ra_status ra_encoder_evaluate(ra_stream stream, const ra_encoder_weights *weights, const float *x,
                              size_t rows, float *statistics, float *pre, ra_error *err) {
    size_t K = weights->concepts;
    bool by_row = types[weights->kind].norm == RA_ENCODER_LAYER_NORM;
    RA_TRY(ra_encoder_linear(stream, weights, x, rows, pre, err));
    if (types[weights->kind].norm == RA_ENCODER_NO_NORM) return RA_OK;
    if (by_row)
        RA_TRY(ra_stream_row_statistics(stream, pre, rows, K, RA_NORM_EPSILON, statistics, statistics + rows,
                                        err));
    const ra_norm norm = {.by_row = by_row,
                          .mean = by_row ? statistics : weights->tensor[RA_ENCODER_RUNNING_MEAN],
                          .rstd = by_row ? statistics + rows : weights->rstd,
                          .gamma = weights->tensor[RA_ENCODER_NORM_WEIGHT],
                          .beta = weights->tensor[RA_ENCODER_NORM_BIAS]};
    return ra_stream_normalize(stream, &norm, pre, pre, rows, K, err);
}
