/* activation.h - pre-codes [B,K] -> sparse codes, and back.
 *
 * Every activation applies a ReLU first, so a selected entry has pre > 0 and its gradient passes unchanged;
 * all others have none. What differs is the selection, and (jumprelu) the gradient of the thresholds. mp does
 * not select from pre-codes but works on the input itself: sae/pursuit.h.
 *
 * To add one: a file sae/<name>.c with a ra_activation_type, a value of ra_sae_kind (ra_sae.h), a row in
 * ra_activation_types (settings.c lists the names from here), a test in tests/unit/test_activation.c.
 */
#ifndef RA_SAE_ACTIVATION_H
#define RA_SAE_ACTIVATION_H

#include "ra_sae.h"

/* The settings and the state of the activation of one SAE or model. */
typedef struct ra_activation {
    ra_sae_kind kind;
    size_t top_k;
    float running_threshold; /* batchtopk; meaningful when has_running_threshold */
    bool has_running_threshold;
    float threshold_momentum;
    float bandwidth;
    ra_kernel kernel;
    const ra_group *group; /* batchtopk selects over the batch of all members */
    /* jumprelu [K], both backend memory: log thresholds, and exp(theta), kept by the owner, who computes it
     * with ra_activation_thresholds() */
    const float *theta, *thresholds;
} ra_activation;

typedef struct ra_activation_type {
    const char *name;
    bool needs_top_k, evaluation_needs_top_k, has_thresholds;
    bool pursues; /* mp: codes come from ra_pursuit_run(), and the functions below are NULL */
    /* evaluation mode; does not change the activation */
    ra_status (*evaluate)(const ra_activation *activation, ra_stream stream, const float *pre, size_t rows,
                          size_t concepts, ra_codes *codes, ra_error *err);
    /* training mode, on the default stream; NULL: the same as evaluation */
    ra_status (*train)(ra_activation *activation, ra_backend *backend, const float *pre, size_t rows,
                       size_t concepts, ra_codes *codes, ra_error *err);
    /* dtheta [K] <- from g [B,K], the gradient with respect to the codes, all of them, and `active`, that
     * with respect to each code's being active; NULL: no such parameter */
    ra_status (*theta_gradient)(const ra_activation *activation, ra_backend *backend, const float *pre,
                                const float *g, double active, size_t rows, size_t concepts, float *dtheta,
                                ra_error *err);
} ra_activation_type;

extern const ra_activation_type ra_activation_relu, ra_activation_topk, ra_activation_batchtopk,
    ra_activation_jumprelu, ra_activation_mp;

/* By ra_sae_kind. */
extern const ra_activation_type *const ra_activation_types[RA_SAE_KIND_COUNT];

/* An activation from settings; fails naming the setting and the flag when one is missing that `evaluate` (or,
 * with training set, `train`) needs, and when top_k > K. The theta of jumprelu is set by the caller. */
ra_status ra_activation_init(ra_activation *activation, const ra_sae_settings *settings, size_t concepts,
                             bool training, const char *where, ra_error *err);

/* thresholds [K] <- exp(theta); host memory. */
void ra_activation_thresholds(const float *theta, float *thresholds, size_t concepts);

#endif
