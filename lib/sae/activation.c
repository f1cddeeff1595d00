/* The table of activations, and the two of them that are a single operation of the backend. */
#include "sae/activation.h"

#include <math.h>

/* relu: every positive pre-code is a code. */
static ra_status relu_evaluate(const ra_activation *activation, ra_stream stream, const float *pre,
                               size_t rows, size_t concepts, ra_codes *codes, ra_error *err) {
    (void)activation;
    return ra_stream_threshold(stream, pre, rows, concepts, NULL, 0, codes, err);
}

const ra_activation_type ra_activation_relu = {.evaluate = relu_evaluate};

/* topk (Gao et al. 2024): the k largest codes of each row, if they are positive: a zero has neither value nor
 * gradient. */
static ra_status topk_evaluate(const ra_activation *activation, ra_stream stream, const float *pre,
                               size_t rows, size_t concepts, ra_codes *codes, ra_error *err) {
    return ra_stream_top_k(stream, pre, rows, concepts, activation->top_k, 0, codes, err);
}

const ra_activation_type ra_activation_topk = {
    .needs = 1 << RA_SET_TOP_K, .evaluation_needs = 1 << RA_SET_TOP_K, .evaluate = topk_evaluate};

#define ROW(ID, name) [RA_SAE_##ID] = &ra_activation_##name,
const ra_activation_type *const ra_activation_types[RA_SAE_KIND_COUNT] = {RA_ACTIVATIONS(ROW)};

void ra_activation_thresholds(const float *theta, float *thresholds, size_t concepts) {
    for (size_t k = 0; k < concepts; k++) thresholds[k] = expf(theta[k]);
}
