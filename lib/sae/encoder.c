#include "sae/encoder.h"
#include "sae/activation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const ra_encoder_tensor_names[RA_ENCODER_TENSORS] = {
    [RA_ENCODER_WEIGHT] = "encoder.final_block.0.weight",
    [RA_ENCODER_BIAS] = "encoder.final_block.0.bias",
    [RA_ENCODER_NORM_WEIGHT] = "encoder.final_block.1.weight",
    [RA_ENCODER_NORM_BIAS] = "encoder.final_block.1.bias",
    [RA_ENCODER_RUNNING_MEAN] = "encoder.final_block.1.running_mean",
    [RA_ENCODER_RUNNING_VAR] = "encoder.final_block.1.running_var",
};

const char ra_encoder_batch_counter[] = "encoder.final_block.1.num_batches_tracked";

/* Where the tensors of a norm end. */
static const size_t norm_ends[] = {[RA_ENCODER_NO_NORM] = RA_ENCODER_NORM_WEIGHT,
                                   [RA_ENCODER_LAYER_NORM] = RA_ENCODER_RUNNING_MEAN,
                                   [RA_ENCODER_BATCH_NORM] = RA_ENCODER_TENSORS,
                                   [RA_ENCODER_RMS_NORM] = RA_ENCODER_NORM_BIAS};

/* The first tensor of each kind and its norm; how many hidden layers: of ANY the file tells it. */
enum { NONE = 0, ANY = -1 };
static const struct {
    size_t first;
    ra_encoder_norm_kind norm;
    int hidden;
    bool served_only;
} types[RA_ENCODER_KIND_COUNT] = {
    [RA_ENCODER_LINEAR] = {RA_ENCODER_WEIGHT, RA_ENCODER_NO_NORM, NONE, false},
    [RA_ENCODER_MLP_LN_1] = {RA_ENCODER_WEIGHT, RA_ENCODER_LAYER_NORM, NONE, false},
    [RA_ENCODER_MLP_BN_1] = {RA_ENCODER_WEIGHT, RA_ENCODER_BATCH_NORM, NONE, false},
    [RA_ENCODER_TIED] = {RA_ENCODER_BIAS, RA_ENCODER_NO_NORM, NONE, false},
    [RA_ENCODER_IDENTITY] = {RA_ENCODER_TENSORS, RA_ENCODER_NO_NORM, NONE, false},
    [RA_ENCODER_MLP_RMS_1] = {RA_ENCODER_WEIGHT, RA_ENCODER_RMS_NORM, NONE, true},
    [RA_ENCODER_MLP_LN_3] = {RA_ENCODER_WEIGHT, RA_ENCODER_LAYER_NORM, 2, true},
    [RA_ENCODER_MLP_BN_3] = {RA_ENCODER_WEIGHT, RA_ENCODER_BATCH_NORM, 2, true},
    [RA_ENCODER_MLP_N] = {RA_ENCODER_WEIGHT, RA_ENCODER_NO_NORM, ANY, true},
    [RA_ENCODER_MLP_LN_N] = {RA_ENCODER_WEIGHT, RA_ENCODER_LAYER_NORM, ANY, true},
    [RA_ENCODER_MLP_BN_N] = {RA_ENCODER_WEIGHT, RA_ENCODER_BATCH_NORM, ANY, true},
    [RA_ENCODER_MLP_RMS_N] = {RA_ENCODER_WEIGHT, RA_ENCODER_RMS_NORM, ANY, true},
};

bool ra_encoder_has_tensor(ra_encoder_kind kind, size_t i) {
    return i >= types[kind].first && i < norm_ends[types[kind].norm];
}

bool ra_encoder_has_hidden(ra_encoder_kind kind) {
    return types[kind].hidden != NONE;
}

bool ra_encoder_can_train(ra_encoder_kind kind) {
    return !types[kind].served_only;
}

ra_encoder_norm_kind ra_encoder_norm(ra_encoder_kind kind) {
    return types[kind].norm;
}

bool ra_encoder_tensor_is_optional(const ra_safetensors *file, ra_encoder_kind kind, size_t i) {
    bool untied = ra_safetensors_find(file, "encoder.weight") != NULL;
    return i == RA_ENCODER_BIAS && (kind == RA_ENCODER_TIED || (kind == RA_ENCODER_LINEAR && untied));
}

