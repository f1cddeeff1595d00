/* activation.h - pre-codes [B,K] -> sparse codes, and back.
 *
 * Every activation applies a ReLU first: a selected entry has pre > 0 and its gradient passes unchanged; the
 * others have gradient 0. Activations differ in what they select, and jumprelu has a gradient of its
 * thresholds. mp does not select pre-codes: it computes codes from the input (sae/pursuit.h).
 *
 * To add an activation: a row of RA_ACTIVATIONS (ra_sae.h), a file sae/<name>.c that defines
 * ra_activation_<name>, its rows in tests/unit/lib/sae/test_activation.c, and its name in proto/artifact.md
 * and proto/openapi.json. A parameter of its own is a setting (sae/settings.c), a member of ra_activation,
 * and a line in ra_activation_init().
 */
#ifndef RA_SAE_ACTIVATION_H
#define RA_SAE_ACTIVATION_H

#include "ra_sae.h"

/* The settings and the state of the activation of one SAE or model. */
typedef struct ra_activation {
    ra_sae_kind kind;
    size_t top_k;
    float running_threshold; /* batchtopk; meaningful if has_running_threshold */
    bool has_running_threshold;
    float threshold_momentum;
    float bandwidth;
    ra_kernel kernel;
    const ra_group *group; /* batchtopk selects over the batch of all members */
    /* jumprelu: log thresholds, and exp(theta), which the owner keeps current; [K], backend memory */
    const float *theta, *thresholds;
} ra_activation;

typedef struct ra_activation_type {
    uint64_t needs,
        evaluation_needs; /* settings without which training and evaluation fail: 1 << RA_SET_... */
    bool has_thresholds;  /* it has the parameter theta */
    bool pursues;         /* ra_pursuit_run() computes the codes; the functions are NULL */
    /* evaluation mode; does not change the activation */
    ra_status (*evaluate)(const ra_activation *activation, ra_stream stream, const float *pre, size_t rows,
                          size_t concepts, ra_codes *codes, ra_error *err);
    /* training mode, on the default stream; NULL: the same as evaluation */
    ra_status (*train)(ra_activation *activation, ra_backend *backend, const float *pre, size_t rows,
                       size_t concepts, ra_codes *codes, ra_error *err);
    /* dtheta [K] <- the gradient of theta, from g [B,K], that of all codes, active or not, and `active`, that
     * of each code being active; NULL: no thresholds */
    ra_status (*theta_gradient)(const ra_activation *activation, ra_backend *backend, const float *pre,
                                const float *g, double active, size_t rows, size_t concepts, float *dtheta,
                                ra_error *err);
} ra_activation_type;

#define RA_ACTIVATION_EXTERN(ID, name) extern const ra_activation_type ra_activation_##name;
RA_ACTIVATIONS(RA_ACTIVATION_EXTERN)
#undef RA_ACTIVATION_EXTERN

/* By ra_sae_kind. */
extern const ra_activation_type *const ra_activation_types[RA_SAE_KIND_COUNT];

/* *activation <- the activation of the settings. Fails if one is missing that training or evaluation needs,
 * naming it and its flag, and if top_k exceeds K. `where` begins the message. The caller sets theta. */
ra_status ra_activation_init(ra_activation *activation, const ra_sae_settings *settings, size_t concepts,
                             bool training, const char *where, ra_error *err);

/* thresholds [K] <- exp(theta); host memory. */
void ra_activation_thresholds(const float *theta, float *thresholds, size_t concepts);

#endif
