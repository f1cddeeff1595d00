/* ra_weights.h - a model as plain weights, which other libraries keep in files of their own.
 *
 *     v = x - decoder_bias where center_input is true, otherwise x
 *     pre = v encoder^T + encoder_bias            then LayerNorm over the latents where there is a norm_weight
 *     codes = the activation `sae` of relu(pre)
 *     x_hat = codes decoder + decoder_bias
 *
 * All of it is in input space: a standardization and a BatchNorm are multiplied into the weights, which rounds once more
 * (`folded`); all other numbers are the model's own, to the bit. x and x_hat are as ra_model_encode() takes the one and
 * ra_model_reconstruct() gives the other.
 *
 *     ra_weights weights = {0};
 *     RA_TRY(ra_weights_init(&weights, model, err));
 *     if (weights.encoder) printf("%g\n", (double)weights.encoder[0]);
 *     ra_weights_release(&weights);
 *
 * Thread safety: constant data once it is initialized.
 */
#ifndef RA_WEIGHTS_H
#define RA_WEIGHTS_H

#include "ra_model.h"

typedef struct ra_weights {
    size_t concepts, dimensions;          /* K, d */
    float *decoder;                       /* D [K,d] */
    float *decoder_bias;                  /* [d]; zeros if there is none */
    float *encoder, *encoder_bias;        /* E [K,d], [K]; NULL: mp, or no encoder at all */
    const float *norm_weight, *norm_bias; /* [K] of a LayerNorm; NULL: none */
    float *thresholds;                    /* [K] jumprelu, batchtopk: codes from this value on stay */
    float *strict_thresholds;             /* [K] the next smaller floats: codes above them stay */
    float *log_thresholds;                /* [K] whose expf() is nearest to the thresholds from below */
    bool has_decoder_bias, center_input, folded;
    void *memory; /* private */
} ra_weights;

/* Copies the weights: about as much memory as the dictionary and the encoder in float32. RA_ERR_UNSUPPORTED for matching
 * pursuit with a standardization, which is another pursuit in input space. The model must outlive them. */
ra_status ra_weights_init(ra_weights *weights, const ra_model *model, ra_error *err);
void ra_weights_release(ra_weights *weights);

/* out [cols,rows] <- the transpose of m [rows,cols]. */
void ra_weights_transpose(const float *m, size_t rows, size_t cols, float *out);

#endif