/* ---- hidden layers ------------------------------------------------------------------------------------- */

static const char blocks[] = "encoder.mlp_blocks.";
enum { FINAL = sizeof "encoder.final_block." - 1 };

ra_hidden_name ra_hidden_tensor_name(size_t layer, size_t which) {
    ra_hidden_name name;
    snprintf(name.text, sizeof name.text, "%s%zu.%s", blocks, layer, ra_encoder_tensor_names[which] + FINAL);
    return name;
}

bool ra_hidden_has_name(const char *name, bool *counter) {
    *counter = false;
    if (strncmp(name, blocks, sizeof blocks - 1) != 0) return false;
    for (size_t i = 0; i < RA_HIDDEN_MOST; i++) {
        char batches[64];
        for (size_t which = 0; which < RA_ENCODER_TENSORS; which++)
            if (strcmp(name, ra_hidden_tensor_name(i, which).text) == 0) return true;
        snprintf(batches, sizeof batches, "%s%zu.%s", blocks, i, ra_encoder_batch_counter + FINAL);
        *counter = strcmp(name, batches) == 0;
        if (*counter) return true;
    }
    return false;
}

size_t ra_hidden_count(const ra_safetensors *file) {
    size_t count = 0;
    while (count < RA_HIDDEN_MOST &&
           ra_safetensors_find(file, ra_hidden_tensor_name(count, RA_ENCODER_WEIGHT).text))
        count++;
    return count;
}

/* ---- in a file ----------------------------------------------------------------------------------------- */

/* The norm whose last tensors the file has. */
static ra_encoder_norm_kind norm_of_tensors(const ra_safetensors *file) {
    if (ra_safetensors_find(file, "encoder.final_block.1.running_mean")) return RA_ENCODER_BATCH_NORM;
    if (ra_safetensors_find(file, "encoder.final_block.1.bias")) return RA_ENCODER_LAYER_NORM;
    return ra_safetensors_find(file, "encoder.final_block.1.weight") ? RA_ENCODER_RMS_NORM
                                                                     : RA_ENCODER_NO_NORM;
}

/* The kind with this norm and number of hidden layers; one that names the number comes before one that does not. */
static ra_encoder_kind kind_of(ra_encoder_norm_kind norm, int hidden) {
    int kind = 0;
    while (types[kind].first != RA_ENCODER_WEIGHT || types[kind].norm != norm ||
           (types[kind].hidden != hidden && !(types[kind].hidden == ANY && hidden)))
        kind++;
    return (ra_encoder_kind)kind;
}

/* The kind that the tensors tell. */
static bool kind_of_tensors(const ra_safetensors *file, ra_encoder_kind *kind) {
    static const struct {
        const char *tensor;
        ra_encoder_kind kind;
    } signs[] = {
        {"encoder.final_block.0.bias", RA_ENCODER_TIED},
        {"encoder.tied_to._weights", RA_ENCODER_TIED},
        {"encoder.tied_to.W", RA_ENCODER_TIED},
    };
    if (ra_safetensors_find(file, "encoder.final_block.0.weight")) {
        *kind = kind_of(norm_of_tensors(file), (int)ra_hidden_count(file));
        return true;
    }
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (!ra_safetensors_find(file, signs[i].tensor)) continue;
        *kind = signs[i].kind;
        return true;
    }
    return false;
}

