/* encoder.h - x [B,d] -> pre-codes [B,K].
 *
 *   linear     pre = x E^T + b
 *   mlp_ln_1   pre = LayerNorm(x E^T + b), over the K latents of a row
 *   mlp_bn_1   pre = BatchNorm(x E^T + b), of each latent over the batch; in evaluation, running statistics
 *   tied       pre = x D^T + b; the dictionary is the weight, and gets the gradients of both
 *   identity   pre = x D^T, the first scores of mp; no tensors
 *   mlp_rms_1  pre = RMSNorm(x E^T + b), over the K latents of a row; evaluation only, as all that follow
 *   mlp_*_3, mlp_*_n
 *              x goes through hidden layers first (hidden.h), and E is [K,h], h being the size of the last
 *
 * Both norms have eps 1e-5, then an affine map gamma, beta per latent (torch.nn.LayerNorm,
 * torch.nn.BatchNorm1d). An RMSNorm has eps 2^-23 and a gamma only (torch.nn.RMSNorm).
 *
 * To add an encoder of such parts: a row of RA_ENCODERS (ra_sae.h), its rows in the tables of encoder.c, a
 * golden case. Other arithmetic goes into ra_encoder_evaluate(), and into encoder_train.c with its gradient.
 *
 * Thread safety: one thread at a time; inside, it uses the threads of its backend.
 */
#ifndef RA_SAE_ENCODER_H
#define RA_SAE_ENCODER_H

#include "ra_sae.h"

/* State-dict names; the order is that of ra_encoder_weights.tensor. */
typedef enum ra_encoder_tensor {
    RA_ENCODER_WEIGHT,       /* encoder.final_block.0.weight [K,d], after hidden layers [K,h] */
    RA_ENCODER_BIAS,         /* encoder.final_block.0.bias [K] */
    RA_ENCODER_NORM_WEIGHT,  /* encoder.final_block.1.weight [K], gamma */
    RA_ENCODER_NORM_BIAS,    /* encoder.final_block.1.bias [K], beta */
    RA_ENCODER_RUNNING_MEAN, /* encoder.final_block.1.running_mean [K] */
    RA_ENCODER_RUNNING_VAR,  /* encoder.final_block.1.running_var [K] */
    RA_ENCODER_TENSORS
} ra_encoder_tensor;

extern const char *const ra_encoder_tensor_names[RA_ENCODER_TENSORS];
extern const char ra_encoder_batch_counter[]; /* counts batches in training; evaluation does not need it */

/* Whether an encoder of this kind has tensor i. Without a weight of its own, it encodes with the
 * dictionary. */
bool ra_encoder_has_tensor(ra_encoder_kind kind, size_t i);

typedef enum ra_encoder_norm_kind {
    RA_ENCODER_NO_NORM,
    RA_ENCODER_LAYER_NORM, /* by row */
    RA_ENCODER_BATCH_NORM, /* by latent */
    RA_ENCODER_RMS_NORM,   /* by row */
} ra_encoder_norm_kind;

ra_encoder_norm_kind ra_encoder_norm(ra_encoder_kind kind);

/* Whether hidden layers come before the final block (hidden.h), and whether this kind can be trained here. */
bool ra_encoder_has_hidden(ra_encoder_kind kind);
bool ra_encoder_can_train(ra_encoder_kind kind);

/* ---- the names of hidden layers (hidden.h) ------------------------------------------------------------- */

enum { RA_HIDDEN_MOST = 16 };

/* "encoder.mlp_blocks.2.1.bias" */
typedef struct ra_hidden_name {
    char text[64];
} ra_hidden_name;
ra_hidden_name ra_hidden_tensor_name(size_t layer, size_t which);

/* Whether a tensor belongs to a hidden layer; *counter: and only counts the batches of training. */
bool ra_hidden_has_name(const char *name, bool *counter);

/* How many a file has, from layer 0 on without a gap. */
size_t ra_hidden_count(const ra_safetensors *file);

/* Views of backend memory. A tensor that the kind does not have is NULL; in place of a weight it is D. */
typedef struct ra_encoder_weights {
    ra_encoder_kind kind;
    size_t concepts, dimensions; /* K; d, or h after hidden layers */
    const float *tensor[RA_ENCODER_TENSORS];
    const float *rstd; /* BatchNorm [K]: ra_encoder_rstd() of the running variances; RMSNorm: ones */
    const void *half; /* the weight in half_type, F16 or BF16, for a device to keep; NULL: it keeps float32 */
    ra_dtype half_type;
} ra_encoder_weights;

