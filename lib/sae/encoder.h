/* encoder.h - x [B,d] -> pre-codes [B,K].
 *
 * linear:   pre = x E^T + b
 * mlp_ln_1: pre = LayerNorm(x E^T + b) over the K latents of a row
 * mlp_bn_1: pre = BatchNorm(x E^T + b), each latent over the batch in training, by running statistics in
 * evaluation. Both norms: eps 1e-5, then an affine gamma, beta per latent (torch.nn.LayerNorm,
 * torch.nn.BatchNorm1d).
 * tied:     pre = x D^T + b, E being the dictionary, which gets the gradient of both
 * identity: pre = x D^T, what mp starts from; no tensors
 */
#ifndef RA_SAE_ENCODER_H
#define RA_SAE_ENCODER_H

#include "ra_sae.h"

/* State-dict names; the order is that of ra_encoder_weights.tensor. */
typedef enum ra_encoder_tensor {
    RA_ENCODER_WEIGHT,       /* encoder.final_block.0.weight [K,d] */
    RA_ENCODER_BIAS,         /* encoder.final_block.0.bias [K] */
    RA_ENCODER_NORM_WEIGHT,  /* encoder.final_block.1.weight [K], gamma */
    RA_ENCODER_NORM_BIAS,    /* encoder.final_block.1.bias [K], beta */
    RA_ENCODER_RUNNING_MEAN, /* encoder.final_block.1.running_mean [K] */
    RA_ENCODER_RUNNING_VAR,  /* encoder.final_block.1.running_var [K] */
    RA_ENCODER_TENSORS
} ra_encoder_tensor;

extern const char *const ra_encoder_tensor_names[RA_ENCODER_TENSORS];

/* Whether an encoder of this kind has tensor i. What has no weight of its own uses the dictionary. */
bool ra_encoder_has_tensor(ra_encoder_kind kind, size_t i);
bool ra_encoder_has_norm(ra_encoder_kind kind);

/* Views; backend memory. Members that the kind has not are NULL, but for the weight, which then is D. */
typedef struct ra_encoder_weights {
    ra_encoder_kind kind;
    size_t concepts, dimensions; /* K, d */
    const float *tensor[RA_ENCODER_TENSORS];
    const float *rstd; /* mlp_bn_1 [K]: of the running variances, ra_encoder_rstd() */
} ra_encoder_weights;

/* Which encoder a file has, if any. Its tensors say it (running_mean: mlp_bn_1; a norm weight: mlp_ln_1; a
 * weight: linear; a bias alone: tied); where there are none the settings do (`encoder` is tied or identity,
 * or `sae` is mp). RA_ERR_FORMAT when they disagree. */
ra_status ra_encoder_find(const ra_safetensors *file, const ra_sae_settings *settings, bool *found,
                          ra_encoder_kind *kind, ra_error *err);

/* A tied encoder may come without its bias, which then is 0. */
bool ra_encoder_tensor_is_optional(ra_encoder_kind kind, size_t i);

/* Checks presence, type and shape of tensor i of the file; *tensor is a view into the file. */
ra_status ra_encoder_tensor_get(const ra_safetensors *file, ra_encoder_kind kind, size_t i, size_t concepts,
                                size_t dimensions, ra_tensor *tensor, ra_error *err);

#define RA_NORM_EPSILON 1e-5 /* of torch.nn.LayerNorm and BatchNorm1d */

/* rstd [K] <- 1 / sqrt(variance + epsilon); host memory. */
void ra_encoder_rstd(const float *variance, float *rstd, size_t concepts);

/* The part without a norm: linear [B,K] <- x E^T + b, x [B,d]. */
ra_status ra_encoder_linear(ra_stream stream, const ra_encoder_weights *weights, const float *x, size_t rows,
                            float *linear, ra_error *err);

/* Evaluation mode: pre [B,K] <- x [B,d]. statistics [2,B]: scratch of mlp_ln_1; other kinds do not use it. Everything
 * is backend memory. */
ra_status ra_encoder_evaluate(ra_stream stream, const ra_encoder_weights *weights, const float *x,
                              size_t rows, float *statistics, float *pre, ra_error *err);

/* ---- training ------------------------------------------------------------------------------------------ */

/* The trainable encoder; the parameters are the SAE's. */
typedef struct ra_encoder {
    ra_encoder_kind kind;
    size_t concepts, dimensions;
    const ra_parameter *tensor[RA_ENCODER_TENSORS]; /* NULL where the kind has none */
    int64_t batches;                                /* mlp_bn_1: num_batches_tracked */
    const ra_group *group;                          /* mlp_bn_1 averages over the batch of all members */
} ra_encoder;

/* pass->pre <- pre-codes of x [B,d] (from pass->D for kinds without a weight); keeps in the pass what the
 * backward pass needs. Training mode takes BatchNorm's statistics from the batch and moves the running ones,
 * which evaluation takes. The pass has room for B rows. */
ra_status ra_encoder_forward(ra_encoder *encoder, ra_backend *backend, const float *x, size_t rows,
                             bool training, ra_sae_pass *pass, ra_error *err);

/* Gradients of the encoder's parameters from that of the pre-codes: dpre [B,K], which is overwritten; or, for
 * an encoder without a norm and with dpre NULL, pass->dvalue on the entries of pass->codes and nothing
 * elsewhere: the gradient of the weight then has the rows of pass->atoms. What has no weight of its own adds
 * that gradient to dD [K,d], the dictionary being whole. */
ra_status ra_encoder_backward(ra_encoder *encoder, ra_backend *backend, const float *x, ra_sae_pass *pass,
                              float *dpre, float *dD, ra_error *err);

#endif
