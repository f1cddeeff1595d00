/* An encoder that starts along its atoms.
 *
 * torch.nn.Linear starts at random. A latent then moves its atom to wherever its encoder row points by
 * chance: little is left of the atom's start, a point of the data, and two runs over the same points end far
 * apart. An encoder row along the atom keeps it near that point. The length of the row decides how fast Adam,
 * whose steps have one size, can turn it: a row that is too long hardly learns, one that is too short soon
 * forgets the start. The length is the one that explains a sample of the data best, so that the start does
 * not depend on the scale of the data.
 *
 * The search tries the powers of sqrt(2): with jumprelu, thresholds make a latent's activity depend on the
 * length. With a bias of 0 the pre-codes are proportional to the length, so that x E^T is computed once. An
 * encoder with a norm does not depend on the length; its rows keep the length one. */
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
    float *pre;    /* [rows,K] with encoder rows of length one */
    float *scaled; /* [rows,K] */
    float *x_hat;  /* [rows,d] */
    ra_codes codes;
} sample;

/* The row of a zero atom keeps its random values, so that the latent can become active. */
static void aim(float *weight, const float *D, size_t K, size_t d) {
    for (size_t k = 0; k < K; k++) {
        double square = ra_dot_f64(D + k * d, D + k * d, d);
        if (square == 0) continue;
        double scale = 1 / sqrt(square);
        for (size_t j = 0; j < d; j++) weight[k * d + j] = (float)(scale * (double)D[k * d + j]);
    }
}

/* The weight <- rows along those of D; the host computes them. */
static ra_status aim_encoder(ra_sae *sae, const ra_parameter *weight, const float *D, ra_error *err) {
    size_t n = ra_parameter_size(weight), bytes = n * sizeof(float);
    void *copy = NULL;
    const void *atoms = NULL;
    float *rows = ra_malloc(n, sizeof *rows);
    if (!rows) RA_FAIL_MEMORY(err, "the encoder's start", bytes);
    ra_status status = ra_backend_view(sae->backend, D, bytes, &copy, &atoms, err);
    if (status == RA_OK) status = ra_backend_get(sae->backend, rows, weight->value, bytes, err);
    if (status == RA_OK) {
        aim(rows, atoms, weight->shape[0], weight->shape[1]);
        status = ra_backend_put(sae->backend, weight->value, rows, bytes, err);
    }
    ra_free(copy);
    ra_free(rows);
    return status;
}

/* *sum <- ||x - x_hat||^2 with encoder rows of this length. */
static ra_status residual(sample *s, float length, double *sum, ra_error *err) {
    size_t K = s->sae->encoder.concepts, d = s->sae->encoder.dimensions;
    ra_activation activation = s->sae->activation; /* a copy: batchtopk must keep its running threshold */
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
    void *memory[4] = {NULL};
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions;
    const size_t sizes[] = {rows * K, rows * K, rows * d, rows * d};
    const ra_parameter *weight = sae->encoder.tensor[RA_ENCODER_WEIGHT];
    sample s = {.sae = sae, .rows = rows, .D = D};
    float length = 1;
    ra_status status = RA_OK;
    for (size_t i = 0; i < 4; i++)
        RA_TRY_OUT(status, ra_backend_allocate(sae->backend, sizes[i] * sizeof(float), &memory[i], err));
    s.pre = memory[0], s.scaled = memory[1], s.x_hat = memory[2], s.x = memory[3];
    RA_TRY_OUT(status, ra_backend_put(sae->backend, memory[3], x, rows * d * sizeof *x, err));
    RA_TRY_OUT(status, best_length(&s, &length, err));
    RA_TRY_OUT(status, ra_backend_axpby(sae->backend, 0, NULL, length, weight->value, K * d, err));
out:
    for (size_t i = 0; i < 4; i++) ra_backend_deallocate(sae->backend, memory[i]);
    ra_codes_release(&s.codes);
    return status;
}

ra_status ra_sae_start_at_dictionary(ra_sae *sae, const float *x, size_t rows, ra_error *err) {
    const float *D;
    const ra_parameter *weight = sae->encoder.tensor[RA_ENCODER_WEIGHT],
                       *bias = sae->encoder.tensor[RA_ENCODER_BIAS];
    if (!weight) RA_FAIL(err, RA_ERR_STATE, "the encoder has no weights of its own to start along the atoms");
    RA_TRY(ra_sae_thresholds(sae, err));
    RA_TRY(ra_dictionary_get(sae->dictionary, &D, err));
    RA_TRY(aim_encoder(sae, weight, D, err));
    RA_TRY(ra_backend_axpby(sae->backend, 0, NULL, 0, bias->value, sae->encoder.concepts, err));
    if (ra_encoder_norm(sae->encoder.kind) == RA_ENCODER_NO_NORM && rows > 0)
        RA_TRY(fit_length(sae, x, rows, D, err));
    ra_sae_changed(sae);
    return RA_OK;
}
