/* BatchTopK (Bussmann et al. 2024): in training the k * B largest codes of the whole batch (all that equal
 * the last one as well, as in the reference); in evaluation what reaches a running threshold, an exponential
 * average of the training batches' last codes. The reference's top_k counts the whole batch, ours a sample,
 * as the paper's does. */
#include "sae/activation.h"
#include "ra_memory.h"

#include <string.h>

static ra_status evaluate(const ra_activation *activation, ra_stream stream, const float *pre, size_t rows,
                          size_t concepts, ra_codes *codes, ra_error *err) {
    if (!activation->has_running_threshold)
        RA_FAIL(err, RA_ERR_STATE,
                "batchtopk has no running threshold yet: train it first, or give running_threshold");
    return ra_stream_threshold(stream, pre, rows, concepts, NULL, activation->running_threshold, codes, err);
}

/* The k-th largest of all members' scores, negative ones counted as 0: the bits of a nonnegative float rank
 * as it does, so the answer is found a byte at a time, from counts that are summed over the members. */
static ra_status kth_of_group(const ra_group *group, const float *pre, size_t n, uint64_t k, float *value,
                              ra_error *err) {
    uint32_t prefix = 0, mask = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        uint64_t counts[256] = {0};
        for (size_t i = 0; i < n; i++) {
            float score = pre[i] > 0 ? pre[i] : 0;
            uint32_t bits;
            memcpy(&bits, &score, sizeof bits);
            if ((bits & mask) == prefix) counts[bits >> shift & 0xff]++;
        }
        RA_TRY(ra_group_sum_u64(group, counts, 256, err));
        uint32_t byte = 255;
        for (; byte > 0 && counts[byte] < k; byte--) k -= counts[byte];
        prefix |= byte << shift;
        mask |= (uint32_t)0xff << shift;
    }
    memcpy(value, &prefix, sizeof *value);
    return RA_OK;
}

static ra_status kth_of_batch(const ra_activation *activation, ra_backend *backend, const float *pre,
                              size_t rows, size_t concepts, float *value, ra_error *err) {
    size_t n = rows * concepts, k = rows * activation->top_k;
    if (ra_group_size(activation->group) == 1) return ra_backend_kth_largest(backend, pre, n, k, value, err);
    uint64_t wanted = k;
    void *mirror = NULL;
    const void *seen = NULL;
    RA_TRY(ra_group_sum_u64(activation->group, &wanted, 1, err));
    ra_status status = ra_backend_view(backend, pre, n * sizeof *pre, &mirror, &seen, err);
    if (status == RA_OK) status = kth_of_group(activation->group, seen, n, wanted, value, err);
    ra_free(mirror);
    return status;
}

static ra_status train(ra_activation *activation, ra_backend *backend, const float *pre, size_t rows,
                       size_t concepts, ra_codes *codes, ra_error *err) {
    float last;
    RA_TRY(kth_of_batch(activation, backend, pre, rows, concepts, &last, err));
    float momentum = activation->threshold_momentum;
    activation->running_threshold = activation->has_running_threshold
                                        ? momentum * activation->running_threshold + (1 - momentum) * last
                                        : last;
    activation->has_running_threshold = true;
    return ra_backend_threshold(backend, pre, rows, concepts, NULL, last, codes, err);
}

const ra_activation_type ra_activation_batchtopk = {
    .name = "batchtopk", .needs_top_k = true, .evaluate = evaluate, .train = train};
