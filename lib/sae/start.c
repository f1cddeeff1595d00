/* An encoder that starts along its atoms.
 *
 * torch.nn.Linear starts at random, and a latent then drags its atom to wherever chance has pointed the
 * encoder: of the place that the atom started from, a point of the data, little is left, and two runs over
 * the same points end far apart. An encoder row along the atom keeps it there. Its length decides how fast
 * Adam, whose steps are of one size, can turn it: too long, and it hardly learns; too short, and it forgets
 * the start. The length taken is the one that explains a sample of the data best, which makes the start
 * independent of the scale of the data.
 *
 * It is searched for among the powers of sqrt(2), since the thresholds of jumprelu make a latent's activity
 * depend on it. With a bias of zero the pre-codes are proportional to the length, so that the product with
 * the encoder is computed once. Encoders with a norm do not depend on the length; theirs stays one. */
#include "sae/sae.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>

enum { SHORTEST = -24, LONGEST = 8 }; /* exponents of sqrt(2) */

/* Backend memory. */
typedef struct sample {
    ra_sae *sae;
    const float *x; /* [rows,d] */
    size_t rows;
    const float *D;
    float *pre;    /* [rows,K] of encoder rows of length one */
    float *scaled; /* [rows,K] */
    float *x_hat;  /* [rows,d] */
    ra_codes codes;
} sample;

/* An atom without a point keeps the row that was drawn for it, so that it can wake. */
static void aim(float *weight, const float *D, size_t K, size_t d) {
    for (size_t k = 0; k < K; k++) {
        double square = ra_dot_f64(D + k * d, D + k * d, d);
        if (square == 0) continue;
        double scale = 1 / sqrt(square);
        for (size_t j = 0; j < d; j++) weight[k * d + j] = (float)(scale * (double)D[k * d + j]);
    }
}

/* The weight <- its rows along those of D, where the host can do it. */
static ra_status aim_encoder(ra_sae *sae, const ra_parameter *weight, const float *D, ra_error *err) {
    size_t n = ra_parameter_size(weight), bytes = n * sizeof(float);
    void *mirror = NULL;
    const void *atoms = NULL;
    float *rows = ra_malloc(n, sizeof *rows);
    if (!rows) RA_FAIL_MEMORY(err, "the encoder's start", bytes);
    ra_status status = ra_backend_view(sae->backend, D, bytes, &mirror, &atoms, err);
    if (status == RA_OK) status = ra_backend_get(sae->backend, rows, weight->value, bytes, err);
    if (status == RA_OK) {
        aim(rows, atoms, weight->shape[0], weight->shape[1]);
        status = ra_backend_put(sae->backend, weight->value, rows, bytes, err);
    }
    ra_free(mirror);
    ra_free(rows);
    return status;
}

/* ||x - x_hat||^2 with encoder rows of this length. */
static ra_status residual(sample *s, float length, double *sum, ra_error *err) {
    size_t K = s->sae->encoder.concepts, d = s->sae->encoder.dimensions;
    ra_activation activation = s->sae->activation; /* a copy: batchtopk's running threshold must not move */
    const ra_activation_type *type = ra_activation_types[activation.kind];
    RA_TRY(ra_backend_axpby(s->sae->backend, length, s->pre, 0, s->scaled, s->rows * K, err));
    if (type->train)
        RA_TRY(type->train(&activation, s->sae->backend, s->scaled, s->rows, K, &s->codes, err));
    else
        RA_TRY(type->evaluate(&activation, ra_backend_default_stream(s->sae->backend), s->scaled, s->rows, K,
                              &s->codes, err));
    RA_TRY(ra_backend_decode(s->sae->backend, &s->codes, RA_F32, s->D, d, s->x_hat, err));
    return ra_backend_squared_error(s->sae->backend, s->x, s->x_hat, s->rows * d, 1, s->x_hat, sum, err);
}

static ra_status best_length(sample *s, float *best, ra_error *err) {
    double least = INFINITY;
    size_t K = s->sae->encoder.concepts, d = s->sae->encoder.dimensions;
    RA_TRY(ra_backend_gemm(s->sae->backend, false, true, s->rows, K, d, 1, s->x, d,
                           s->sae->encoder.tensor[RA_ENCODER_WEIGHT]->value, d, 0, s->pre, K, err));
    *best = 1;
    for (int exponent = SHORTEST; exponent <= LONGEST; exponent++) {
        double sum;
        float length = (float)exp2(0.5 * exponent);
        RA_TRY(residual(s, length, &sum, err));
        if (sum < least) {
            least = sum;
            *best = length;
        }
    }
    return RA_OK;
}

static ra_status fit_length(ra_sae *sae, const float *x, size_t rows, const float *D, ra_error *err) {
    void *blocks[4] = {NULL};
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions;
    const size_t sizes[] = {rows * K, rows * K, rows * d, rows * d};
    const ra_parameter *weight = sae->encoder.tensor[RA_ENCODER_WEIGHT];
    sample s = {.sae = sae, .rows = rows, .D = D};
    float length = 1;
    ra_status status = RA_OK;
    for (size_t i = 0; i < 4; i++)
        RA_TRY_OUT(status, ra_backend_allocate(sae->backend, sizes[i] * sizeof(float), &blocks[i], err));
    s.pre = blocks[0], s.scaled = blocks[1], s.x_hat = blocks[2], s.x = blocks[3];
    RA_TRY_OUT(status, ra_backend_put(sae->backend, blocks[3], x, rows * d * sizeof *x, err));
    RA_TRY_OUT(status, best_length(&s, &length, err));
    RA_TRY_OUT(status, ra_backend_axpby(sae->backend, 0, NULL, length, weight->value, K * d, err));
out:
    for (size_t i = 0; i < 4; i++) ra_backend_deallocate(sae->backend, blocks[i]);
    ra_codes_release(&s.codes);
    return status;
}

ra_status ra_sae_start_at_dictionary(ra_sae *sae, const float *x, size_t rows, ra_error *err) {
    const float *D;
    const ra_parameter *weight = sae->encoder.tensor[RA_ENCODER_WEIGHT],
                       *bias = sae->encoder.tensor[RA_ENCODER_BIAS];
    if (!weight)
        RA_FAIL(err, RA_ERR_STATE, "this encoder has no weights of its own to start along the atoms");
    RA_TRY(ra_sae_thresholds(sae, err));
    RA_TRY(ra_dictionary_get(sae->dictionary, &D, err));
    RA_TRY(aim_encoder(sae, weight, D, err));
    RA_TRY(ra_backend_axpby(sae->backend, 0, NULL, 0, bias->value, sae->encoder.concepts, err));
    if (sae->encoder.kind == RA_ENCODER_LINEAR && rows > 0) RA_TRY(fit_length(sae, x, rows, D, err));
    ra_sae_changed(sae);
    return RA_OK;
}
