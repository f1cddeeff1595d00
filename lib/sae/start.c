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
#include "base/error.h"

#include <math.h>

enum { SHORTEST = -24, LONGEST = 8 }; /* exponents of sqrt(2) */

typedef struct sample {
    ra_sae *sae;
    const float *x; /* [rows,d] */
    size_t rows;
    const float *D;
    float *pre;    /* [rows,K] of atoms of length one */
    float *scaled; /* [rows,K] */
    float *x_hat;  /* [rows,d] */
    ra_codes codes;
} sample;

static void aim(const ra_parameter *weight, const float *D) {
    size_t K = weight->shape[0], d = weight->shape[1];
    for (size_t k = 0; k < K; k++) {
        double square = 0;
        for (size_t j = 0; j < d; j++) square += (double)D[k * d + j] * (double)D[k * d + j];
        if (square == 0)
            continue; /* an atom without a point: its row stays as it was drawn, so that it can wake */
        double scale = 1 / sqrt(square);
        for (size_t j = 0; j < d; j++) weight->value[k * d + j] = (float)(scale * (double)D[k * d + j]);
    }
}

/* ||x - x_hat||^2 with encoder rows of this length. */
static ra_status residual(sample *s, float length, double *sum, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(s->sae->backend);
    void *self = ra_backend_self(s->sae->backend);
    size_t K = s->sae->encoder.concepts, d = s->sae->encoder.dimensions;
    ra_activation activation = s->sae->activation; /* a copy: batchtopk's running threshold must not move */
    const ra_activation_type *type = ra_activation_types[activation.kind];
    RA_TRY(ops->combine(self, NULL, length, s->pre, 0, s->scaled, s->rows * K, err));
    if (type->train)
        RA_TRY(type->train(&activation, s->sae->backend, s->scaled, s->rows, K, &s->codes, err));
    else
        RA_TRY(type->evaluate(&activation, s->sae->backend, NULL, s->scaled, s->rows, K, &s->codes, err));
    RA_TRY(ops->decode(self, NULL, &s->codes, RA_F32, s->D, d, s->x_hat, err));
    *sum = 0;
    for (size_t i = 0; i < s->rows * d; i++) {
        double gap = (double)s->x[i] - (double)s->x_hat[i];
        *sum += gap * gap;
    }
    return RA_OK;
}

static ra_status best_length(sample *s, float *best, ra_error *err) {
    double least = INFINITY;
    RA_TRY(ra_backend_operations(s->sae->backend)
               ->gemm(ra_backend_self(s->sae->backend), NULL, false, true, s->rows, s->sae->encoder.concepts,
                      s->sae->encoder.dimensions, 1, s->x, s->sae->encoder.dimensions,
                      s->sae->encoder.tensor[RA_ENCODER_WEIGHT]->value, s->sae->encoder.dimensions, 0, s->pre,
                      s->sae->encoder.concepts, err));
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
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions;
    const ra_parameter *weight = sae->encoder.tensor[RA_ENCODER_WEIGHT];
    sample s = {.sae = sae, .x = x, .rows = rows, .D = D};
    float length = 1;
    s.pre = ra_malloc(rows * K, sizeof *s.pre);
    s.scaled = ra_malloc(rows * K, sizeof *s.scaled);
    s.x_hat = ra_malloc(rows * d, sizeof *s.x_hat);
    ra_status status = RA_OK;
    if (!s.pre || !s.scaled || !s.x_hat)
        status = ra_error_set(err, RA_ERR_MEMORY,
                              "out of memory: the codes of %zu rows for the encoder's start", rows);
    if (status == RA_OK) status = best_length(&s, &length, err);
    if (status == RA_OK)
        for (size_t i = 0; i < K * d; i++) weight->value[i] *= length;
    ra_free(s.pre);
    ra_free(s.scaled);
    ra_free(s.x_hat);
    ra_codes_release(&s.codes);
    return status;
}

ra_status ra_sae_start_at_dictionary(ra_sae *sae, const float *x, size_t rows, ra_error *err) {
    const float *D;
    const ra_parameter *weight = sae->encoder.tensor[RA_ENCODER_WEIGHT],
                       *bias = sae->encoder.tensor[RA_ENCODER_BIAS];
    if (!weight)
        RA_FAIL(err, RA_ERR_STATE, "this encoder has no weights of its own to start along the atoms");
    RA_TRY(ra_dictionary_get(sae->dictionary, &D, err));
    aim(weight, D);
    for (size_t k = 0; k < sae->encoder.concepts; k++) bias->value[k] = 0;
    if (sae->encoder.kind == RA_ENCODER_LINEAR && rows > 0) RA_TRY(fit_length(sae, x, rows, D, err));
    ra_sae_changed(sae);
    return RA_OK;
}
