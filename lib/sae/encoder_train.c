/* Training mode of the encoders: forward that remembers, and backward.
 *
 * Both norms are y = gamma xhat + beta with xhat = (u - mean) rstd; LayerNorm takes mean and variance over
 * the K latents of a row, BatchNorm over the B rows of a latent. With dxhat = gamma dy and averages over the
 * same set, du = rstd (dxhat - avg(dxhat) - xhat avg(dxhat xhat)),   dgamma = sum_b dy xhat,   dbeta = sum_b
 * dy. */
#include "sae/sae.h"
#include "base/error.h"
#include "base/pool.h"

#include <math.h>
#include <string.h>

static const double NORM_EPSILON = 1e-5, MOMENTUM = 0.1; /* of torch.nn.BatchNorm1d */
enum { ROWS_PER_PART = 16, LATENTS_PER_PART = 64 };

typedef struct train_job {
    ra_encoder *encoder;
    ra_sae_pass *pass;
    float *dpre; /* [B,K] dy; becomes du */
    bool squares;
} train_job;

ra_encoder_weights ra_encoder_view(const ra_encoder *encoder, const float *D) {
    ra_encoder_weights view = {.kind = encoder->kind,
                               .concepts = encoder->concepts,
                               .dimensions = encoder->dimensions,
                               .tensor = {[RA_ENCODER_WEIGHT] = D}};
    for (size_t i = 0; i < RA_ENCODER_TENSORS; i++)
        if (encoder->tensor[i]) view.tensor[i] = encoder->tensor[i]->value;
    return view;
}

/* ---- statistics
 * ----------------------------------------------------------------------------------------------------- */

static void row_statistics_part(void *context, size_t part) {
    const train_job *job = context;
    size_t K = job->encoder->concepts;
    for (size_t b = part * ROWS_PER_PART; b < ra_pool_part_end(part, ROWS_PER_PART, job->pass->rows); b++) {
        const float *row = job->pass->linear + b * K;
        double sum = 0, squares = 0;
        for (size_t k = 0; k < K; k++) sum += (double)row[k];
        double mean = sum / (double)K;
        for (size_t k = 0; k < K; k++) squares += ((double)row[k] - mean) * ((double)row[k] - mean);
        job->pass->mean[b] = (float)mean;
        job->pass->rstd[b] = (float)(1 / sqrt(squares / (double)K + NORM_EPSILON));
    }
}

/* pass->sums [K] <- sums over this member's rows of a latent: of its values, or of their squared distances to
 * the means, which stand in sums [K..2K). */
static void latent_sum_part(void *context, size_t part) {
    const train_job *job = context;
    size_t K = job->encoder->concepts, first = part * LATENTS_PER_PART,
           count = ra_pool_part_end(part, LATENTS_PER_PART, K) - first;
    const float *values = job->pass->linear + first;
    const double *means = job->pass->sums + K + first;
    double *sums = job->pass->sums + first;
    for (size_t k = 0; k < count; k++) sums[k] = 0;
    for (size_t b = 0; b < job->pass->rows; b++)
        for (size_t k = 0; k < count; k++) {
            double value = (double)values[b * K + k];
            sums[k] += job->squares ? (value - means[k]) * (value - means[k]) : value;
        }
}

/* Mean and variance of each latent over the batch of all members, and the running ones. */
static ra_status latent_statistics(train_job *job, ra_pool *pool, ra_error *err) {
    ra_encoder *encoder = job->encoder;
    ra_sae_pass *pass = job->pass;
    size_t K = encoder->concepts, parts = ra_pool_parts(K, LATENTS_PER_PART);
    double *sums = pass->sums, *means = sums + K, B = (double)pass->total_rows;
    float *running_mean = encoder->tensor[RA_ENCODER_RUNNING_MEAN]->value;
    float *running_var = encoder->tensor[RA_ENCODER_RUNNING_VAR]->value;
    job->squares = false;
    ra_pool_run(pool, parts, latent_sum_part, job);
    RA_TRY(ra_group_sum_f64(encoder->group, sums, K, err));
    for (size_t k = 0; k < K; k++) means[k] = sums[k] / B;
    job->squares = true;
    ra_pool_run(pool, parts, latent_sum_part, job);
    RA_TRY(ra_group_sum_f64(encoder->group, sums, K, err));
    for (size_t k = 0; k < K; k++) {
        double unbiased = sums[k] / (B > 1 ? B - 1 : 1);
        pass->mean[k] = (float)means[k];
        pass->rstd[k] = (float)(1 / sqrt(sums[k] / B + NORM_EPSILON));
        running_mean[k] = (float)((1 - MOMENTUM) * (double)running_mean[k] + MOMENTUM * means[k]);
        running_var[k] = (float)((1 - MOMENTUM) * (double)running_var[k] + MOMENTUM * unbiased);
    }
    encoder->batches++;
    return RA_OK;
}