/* What torch.nn.RMSNorm writes, a LayerNorm without a bias writes as well. */
static ra_status check_rms_norm(const ra_safetensors *file, bool named, ra_encoder_kind kind, ra_error *err) {
    if (named || types[kind].norm != RA_ENCODER_RMS_NORM) return RA_OK;
    RA_FAIL(err, RA_ERR_SETTING,
            "%s: the norm of its encoder has a weight and no bias, as an RMSNorm has, but also a LayerNorm "
            "without "
            "bias, which is not supported; if it is an RMSNorm, give --encoder %s",
            ra_safetensors_path(file), ra_sae_settings_table()->rows[RA_SET_ENCODER].names[kind]);
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
    if (*found) return check_rms_norm(file, named, *kind, err);
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

/* y [rows,n] <- x W^T + bias; bias [n], NULL: none */
static ra_status multiply(ra_stream stream, const float *x, size_t rows, const float *W, size_t n, size_t d,
                          const float *bias, float *y, size_t ldy, ra_error *err) {
    if (bias) return ra_stream_gemm_bias(stream, x, rows, W, n, d, bias, y, ldy, err);
    return ra_stream_gemm(stream, false, true, rows, n, d, 1, x, d, W, d, 0, y, ldy, err);
}

ra_status ra_encoder_linear(ra_stream stream, const ra_encoder_weights *weights, const float *x, size_t rows,
                            float *linear, ra_error *err) {
    size_t K = weights->concepts, d = weights->dimensions;
    return multiply(stream, x, rows, weights->tensor[RA_ENCODER_WEIGHT], K, d,
                    weights->tensor[RA_ENCODER_BIAS], linear, K, err);
}

/* For so few rows, a device reads the weight as it is: of more, parts that are widened take less time than their launches. */
enum { ROWS_AS_IT_IS = 32 };

/* Rows that are widened at a time: large enough for a product, and for the cache of a device to hold; so many that the bias of
 * the next ones is aligned. */
static size_t rows_at_a_time(const ra_encoder_weights *weights) {
    enum { NUMBERS = 1 << 20, ALIGNED = 4 };
    size_t rows = (NUMBERS / weights->dimensions / ALIGNED + 1) * ALIGNED;
    return rows < weights->concepts ? rows : weights->concepts;
}

size_t ra_encoder_widened_bytes(const ra_encoder_weights *weights) {
    return weights->half ? rows_at_a_time(weights) * weights->dimensions * sizeof(float) : 0;
}

static ra_status widen_and_multiply(ra_stream stream, const ra_encoder_weights *weights, const float *x,
                                    size_t rows, float *widened, float *linear, ra_error *err) {
    size_t K = weights->concepts, d = weights->dimensions, step = rows_at_a_time(weights);
    const float *bias = weights->tensor[RA_ENCODER_BIAS];
    for (size_t from = 0; from < K; from += step) {
        size_t count = K - from < step ? K - from : step;
        const uint16_t *source = (const uint16_t *)weights->half + from * d;
        RA_TRY(ra_stream_widen(stream, weights->half_type, source, widened, count * d, err));
        RA_TRY(
            multiply(stream, x, rows, widened, count, d, bias ? bias + from : NULL, linear + from, K, err));
    }
    return RA_OK;
}

ra_status ra_encoder_normalize(ra_stream stream, const ra_encoder_scale *scale, float *statistics, float *u,
                               size_t rows, size_t n, ra_error *err) {
    if (scale->kind == RA_ENCODER_NO_NORM) return RA_OK;
    if (scale->kind == RA_ENCODER_LAYER_NORM)
        return ra_stream_layer_norm(stream, u, rows, n, RA_NORM_EPSILON, scale->gamma, scale->beta,
                                    statistics, statistics + rows, u, err);
    const ra_norm norm = {
        .mean = scale->mean, .rstd = scale->rstd, .gamma = scale->gamma, .beta = scale->beta};
    double epsilon = scale->kind == RA_ENCODER_RMS_NORM ? RA_RMS_EPSILON : 0;
    return ra_stream_normalize(stream, &norm, epsilon, u, u, rows, n, err);
}

ra_status ra_encoder_evaluate(ra_stream stream, const ra_encoder_weights *weights, const float *x,
                              size_t rows, float *statistics, float *widened, float *pre, ra_error *err) {
    const ra_encoder_scale scale = {.kind = types[weights->kind].norm,
                                    .gamma = weights->tensor[RA_ENCODER_NORM_WEIGHT],
                                    .beta = weights->tensor[RA_ENCODER_NORM_BIAS],
                                    .mean = weights->tensor[RA_ENCODER_RUNNING_MEAN],
                                    .rstd = weights->rstd};
    if (weights->half && rows <= ROWS_AS_IT_IS)
        RA_TRY(ra_stream_dots(stream, x, rows, weights->half_type, weights->half, weights->concepts,
                              weights->dimensions, weights->tensor[RA_ENCODER_BIAS], pre, weights->concepts,
                              err));
    else if (weights->half)
        RA_TRY(widen_and_multiply(stream, weights, x, rows, widened, pre, err));
    else
        RA_TRY(ra_encoder_linear(stream, weights, x, rows, pre, err));
    return ra_encoder_normalize(stream, &scale, statistics, pre, rows, weights->concepts, err);
}