/* A norm over n numbers in evaluation. What a LayerNorm measures is NULL here; of an RMSNorm mean and beta are zeros and
 * rstd is ones, so that its gamma is applied as that of a BatchNorm is. */
typedef struct ra_encoder_scale {
    ra_encoder_norm_kind kind;
    const float *gamma, *beta, *mean, *rstd; /* [n] */
} ra_encoder_scale;

/* The encoder of a file, if it has one. Its tensors tell the kind; if there are none, the settings do
 * (`encoder` is tied or identity, or `sae` is mp). RA_ERR_FORMAT if they disagree. */
ra_status ra_encoder_find(const ra_safetensors *file, const ra_sae_settings *settings, bool *found,
                          ra_encoder_kind *kind, ra_error *err);

/* The bias of an encoder that tied() or untied() made may be missing; it is then 0. */
bool ra_encoder_tensor_is_optional(const ra_safetensors *file, ra_encoder_kind kind, size_t i);

/* *tensor <- tensor i of the file, with its type and shape checked; a view into the file. */
ra_status ra_encoder_tensor_get(const ra_safetensors *file, ra_encoder_kind kind, size_t i, size_t concepts,
                                size_t dimensions, ra_tensor *tensor, ra_error *err);

#define RA_NORM_EPSILON 1e-5   /* of torch.nn.LayerNorm and BatchNorm1d */
#define RA_RMS_EPSILON 0x1p-23 /* of torch.nn.RMSNorm: that of float32 */

/* rstd [K] <- 1 / sqrt(variance + epsilon); host memory. */
void ra_encoder_rstd(const float *variance, float *rstd, size_t concepts);

/* The linear part: linear [B,K] <- x E^T + b, x [B,d]. */
ra_status ra_encoder_linear(ra_stream stream, const ra_encoder_weights *weights, const float *x, size_t rows,
                            float *linear, ra_error *err);

/* u [rows,n] <- its norm. statistics [2,rows]: scratch memory for a LayerNorm. All is backend memory. */
ra_status ra_encoder_normalize(ra_stream stream, const ra_encoder_scale *scale, float *statistics, float *u,
                               size_t rows, size_t n, ra_error *err);

/* Evaluation mode: pre [B,K] <- x [B,d], which has gone through hidden layers, if there are any. statistics [2,B]: scratch
 * memory for a LayerNorm. A weight that is kept in 16 bits is read as it is for a few rows of x, and widened some of its rows
 * at a time for more, so the product is one of float32; widened: ra_encoder_widened_bytes() for that. All is backend
 * memory. */
size_t ra_encoder_widened_bytes(const ra_encoder_weights *weights);
ra_status ra_encoder_evaluate(ra_stream stream, const ra_encoder_weights *weights, const float *x,
                              size_t rows, float *statistics, float *widened, float *pre, ra_error *err);

/* ---- training ------------------------------------------------------------------------------------------ */

/* The trainable encoder; the parameters are the SAE's. */
typedef struct ra_encoder {
    ra_encoder_kind kind;
    size_t concepts, dimensions;
    const ra_parameter *tensor[RA_ENCODER_TENSORS]; /* NULL: the kind has none */
    int64_t batches;                                /* BatchNorm: num_batches_tracked */
    const ra_group *group;                          /* BatchNorm averages over the batch of all members */
} ra_encoder;

/* pass->pre <- pre-codes of x [B,d] (with pass->D for kinds without a weight); the pass also keeps what the
 * backward pass needs. In training, BatchNorm uses the statistics of the batch and updates the running ones,
 * which evaluation uses. */
ra_status ra_encoder_forward(ra_encoder *encoder, ra_backend *backend, const float *x, size_t rows,
                             bool training, ra_sae_pass *pass, ra_error *err);

/* The gradients of the encoder's parameters, from that of the pre-codes: dpre [B,K], which is overwritten.
 * Without a norm, dpre may be NULL: then it is pass->dvalue for the entries of pass->codes and 0 elsewhere,
 * and the gradient of the weight holds the rows of pass->atoms only. Without a weight, that gradient is added
 * to dD [K,d], of the whole dictionary. */
ra_status ra_encoder_backward(ra_encoder *encoder, ra_backend *backend, const float *x, ra_sae_pass *pass,
                              float *dpre, float *dD, ra_error *err);

#endif
