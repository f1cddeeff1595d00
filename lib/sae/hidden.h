/* hidden.h - the hidden layers of an encoder, before its final block: x [B,d] -> h [B,h], in evaluation.
 *
 *     y = activation(norm(x W^T + b)), and y + x where hidden_residual is true and the two have one size
 *
 * as overcomplete's MLPEncoder has them (mlp_ln_3: two layers of d with a LayerNorm and a ReLU each). All layers have
 * the norm of the final block, which they tell by their tensors. Nothing here is trained, and it is computed in host
 * memory, whatever the model's backend is: next to the final block, which is as wide as the dictionary, it is little.
 *
 * Tensors, in the names of a state dict, of layer i from 0:
 *
 *     encoder.mlp_blocks.i.0.{weight [h,inputs], bias [h]}
 *     encoder.mlp_blocks.i.1.{weight, bias, running_mean, running_var} [h]     of the norm
 *
 * Thread safety: one thread at a time with one scratch; the layers are constant.
 */
#ifndef RA_SAE_HIDDEN_H
#define RA_SAE_HIDDEN_H

#include "sae/encoder.h"

struct ra_pool;

/* The tensors of a layer, in the order of ra_encoder_tensor. */
typedef struct ra_hidden_layer {
    size_t inputs, outputs;
    const float *tensor[RA_ENCODER_TENSORS]; /* NULL: its norm has none */
    ra_encoder_scale scale;
} ra_hidden_layer;

typedef struct ra_hidden {
    ra_hidden_layer layer[RA_HIDDEN_MOST];
    size_t count;
    ra_hidden_activation activation;
    bool residual;
} ra_hidden;

/* The largest number of outputs of a layer. */
size_t ra_hidden_width(const ra_hidden *hidden);

/* *out <- [rows,h] in one of the two parts of scratch [2, rows, width], host memory; statistics [2, rows]. stream: of a
 * backend that computes in host memory; pool: for loops, may be NULL. x [rows,d] stays as it is. */
ra_status ra_hidden_evaluate(const ra_hidden *hidden, ra_stream stream, struct ra_pool *pool, const float *x,
                             size_t rows, float *scratch, float *statistics, const float **out,
                             ra_error *err);

#endif
