/* The encoders in training: the forward pass, which keeps what the backward pass needs, and the backward
 * pass.
 *
 * Both norms are y = gamma xhat + beta with xhat = (u - mean) rstd; backend/reference/norms.c derives the
 * gradient. LayerNorm takes mean and variance over the K latents of a row, BatchNorm over the rows of a
 * latent: in training those of the batch, over all members of the group, in evaluation the running ones. */
#include "sae/sae.h"
#include "ra_memory.h"

#include <math.h>

static const double MOMENTUM = 0.1; /* of torch.nn.BatchNorm1d */

static ra_encoder_weights view(const ra_encoder *encoder, const float *D) {
    ra_encoder_weights view = {.kind = encoder->kind,
                               .concepts = encoder->concepts,
                               .dimensions = encoder->dimensions,
                               .tensor = {[RA_ENCODER_WEIGHT] = D}};
    for (size_t i = 0; i < RA_ENCODER_TENSORS; i++)
        if (encoder->tensor[i]) view.tensor[i] = encoder->tensor[i]->value;
    return view;
}

static ra_norm norm_of(const ra_encoder *encoder, const ra_sae_pass *pass) {
    return (ra_norm){.by_row = ra_encoder_norm(encoder->kind) == RA_ENCODER_LAYER_NORM,
                     .mean = pass->mean,
                     .rstd = pass->rstd,
                     .gamma = encoder->tensor[RA_ENCODER_NORM_WEIGHT]->value,
                     .beta = encoder->tensor[RA_ENCODER_NORM_BIAS]->value};
}

/* ---- BatchNorm's statistics ---------------------------------------------------------------------------- */

/* The host's copies of arrays [K]. */
typedef struct latent_statistics {
    float *mean, *rstd, *running_mean, *running_var;
} latent_statistics;

/* sums [2,K]: sums of squared distances to the means, and the means. */
static void complete(const ra_encoder *encoder, const double *sums, double rows, latent_statistics *s) {
    const double *means = sums + encoder->concepts;
    for (size_t k = 0; k < encoder->concepts; k++) {
        double unbiased = sums[k] / (rows > 1 ? rows - 1 : 1);
        s->mean[k] = (float)means[k];
        s->rstd[k] = (float)(1 / sqrt(sums[k] / rows + RA_NORM_EPSILON));
        s->running_mean[k] = (float)((1 - MOMENTUM) * (double)s->running_mean[k] + MOMENTUM * means[k]);
        s->running_var[k] = (float)((1 - MOMENTUM) * (double)s->running_var[k] + MOMENTUM * unbiased);
    }
}

/* pass->sums [2,K] <- the sums for complete(), over the batch of all members; s <- the running ones, with the same
 * wait. */
static ra_status sum_latents(const ra_encoder *encoder, ra_backend *backend, ra_sae_pass *pass,
                             const latent_statistics *s, ra_error *err) {
    size_t K = encoder->concepts;
    double *sums = pass->sums, *means = sums + K;
    RA_TRY(ra_backend_column_sums(backend, pass->linear, pass->rows, K, NULL, means, err));
    RA_TRY(ra_group_sum_f64(encoder->group, means, K, err));
    for (size_t k = 0; k < K; k++) means[k] /= (double)pass->total_rows;
    size_t bytes = K * sizeof *s->running_mean;
    ra_backend_defer(backend, true);
    ra_status status = ra_backend_column_sums(backend, pass->linear, pass->rows, K, means, sums, err);
    ra_backend_defer(backend, false);
    RA_TRY(status);
    RA_TRY(ra_backend_download(backend, s->running_mean, encoder->tensor[RA_ENCODER_RUNNING_MEAN]->value,
                               bytes, err));
    RA_TRY(
        ra_backend_get(backend, s->running_var, encoder->tensor[RA_ENCODER_RUNNING_VAR]->value, bytes, err));
    return ra_group_sum_f64(encoder->group, sums, K, err);
}

