/* TopK (Gao et al. 2024): of each row the k largest codes. Zeros among them carry neither value nor gradient,
 * so only positive ones are kept. */
#include "sae/activation.h"

static ra_status evaluate(const ra_activation *activation, ra_stream stream, const float *pre, size_t rows,
                          size_t concepts, ra_codes *codes, ra_error *err) {
    return ra_stream_top_k(stream, pre, rows, concepts, activation->top_k, 0, codes, err);
}

const ra_activation_type ra_activation_topk = {
    .name = "topk", .needs_top_k = true, .evaluation_needs_top_k = true, .evaluate = evaluate};
