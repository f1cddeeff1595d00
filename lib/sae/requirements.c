/* What the settings of an SAE require of each other: by the tables of activations and encoders. */
#include "sae/activation.h"
#include "sae/encoder.h"

static bool pursues(const ra_sae_settings *settings) {
    return ra_setting_known(settings, RA_SET_SAE) && ra_activation_types[settings->sae]->pursues;
}

ra_status ra_sae_settings_check(const ra_sae_settings *settings, ra_error *err) {
    const ra_setting *rows = ra_sae_settings_table()->rows;
    bool named = ra_setting_known(settings, RA_SET_ENCODER);
    if (named && !ra_encoder_can_train((ra_encoder_kind)settings->encoder))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "the encoder %s is served but cannot be trained here; expected linear, mlp_ln_1, mlp_bn_1 or "
                "tied",
                rows[RA_SET_ENCODER].names[settings->encoder]);
    if (!ra_setting_known(settings, RA_SET_SAE) || !ra_setting_known(settings, RA_SET_ENCODER)) return RA_OK;
    if (pursues(settings) != (settings->encoder == RA_ENCODER_IDENTITY))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "the encoder %s does not fit the sae %s; mp has the encoder identity, and no other sae does",
                rows[RA_SET_ENCODER].names[settings->encoder], rows[RA_SET_SAE].names[settings->sae]);
    return RA_OK;
}

bool ra_sae_needs(const ra_sae_settings *settings, enum ra_sae_setting setting) {
    return ra_setting_known(settings, RA_SET_SAE) && ra_activation_types[settings->sae]->needs >> setting & 1;
}

bool ra_sae_encodes_with_dictionary(const ra_sae_settings *settings) {
    return pursues(settings) ||
           (ra_setting_known(settings, RA_SET_ENCODER) &&
            !ra_encoder_has_tensor((ra_encoder_kind)settings->encoder, RA_ENCODER_WEIGHT));
}

void ra_sae_settings_defaults(ra_sae_settings *settings) {
    const ra_sae_settings of_mp = {.known = (uint64_t)1 << RA_SET_ENCODER, .encoder = RA_ENCODER_IDENTITY};
    if (pursues(settings)) ra_settings_fill(ra_sae_settings_table(), settings, &of_mp);
    ra_settings_default(ra_sae_settings_table(), settings);
}

/* ---- the activation ------------------------------------------------------------------------------------ */

static ra_status need(const ra_sae_settings *settings, enum ra_sae_setting setting, const char *why,
                      const char *where, ra_error *err) {
    if (ra_setting_known(settings, setting)) return RA_OK;
    const ra_setting *row = &ra_sae_settings_table()->rows[setting];
    RA_FAIL(err, RA_ERR_SETTING, "%s: the setting %s is missing, which %s needs; give it with --%s", where,
            row->key, why, ra_setting_flag(row).text);
}

/* overcomplete's BatchTopKSAE counts k over the whole batch. Evaluation does not use it. */
static ra_status check_top_k(const ra_sae_settings *settings, size_t concepts, bool training,
                             const char *where, ra_error *err) {
    bool batch = settings->sae == RA_SAE_BATCHTOPK;
    if (!ra_sae_needs(settings, RA_SET_TOP_K) || !ra_setting_known(settings, RA_SET_TOP_K) ||
        settings->top_k <= concepts)
        return RA_OK;
    if (batch && !training) {
        ra_log(
            RA_LOG_WARNING,
            "%s: top_k is %zu, more than the %zu concepts: it counts a batch, as in overcomplete, not a row; "
            "evaluation uses the running threshold and not top_k",
            where, settings->top_k, concepts);
        return RA_OK;
    }
    RA_FAIL(err, RA_ERR_ARGUMENT, "%s: top_k is %zu, but there are only %zu concepts%s", where,
            settings->top_k, concepts,
            batch ? "; here it counts a row, not a batch as in overcomplete: divide it by the rows of a batch"
                  : "");
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
    RA_TRY(check_top_k(settings, concepts, training, where, err));
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