static ra_status use_batch(ra_encoder *encoder, ra_backend *backend, ra_sae_pass *pass, latent_statistics *s,
                           ra_error *err) {
    size_t K = encoder->concepts, bytes = K * sizeof(float);
    float *running_mean = encoder->tensor[RA_ENCODER_RUNNING_MEAN]->value;
    float *running_var = encoder->tensor[RA_ENCODER_RUNNING_VAR]->value;
    RA_TRY(sum_latents(encoder, backend, pass, s, err));
    complete(encoder, pass->sums, (double)pass->total_rows, s);
    RA_TRY(ra_backend_put(backend, running_mean, s->running_mean, bytes, err));
    RA_TRY(ra_backend_put(backend, running_var, s->running_var, bytes, err));
    encoder->batches++;
    return RA_OK;
}

static ra_status use_running(const ra_encoder *encoder, ra_backend *backend, latent_statistics *s,
                             ra_error *err) {
    size_t K = encoder->concepts, bytes = K * sizeof(float);
    const float *running_var = encoder->tensor[RA_ENCODER_RUNNING_VAR]->value;
    RA_TRY(ra_backend_get(backend, s->mean, encoder->tensor[RA_ENCODER_RUNNING_MEAN]->value, bytes, err));
    RA_TRY(ra_backend_get(backend, s->running_var, running_var, bytes, err));
    ra_encoder_rstd(s->running_var, s->rstd, K);
    return RA_OK;
}

/* pass->mean, pass->rstd [K] <- the statistics for a BatchNorm. */
static ra_status batch_norm_statistics(ra_encoder *encoder, ra_backend *backend, bool training,
                                       ra_sae_pass *pass, ra_error *err) {
    size_t K = encoder->concepts, bytes = K * sizeof(float);
    float *copies = ra_malloc(4 * K, sizeof *copies);
    if (!copies) RA_FAIL_MEMORY(err, "the statistics of the latents", 4 * bytes);
    latent_statistics s = {copies, copies + K, copies + 2 * K, copies + 3 * K};
    ra_status status;
    if (training)
        RA_TRY_OUT(status, use_batch(encoder, backend, pass, &s, err));
    else
        RA_TRY_OUT(status, use_running(encoder, backend, &s, err));
    RA_TRY_OUT(status, ra_backend_put(backend, pass->mean, s.mean, bytes, err));
    RA_TRY_OUT(status, ra_backend_put(backend, pass->rstd, s.rstd, bytes, err));
out:
    if (status != RA_OK)
        (void)ra_backend_synchronize(backend, NULL); /* nothing is on its way to the copies */
    ra_free(copies);
    return status;
}

/* ---- forward ------------------------------------------------------------------------------------------- */

ra_status ra_encoder_forward(ra_encoder *encoder, ra_backend *backend, const float *x, size_t rows,
                             bool training, ra_sae_pass *pass, ra_error *err) {
    const ra_encoder_weights weights = view(encoder, pass->D);
    size_t K = encoder->concepts;
    bool has_norm = ra_encoder_norm(encoder->kind) != RA_ENCODER_NO_NORM;
    RA_TRY(ra_encoder_linear(ra_backend_default_stream(backend), &weights, x, rows,
                             has_norm ? pass->linear : pass->pre, err));
    if (!has_norm) return RA_OK;
    const ra_norm norm = norm_of(encoder, pass);
    if (norm.by_row)
        return ra_backend_layer_norm(backend, pass->linear, rows, K, RA_NORM_EPSILON, norm.gamma, norm.beta,
                                     pass->mean, pass->rstd, pass->pre, err);
    RA_TRY(batch_norm_statistics(encoder, backend, training, pass, err));
    return ra_backend_normalize(backend, &norm, 0, pass->linear, pass->pre, rows, K, err);
}

/* ---- backward ------------------------------------------------------------------------------------------ */

/* dpre, the gradient of y, becomes that of u; also computes the gradients of gamma and beta. The averages of
 * BatchNorm are over the rows of all members, so its sums are added up over the members here. */
