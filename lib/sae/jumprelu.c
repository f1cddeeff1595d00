/* JumpReLU (Rajamanoharan et al. 2024): a code stays when it reaches its latent's threshold exp(theta).
 *
 * The step has no gradient, so the threshold gets a pseudo-gradient, spread around the step by a kernel:
 *     dthreshold = -(threshold / bandwidth) sum over the batch of kernel(relu(pre) - threshold, bandwidth) g
 * with g the gradient with respect to the code, active or not; theta being its logarithm, one more factor
 * threshold. A loss on the number of active codes reaches it through the step alone, with the same kernel:
 *     dthreshold = -(1 / bandwidth) sum over the batch of kernel(relu(pre) - threshold, bandwidth) active */
#include "sae/activation.h"
#include "base/pool.h"

enum { LATENTS_PER_PART = 64 };

static ra_status evaluate(const ra_activation *activation, ra_backend *backend, const float *pre, size_t rows,
                          size_t concepts, ra_codes *codes, ra_error *err) {
    return ra_backend_operations(backend)->threshold(ra_backend_self(backend), NULL, pre, rows, concepts,
                                                     activation->thresholds, 0, codes, err);
}

typedef struct theta_job {
    const ra_activation *activation;
    const float *pre, *g;
    double active;
    size_t rows, concepts;
    float *dtheta;
} theta_job;

static void theta_part(void *context, size_t part) {
    const theta_job *job = context;
    const ra_activation *activation = job->activation;
    size_t first = part * LATENTS_PER_PART, count = job->concepts - first;
    if (count > LATENTS_PER_PART) count = LATENTS_PER_PART;
    double sums[LATENTS_PER_PART] = {0}, steps[LATENTS_PER_PART] = {0};
    float x[LATENTS_PER_PART], kernel[LATENTS_PER_PART];
    const float *thresholds = activation->thresholds + first;
    for (size_t b = 0; b < job->rows; b++) {
        const float *pre = job->pre + b * job->concepts + first, *g = job->g + b * job->concepts + first;
        for (size_t k = 0; k < count; k++) x[k] = (pre[k] > 0 ? pre[k] : 0) - thresholds[k];
        ra_kernel_evaluate(activation->kernel, activation->bandwidth, x, kernel, count);
        for (size_t k = 0; k < count; k++) sums[k] += (double)kernel[k] * (double)g[k];
        if (job->active != 0)
            for (size_t k = 0; k < count; k++) steps[k] += (double)kernel[k];
    }
    for (size_t k = 0; k < count; k++) {
        double threshold = (double)thresholds[k], share = -threshold / (double)activation->bandwidth;
        job->dtheta[first + k] = (float)(share * (threshold * sums[k] + job->active * steps[k]));
    }
}

static void theta_gradient(const ra_activation *activation, ra_backend *backend, const float *pre,
                           const float *g, double active, size_t rows, size_t concepts, float *dtheta) {
    theta_job job = {activation, pre, g, active, rows, concepts, dtheta};
    ra_pool_run(ra_backend_pool(backend), ra_pool_parts(concepts, LATENTS_PER_PART), theta_part, &job);
}

const ra_activation_type ra_activation_jumprelu = {
    .name = "jumprelu", .has_thresholds = true, .evaluate = evaluate, .theta_gradient = theta_gradient};
