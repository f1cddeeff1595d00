/* BatchTopK (Bussmann et al. 2024): in training the k * B largest codes of the whole batch (all that equal
 * the last one as well, as in the reference); in evaluation what reaches a running threshold, an exponential
 * average of the training batches' last codes. The reference's top_k counts the whole batch, ours a sample,
 * as the paper's does. */
#include "sae/activation.h"
#include "base/error.h"

static ra_status evaluate(const ra_activation *activation, ra_backend *backend, const float *pre, size_t rows,
                          size_t concepts, ra_codes *codes, ra_error *err) {
    if (!activation->has_running_threshold)
        RA_FAIL(err, RA_ERR_STATE,
                "batchtopk has no running threshold yet: train it first, or give running_threshold");
    return ra_backend_operations(backend)->threshold(ra_backend_self(backend), NULL, pre, rows, concepts,
                                                     NULL, activation->running_threshold, codes, err);
}

static ra_status train(ra_activation *activation, ra_backend *backend, const float *pre, size_t rows,
                       size_t concepts, ra_codes *codes, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    void *self = ra_backend_self(backend);
    float last;
    RA_TRY(ops->kth_largest(self, NULL, pre, rows * concepts, rows * activation->top_k, &last, err));
    float momentum = activation->threshold_momentum;
    activation->running_threshold = activation->has_running_threshold
                                        ? momentum * activation->running_threshold + (1 - momentum) * last
                                        : last;
    activation->has_running_threshold = true;
    return ops->threshold(self, NULL, pre, rows, concepts, NULL, last, codes, err);
}

const ra_activation_type ra_activation_batchtopk = {
    .name = "batchtopk", .needs_top_k = true, .evaluate = evaluate, .train = train};
