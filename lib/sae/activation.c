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

/* ---- from settings ------------------------------------------------------------------------------------- */

static ra_status need(const ra_sae_settings *settings, enum ra_sae_setting setting, const char *why,
                      const char *where, ra_error *err) {
    if (ra_setting_known(settings, setting)) return RA_OK;
    const ra_setting *row = &ra_sae_settings_table()->rows[setting];
    RA_FAIL(err, RA_ERR_SETTING, "%s: the setting %s is missing, which %s needs; give it with --%s", where,
            row->key, why, ra_setting_flag(row).text);
}

ra_status ra_activation_init(ra_activation *activation, const ra_sae_settings *settings, size_t concepts,
                             bool training, const char *where, ra_error *err) {
    const ra_settings_table *table = ra_sae_settings_table();
    RA_TRY(need(settings, RA_SET_SAE, "an encoder", where, err));
    const ra_activation_type *type = ra_activation_types[settings->sae];
    uint64_t needs = training ? type->needs : type->evaluation_needs;
    for (size_t i = 0; i < table->count; i++)
        if (needs >> i & 1)
            RA_TRY(need(settings, (enum ra_sae_setting)i, table->rows[RA_SET_SAE].names[settings->sae], where,
                        err));
    if (ra_sae_needs(settings, RA_SET_TOP_K) && ra_setting_known(settings, RA_SET_TOP_K) &&
        settings->top_k > concepts)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s: top_k is %zu, but there are only %zu concepts", where,
                settings->top_k, concepts);
    *activation = (ra_activation){
        .kind = (ra_sae_kind)settings->sae,
        .top_k = settings->top_k,
        .running_threshold = (float)settings->running_threshold,
        .has_running_threshold = ra_setting_known(settings, RA_SET_RUNNING_THRESHOLD),
        .threshold_momentum = ra_setting_known(settings, RA_SET_THRESHOLD_MOMENTUM)
                                  ? (float)settings->threshold_momentum
                                  : 0.9f,
        .bandwidth = ra_setting_known(settings, RA_SET_BANDWIDTH) ? (float)settings->bandwidth : 1e-3f,
        .kernel =
            ra_setting_known(settings, RA_SET_KERNEL) ? (ra_kernel)settings->kernel : RA_KERNEL_SILVERMAN,
    };
    return RA_OK;
}

void ra_activation_thresholds(const float *theta, float *thresholds, size_t concepts) {
    for (size_t k = 0; k < concepts; k++) thresholds[k] = expf(theta[k]);
}