static ra_status backward_norm(ra_encoder *encoder, ra_backend *backend, ra_sae_pass *pass, float *dpre,
                               ra_error *err) {
    const ra_norm norm = norm_of(encoder, pass);
    size_t K = encoder->concepts;
    double *sums = pass->sums;
    RA_TRY(ra_backend_norm_sums(backend, &norm, pass->linear, dpre, pass->rows, K, sums, err));
    if (!norm.by_row) RA_TRY(ra_group_sum_f64(encoder->group, sums, 2 * K, err));
    RA_TRY(ra_backend_put_doubles(backend, encoder->tensor[RA_ENCODER_NORM_WEIGHT]->gradient, sums, K, err));
    RA_TRY(
        ra_backend_put_doubles(backend, encoder->tensor[RA_ENCODER_NORM_BIAS]->gradient, sums + K, K, err));
    return ra_backend_norm_backward(backend, &norm, pass->linear, norm.by_row ? NULL : sums,
                                    norm.by_row ? 0 : (double)pass->total_rows, dpre, pass->rows, K, err);
}

/* The gradient of a bias before a BatchNorm is 0, because the norm subtracts it again. The rounding error of
 * a computed sum would not do: Adam would turn it into whole steps. */
static ra_status backward_bias(ra_encoder *encoder, ra_backend *backend, ra_sae_pass *pass, const float *dpre,
                               ra_error *err) {
    size_t K = encoder->concepts;
    float *gradient = encoder->tensor[RA_ENCODER_BIAS]->gradient;
    if (ra_encoder_norm(encoder->kind) == RA_ENCODER_BATCH_NORM)
        return ra_backend_axpby(backend, 0, NULL, 0, gradient, K, err);
    double *sums = ra_malloc(K, sizeof *sums);
    if (!sums) RA_FAIL_MEMORY(err, "the gradient of the encoder's bias", K * sizeof *sums);
    ra_status status = ra_backend_column_sums(backend, dpre, pass->rows, K, NULL, sums, err);
    if (status == RA_OK) status = ra_backend_put_doubles(backend, gradient, sums, K, err);
    ra_free(sums);
    return status;
}

static ra_status backward_sparse(ra_encoder *encoder, ra_backend *backend, const float *x, ra_sae_pass *pass,
                                 float *dD, ra_error *err) {
    size_t d = encoder->dimensions;
    float *weight = dD, *bias = encoder->tensor[RA_ENCODER_BIAS]->gradient;
    if (encoder->tensor[RA_ENCODER_WEIGHT]) {
        weight = encoder->tensor[RA_ENCODER_WEIGHT]->gradient;
        RA_TRY(ra_backend_axpby(backend, 0, NULL, 0, weight, pass->atom_count * d, err));
    }
    RA_TRY(ra_backend_latent_sums(backend, &pass->codes, pass->dvalue.data, bias, err));
    return ra_backend_accumulate(backend, ra_sae_pass_codes(pass), pass->dvalue.data, x, d, weight, err);
}

ra_status ra_encoder_backward(ra_encoder *encoder, ra_backend *backend, const float *x, ra_sae_pass *pass,
                              float *dpre, float *dD, ra_error *err) {
    if (!dpre) return backward_sparse(encoder, backend, x, pass, dD, err);
    size_t K = encoder->concepts, d = encoder->dimensions;
    const ra_parameter *own = encoder->tensor[RA_ENCODER_WEIGHT];
    if (ra_encoder_norm(encoder->kind)) RA_TRY(backward_norm(encoder, backend, pass, dpre, err));
    if (encoder->tensor[RA_ENCODER_BIAS]) RA_TRY(backward_bias(encoder, backend, pass, dpre, err));
    return ra_backend_gemm(backend, true, false, K, d, pass->rows, 1, dpre, K, x, d, own ? 0 : 1,
                           own ? own->gradient : dD, d, err);
}