/* xhat of entry (b, k) */
static float normalised(const train_job *job, size_t b, size_t k) {
    const ra_sae_pass *pass = job->pass;
    size_t i = job->encoder->kind == RA_ENCODER_MLP_LN_1 ? b : k;
    return (pass->linear[b * job->encoder->concepts + k] - pass->mean[i]) * pass->rstd[i];
}

static void apply_part(void *context, size_t part) {
    const train_job *job = context;
    size_t K = job->encoder->concepts;
    const float *gamma = job->encoder->tensor[RA_ENCODER_NORM_WEIGHT]->value;
    const float *beta = job->encoder->tensor[RA_ENCODER_NORM_BIAS]->value;
    for (size_t b = part * ROWS_PER_PART; b < ra_pool_part_end(part, ROWS_PER_PART, job->pass->rows); b++)
        for (size_t k = 0; k < K; k++) job->pass->pre[b * K + k] = normalised(job, b, k) * gamma[k] + beta[k];
}

ra_status ra_encoder_forward(ra_encoder *encoder, ra_backend *backend, const float *x, size_t rows,
                             ra_sae_pass *pass, ra_error *err) {
    ra_encoder_weights linear = ra_encoder_view(encoder, pass->D);
    linear.kind = RA_ENCODER_LINEAR;
    bool norm = ra_encoder_has_norm(encoder->kind);
    RA_TRY(ra_encoder_evaluate(backend, &linear, x, rows, norm ? pass->linear : pass->pre, err));
    if (!norm) return RA_OK;
    ra_pool *pool = ra_backend_pool(backend);
    train_job job = {encoder, pass, NULL, false};
    if (encoder->kind == RA_ENCODER_MLP_LN_1)
        ra_pool_run(pool, ra_pool_parts(rows, ROWS_PER_PART), row_statistics_part, &job);
    else
        RA_TRY(latent_statistics(&job, pool, err));
    ra_pool_run(pool, ra_pool_parts(rows, ROWS_PER_PART), apply_part, &job);
    return RA_OK;
}

/* ---- backward
 * ---------------------------------------------------------------------------------------------------------
 */

/* sums [2,K] <- dgamma, dbeta over this member's rows. */
static void affine_part(void *context, size_t part) {
    const train_job *job = context;
    size_t K = job->encoder->concepts, first = part * LATENTS_PER_PART,
           last = ra_pool_part_end(part, LATENTS_PER_PART, K);
    double *dgamma = job->pass->sums, *dbeta = dgamma + K;
    for (size_t k = first; k < last; k++) dgamma[k] = dbeta[k] = 0;
    for (size_t b = 0; b < job->pass->rows; b++)
        for (size_t k = first; k < last; k++) {
            double dy = (double)job->dpre[b * K + k];
            dgamma[k] += dy * (double)normalised(job, b, k);
            dbeta[k] += dy;
        }
}

static void batch_norm_backward_part(void *context, size_t part) {
    const train_job *job = context;
    const ra_sae_pass *pass = job->pass;
    size_t K = job->encoder->concepts, first = part * LATENTS_PER_PART,
           last = ra_pool_part_end(part, LATENTS_PER_PART, K);
    const float *gamma = job->encoder->tensor[RA_ENCODER_NORM_WEIGHT]->value;
    const double *dgamma = pass->sums, *dbeta = dgamma + K, B = (double)pass->total_rows;
    for (size_t b = 0; b < pass->rows; b++)
        for (size_t k = first; k < last; k++) {
            float *dy = &job->dpre[b * K + k];
            double centred = (double)*dy - dbeta[k] / B - (double)normalised(job, b, k) * dgamma[k] / B;
            *dy = (float)((double)gamma[k] * (double)pass->rstd[k] * centred);
        }
}

/* dgamma and dbeta; for BatchNorm summed over the members, whose rows its averages run over. */
static ra_status backward_affine(train_job *job, ra_pool *pool, ra_error *err) {
    const ra_encoder *encoder = job->encoder;
    const ra_parameter *const *p = encoder->tensor;
    size_t K = encoder->concepts;
    double *sums = job->pass->sums;
    ra_pool_run(pool, ra_pool_parts(K, LATENTS_PER_PART), affine_part, job);
    if (encoder->kind == RA_ENCODER_MLP_BN_1) RA_TRY(ra_group_sum_f64(encoder->group, sums, 2 * K, err));
    for (size_t k = 0; k < K; k++) {
        p[RA_ENCODER_NORM_WEIGHT]->gradient[k] = (float)sums[k];
        p[RA_ENCODER_NORM_BIAS]->gradient[k] = (float)sums[K + k];
    }
    return RA_OK;
}

