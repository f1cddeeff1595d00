#include "sae/hidden.h"
#include "base/pool.h"

#include <math.h>

size_t ra_hidden_width(const ra_hidden *hidden) {
    size_t width = 0;
    for (size_t i = 0; i < hidden->count; i++)
        if (hidden->layer[i].outputs > width) width = hidden->layer[i].outputs;
    return width;
}

/* ---- evaluation ---------------------------------------------------------------------------------------- */

/* As torch.nn has them without arguments; numbers are float32, as there. */
static float activate(ra_hidden_activation activation, float x) {
    switch (activation) {
    case RA_HIDDEN_RELU:
        return x > 0 ? x : 0;
    case RA_HIDDEN_GELU:
        return 0.5f * x * (1 + erff(x * 0.70710678f));
    case RA_HIDDEN_SILU:
        return x / (1 + expf(-x));
    case RA_HIDDEN_TANH:
        return tanhf(x);
    case RA_HIDDEN_SIGMOID:
        return 1 / (1 + expf(-x));
    case RA_HIDDEN_ELU:
        return x > 0 ? x : expm1f(x);
    case RA_HIDDEN_LEAKY_RELU:
        return x > 0 ? x : 0.01f * x;
    case RA_HIDDEN_IDENTITY:
    case RA_HIDDEN_COUNT:
        break;
    }
    return x;
}

typedef struct activation_job {
    ra_hidden_activation activation;
    const float *residual; /* [rows,n]; NULL: none */
    float *y;              /* [rows,n] */
    size_t n;
} activation_job;

static void activate_row(void *context, size_t row) {
    const activation_job *job = context;
    float *y = job->y + row * job->n;
    for (size_t j = 0; j < job->n; j++) y[j] = activate(job->activation, y[j]);
    if (!job->residual) return;
    const float *x = job->residual + row * job->n;
    for (size_t j = 0; j < job->n; j++) y[j] += x[j];
}

ra_status ra_hidden_evaluate(const ra_hidden *hidden, ra_stream stream, ra_pool *pool, const float *x,
                             size_t rows, float *scratch, float *statistics, const float **out,
                             ra_error *err) {
    size_t part = rows * ra_hidden_width(hidden);
    *out = x;
    for (size_t i = 0; i < hidden->count; i++) {
        const ra_hidden_layer *layer = &hidden->layer[i];
        float *y = scratch + i % 2 * part;
        size_t n = layer->outputs, inputs = layer->inputs;
        RA_TRY(ra_stream_gemm_bias(stream, *out, rows, layer->tensor[RA_ENCODER_WEIGHT], n, inputs,
                                   layer->tensor[RA_ENCODER_BIAS], y, n, err));
        RA_TRY(ra_encoder_normalize(stream, &layer->scale, statistics, y, rows, n, err));
        activation_job job = {hidden->activation, hidden->residual && inputs == n ? *out : NULL, y, n};
        ra_pool_run(pool, rows, activate_row, &job);
        *out = y;
    }
    return RA_OK;
}
