/* A model as plain weights in input space. With a standardization, u = (x - mean) / scale, the pre-codes E u + b are those
 * of (x - mean) with E / scale, and x_hat = (z D) scale + mean is that of D scale with the bias `mean`. A BatchNorm in
 * evaluation is linear in each latent. */
#include "ra_weights.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

/* ---- memory ------------------------------------------------------------------------------------------- */

static ra_status allocate(ra_weights *w, bool encoder, bool thresholds, ra_error *err) {
    size_t K = w->concepts, d = w->dimensions;
    size_t floats = K * d + d + (encoder ? K * d + K : 0) + (thresholds ? 3 * K : 0);
    float *at = ra_malloc(floats, sizeof *at);
    if (!at) RA_FAIL_MEMORY(err, "the weights of a model", floats * sizeof *at);
    w->memory = at;
    w->decoder = at;
    w->decoder_bias = w->decoder + K * d;
    at = w->decoder_bias + d;
    if (encoder) {
        w->encoder = at;
        w->encoder_bias = w->encoder + K * d;
        at = w->encoder_bias + K;
    }
    if (thresholds) {
        w->thresholds = at;
        w->strict_thresholds = at + K;
        w->log_thresholds = at + 2 * K;
    }
    return RA_OK;
}

void ra_weights_release(ra_weights *weights) {
    ra_free(weights->memory);
    *weights = (ra_weights){0};
}

/* ---- parts --------------------------------------------------------------------------------------------- */

static void copy_decoder(ra_weights *w, const ra_model *model) {
    size_t K = w->concepts, d = w->dimensions;
    const float *bias = model->file_mean ? model->input_mean : model->output_bias;
    ra_convert_to_f32(model->dictionary.dtype, model->dictionary.data, w->decoder, K * d);
    for (size_t i = 0; model->file_mean && i < K * d; i++) w->decoder[i] *= model->input_scale[i % d];
    for (size_t j = 0; j < d; j++) {
        w->decoder_bias[j] = bias ? bias[j] : 0;
        w->has_decoder_bias |= w->decoder_bias[j] != 0;
    }
}

/* Where a standardization is folded, `mean` is subtracted from the inputs, and the bias of the encoder fits that. Else the
 * model may have changed that bias (standardize.c), and the file's is the right one. */
static void copy_encoder(ra_weights *w, const ra_model *model) {
    size_t K = w->concepts, d = w->dimensions;
    const float *bias = model->encoder.tensor[RA_ENCODER_BIAS];
    if (!model->file_mean && model->encoder_bias) bias = model->encoder_bias;
    memcpy(w->encoder, model->encoder.tensor[RA_ENCODER_WEIGHT], K * d * sizeof(float));
    for (size_t k = 0; k < K; k++) w->encoder_bias[k] = bias ? bias[k] : 0;
    for (size_t i = 0; model->file_mean && i < K * d; i++) w->encoder[i] /= model->input_scale[i % d];
}

static void fold_batch_norm(ra_weights *w, const ra_encoder_weights *encoder) {
    size_t d = w->dimensions;
    const float *const *tensor = encoder->tensor;
    for (size_t k = 0; k < w->concepts; k++) {
        double gain = (double)tensor[RA_ENCODER_NORM_WEIGHT][k] * (double)encoder->rstd[k];
        double mean = (double)tensor[RA_ENCODER_RUNNING_MEAN][k];
        for (size_t j = 0; j < d; j++) w->encoder[k * d + j] = (float)(gain * (double)w->encoder[k * d + j]);
        w->encoder_bias[k] =
            (float)(gain * ((double)w->encoder_bias[k] - mean) + (double)tensor[RA_ENCODER_NORM_BIAS][k]);
    }
}

/* No threshold is reached by less than 0, since the ReLU comes first; expf(-200) is 0. */
static float log_threshold(float threshold) {
    if (threshold <= 0) return -200;
    float theta = logf(threshold);
    while (expf(theta) > threshold) theta = nextafterf(theta, -INFINITY);
    while (expf(nextafterf(theta, INFINITY)) <= threshold) theta = nextafterf(theta, INFINITY);
    return theta;
}

static void copy_thresholds(ra_weights *w, const ra_activation *activation) {
    for (size_t k = 0; k < w->concepts; k++) {
        float value = activation->thresholds ? activation->thresholds[k] : activation->running_threshold;
        w->thresholds[k] = value;
        w->strict_thresholds[k] = nextafterf(value, -INFINITY);
        w->log_thresholds[k] = activation->theta ? activation->theta[k] : log_threshold(value);
    }
}

/* ---- all ----------------------------------------------------------------------------------------------- */

ra_status ra_weights_init(ra_weights *weights, const ra_model *model, ra_error *err) {
    const ra_model_info *info = &model->info;
    const ra_activation *activation = &model->activation;
    bool pursues = info->has_encoder && ra_activation_types[activation->kind]->pursues,
         encoder = info->has_encoder && !pursues,
         thresholds = info->has_encoder && (activation->thresholds || activation->kind == RA_SAE_BATCHTOPK);
    ra_weights w = {.concepts = info->concepts, .dimensions = info->dimensions};
    if (pursues && model->file_mean)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s is a matching pursuit on standardized inputs, which is none on the inputs themselves",
                info->path);
    if (model->hidden || (encoder && ra_encoder_norm(model->encoder.kind) == RA_ENCODER_RMS_NORM))
        RA_FAIL(
            err, RA_ERR_UNSUPPORTED,
            "%s has an encoder with %s, which is not one matrix of weights: it can be served, and saved by "
            "`rasae import`",
            info->path, model->hidden ? "hidden layers" : "an RMSNorm");
    RA_TRY(allocate(&w, encoder, thresholds, err));
    copy_decoder(&w, model);
    if (encoder) copy_encoder(&w, model);
    if (thresholds) copy_thresholds(&w, activation);
    ra_encoder_norm_kind norm = encoder ? ra_encoder_norm(model->encoder.kind) : RA_ENCODER_NO_NORM;
    if (norm == RA_ENCODER_BATCH_NORM) fold_batch_norm(&w, &model->encoder);
    if (norm == RA_ENCODER_LAYER_NORM) {
        w.norm_weight = model->encoder.tensor[RA_ENCODER_NORM_WEIGHT];
        w.norm_bias = model->encoder.tensor[RA_ENCODER_NORM_BIAS];
    }
    w.center_input = model->file_mean || (model->output_bias && info->settings.center_input);
    w.folded = model->file_mean || norm == RA_ENCODER_BATCH_NORM;
    *weights = w;
    return RA_OK;
}

void ra_weights_transpose(const float *m, size_t rows, size_t cols, float *out) {
    enum { TILE = 32 };
    for (size_t r0 = 0; r0 < rows; r0 += TILE)
        for (size_t c0 = 0; c0 < cols; c0 += TILE)
            for (size_t r = r0; r < rows && r < r0 + TILE; r++)
                for (size_t c = c0; c < cols && c < c0 + TILE; c++) out[c * rows + r] = m[r * cols + c];
}