static void layer_norm_backward_part(void *context, size_t part) {
    const train_job *job = context;
    size_t K = job->encoder->concepts;
    const float *gamma = job->encoder->tensor[RA_ENCODER_NORM_WEIGHT]->value;
    for (size_t b = part * ROWS_PER_PART; b < ra_pool_part_end(part, ROWS_PER_PART, job->pass->rows); b++) {
        float *row = job->dpre + b * K;
        double sum = 0, product = 0;
        for (size_t k = 0; k < K; k++) {
            double dxhat = (double)gamma[k] * (double)row[k];
            sum += dxhat;
            product += dxhat * (double)normalised(job, b, k);
        }
        for (size_t k = 0; k < K; k++)
            row[k] =
                (float)((double)job->pass->rstd[b] * ((double)gamma[k] * (double)row[k] - sum / (double)K -
                                                      (double)normalised(job, b, k) * product / (double)K));
    }
}

static void bias_part(void *context, size_t part) {
    const train_job *job = context;
    size_t K = job->encoder->concepts, first = part * LATENTS_PER_PART,
           count = ra_pool_part_end(part, LATENTS_PER_PART, K) - first;
    double sums[LATENTS_PER_PART] = {0};
    for (size_t b = 0; b < job->pass->rows; b++)
        for (size_t k = 0; k < count; k++) sums[k] += (double)job->dpre[b * K + first + k];
    for (size_t k = 0; k < count; k++)
        job->encoder->tensor[RA_ENCODER_BIAS]->gradient[first + k] = (float)sums[k];
}

static ra_status backward_sparse(ra_encoder *encoder, ra_backend *backend, const float *x, ra_sae_pass *pass,
                                 float *dD, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    void *self = ra_backend_self(backend);
    size_t d = encoder->dimensions;
    float *weight = dD, *bias = encoder->tensor[RA_ENCODER_BIAS]->gradient;
    if (encoder->tensor[RA_ENCODER_WEIGHT]) {
        weight = encoder->tensor[RA_ENCODER_WEIGHT]->gradient;
        RA_TRY(ops->combine(self, NULL, 0, NULL, 0, weight, pass->atom_count * d, err));
    }
    memset(bias, 0, encoder->concepts * sizeof *bias);
    for (size_t e = 0; e < ra_codes_entries(&pass->codes); e++) bias[pass->codes.index[e]] += pass->dvalue[e];
    return ops->accumulate(self, NULL, ra_sae_pass_codes(pass), pass->dvalue, x, d, weight, err);
}

ra_status ra_encoder_backward(ra_encoder *encoder, ra_backend *backend, const float *x, ra_sae_pass *pass,
                              float *dpre, float *dD, ra_error *err) {
    if (!dpre) return backward_sparse(encoder, backend, x, pass, dD, err);
    size_t K = encoder->concepts, d = encoder->dimensions, B = pass->rows;
    ra_pool *pool = ra_backend_pool(backend);
    train_job job = {encoder, pass, dpre, false};
    if (ra_encoder_has_norm(encoder->kind)) RA_TRY(backward_affine(&job, pool, err));
    if (encoder->kind == RA_ENCODER_MLP_BN_1)
        ra_pool_run(pool, ra_pool_parts(K, LATENTS_PER_PART), batch_norm_backward_part, &job);
    if (encoder->kind == RA_ENCODER_MLP_LN_1)
        ra_pool_run(pool, ra_pool_parts(B, ROWS_PER_PART), layer_norm_backward_part, &job);
    const ra_parameter *bias = encoder->tensor[RA_ENCODER_BIAS], *own = encoder->tensor[RA_ENCODER_WEIGHT];
    if (bias && encoder->kind == RA_ENCODER_MLP_BN_1) /* BatchNorm takes it out again: its gradient is 0, and
                                                       * a sum's rounding would become whole steps in Adam */
        memset(bias->gradient, 0, K * sizeof *bias->gradient);
    else if (bias)
        ra_pool_run(pool, ra_pool_parts(K, LATENTS_PER_PART), bias_part, &job);
    return ra_backend_operations(backend)->gemm(ra_backend_self(backend), NULL, true, false, K, d, B, 1, dpre,
                                                K, x, d, own ? 0 : 1, own ? own->gradient : dD, d, err);
}
