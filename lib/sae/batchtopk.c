/* batchtopk (Bussmann et al. 2024): in training, the k B largest codes of the whole batch, and all that equal
 * the last of them; in evaluation, those that reach a running threshold, an exponential average of the last
 * codes of the training batches. top_k counts per sample, as in the paper; in overcomplete it counts per
 * batch. */
#include "sae/activation.h"
#include "ra_memory.h"

#include <string.h>

static ra_status evaluate(const ra_activation *activation, ra_stream stream, const float *pre, size_t rows,
                          size_t concepts, ra_codes *codes, ra_error *err) {
    if (!activation->has_running_threshold)
        RA_FAIL(err, RA_ERR_STATE,
                "batchtopk has no running threshold yet; train it, or give the setting running_threshold");
    return ra_stream_threshold(stream, pre, rows, concepts, NULL, activation->running_threshold, codes, err);
}

/* The k-th largest of the scores of all members, negative ones counted as 0. The bits of nonnegative floats
 * are in the order of the floats, so it is found byte by byte, from counts that are summed over the
 * members. */
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
    uint64_t total = k;
    void *copy = NULL;
    const void *scores = NULL;
    RA_TRY(ra_group_sum_u64(activation->group, &total, 1, err));
    ra_status status = ra_backend_view(backend, pre, n * sizeof *pre, &copy, &scores, err);
    if (status == RA_OK) status = kth_of_group(activation->group, scores, n, total, value, err);
    ra_free(copy);
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

const ra_activation_type ra_activation_batchtopk = {.needs = 1 << RA_SET_TOP_K,
                                                    .evaluation_needs = 1 << RA_SET_RUNNING_THRESHOLD,
                                                    .evaluate = evaluate,
                                                    .train = train};
