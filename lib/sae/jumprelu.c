/* jumprelu (Rajamanoharan et al. 2024): a code is active if it reaches its latent's threshold, exp(theta).
 *
 * The step at the threshold has no gradient. A kernel around it gives the threshold a pseudo-gradient:
 *
 *     dthreshold = -(threshold / bandwidth) sum over the batch of kernel(relu(pre) - threshold, bandwidth) g
 *
 * with g the gradient of the code, active or not; dtheta has one more factor, threshold. The gradient of a
 * loss on the number of active codes passes through the step alone, with the same kernel:
 *
 *     dthreshold = -(1 / bandwidth) sum over the batch of kernel(relu(pre) - threshold, bandwidth) active */
#include "sae/activation.h"
#include "ra_memory.h"

static ra_status evaluate(const ra_activation *activation, ra_stream stream, const float *pre, size_t rows,
                          size_t concepts, ra_codes *codes, ra_error *err) {
    return ra_stream_threshold(stream, pre, rows, concepts, activation->thresholds, 0, codes, err);
}

/* sums [2,K] of kernel g and of the kernel; the first K become the gradient of theta. */
static void complete(const ra_activation *activation, double active, size_t concepts, double *sums,
                     const float *thresholds) {
    for (size_t k = 0; k < concepts; k++) {
        double threshold = (double)thresholds[k], share = -threshold / (double)activation->bandwidth;
        sums[k] = share * (threshold * sums[k] + active * sums[concepts + k]);
    }
}

/* Both come with one wait. */
static ra_status fetch(const ra_activation *activation, ra_backend *backend, const float *pre, const float *g,
                       size_t rows, size_t concepts, double *sums, float *thresholds, ra_error *err) {
    ra_backend_defer(backend, true);
    ra_status status = ra_backend_kernel_sums(backend, activation->kernel, activation->bandwidth, pre, g,
                                              activation->thresholds, rows, concepts, sums, err);
    ra_backend_defer(backend, false);
    if (status == RA_OK)
        status =
            ra_backend_get(backend, thresholds, activation->thresholds, concepts * sizeof *thresholds, err);
    if (status != RA_OK) (void)ra_backend_synchronize(backend, NULL); /* the caller frees them */
    return status;
}

static ra_status theta_gradient(const ra_activation *activation, ra_backend *backend, const float *pre,
                                const float *g, double active, size_t rows, size_t concepts, float *dtheta,
                                ra_error *err) {
    double *sums = ra_malloc(2 * concepts, sizeof *sums);
    float *thresholds = ra_malloc(concepts, sizeof *thresholds);
    ra_status status = RA_OK;
    if (!sums || !thresholds)
        RA_TRY_OUT(status, ra_error_set(err, RA_ERR_MEMORY, "out of memory: the gradient of %zu thresholds",
                                        concepts));
    RA_TRY_OUT(status, fetch(activation, backend, pre, g, rows, concepts, sums, thresholds, err));
    complete(activation, active, concepts, sums, thresholds);
    RA_TRY_OUT(status, ra_backend_put_doubles(backend, dtheta, sums, concepts, err));
out:
    ra_free(sums);
    ra_free(thresholds);
    return status;
}

const ra_activation_type ra_activation_jumprelu = {
    .has_thresholds = true, .evaluate = evaluate, .theta_gradient = theta_gradient};
