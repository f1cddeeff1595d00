#include "sae/activation.h"

#include <stdio.h>

/* In the order of their enums. */
static const char *const sae_names[] = {"relu", "topk", "batchtopk", "jumprelu", "mp", NULL};
static const char *const encoder_names[] = {"linear", "mlp_ln_1", "mlp_bn_1", "tied", "identity", NULL};
static const char *const kernel_names[] = {"rectangle", "gaussian",  "triangular", "cosine", "epanechnikov",
                                           "quartic",   "silverman", "cauchy",     NULL};
static const char *const dictionary_names[] = {"archetypal", "l2",       "max_l2", "l1",
                                               "max_l1",     "identity", NULL};

#define AT(member) offsetof(ra_sae_settings, member)

static const ra_setting rows[] = {
    [RA_SET_SAE] = {"sae", "sae", RA_SETTING_NAME, AT(sae), sae_names, 0, 0, "KIND",
                    "relu, topk, batchtopk, jumprelu or mp (matching pursuit)"},
    [RA_SET_ENCODER] = {"encoder", "encoder", RA_SETTING_NAME, AT(encoder), encoder_names, 0, 0, "KIND",
                        "linear, mlp_ln_1, mlp_bn_1 or tied (to the dictionary)"},
    [RA_SET_TOP_K] = {"top_k", "top-k", RA_SETTING_COUNT, AT(top_k), NULL, 1, 2147483647, "k",
                      "active latents a sample (topk, batchtopk, mp)"},
    [RA_SET_DELTA] = {"delta", "delta", RA_SETTING_REAL, AT(delta), NULL, 0, 1e30, "X",
                      "largest norm of an atom's relaxation; 0: none"},
    [RA_SET_USE_MULTIPLIER] = {"use_multiplier", "no-multiplier", RA_SETTING_BOOL, AT(use_multiplier), NULL,
                               0, 0, NULL, "do not train the scale of the dictionary"},
    [RA_SET_RUNNING_THRESHOLD] = {"running_threshold", "running-threshold", RA_SETTING_REAL,
                                  AT(running_threshold), NULL, 0, 1e30, "X",
                                  "batchtopk's threshold in evaluation"},
    [RA_SET_THRESHOLD_MOMENTUM] = {"threshold_momentum", "threshold-momentum", RA_SETTING_REAL,
                                   AT(threshold_momentum), NULL, 0, 1, "X",
                                   "of batchtopk's running threshold"},
    [RA_SET_BANDWIDTH] = {"bandwidth", "bandwidth", RA_SETTING_REAL, AT(bandwidth), NULL, 1e-12, 1e12, "X",
                          "of jumprelu's kernel"},
    [RA_SET_KERNEL] = {"kernel", "kernel", RA_SETTING_NAME, AT(kernel), kernel_names, 0, 0, "NAME",
                       "of jumprelu's threshold gradient: silverman, gaussian, ..."},
    [RA_SET_DICTIONARY] = {"dictionary", "dictionary-kind", RA_SETTING_NAME, AT(dictionary), dictionary_names,
                           0, 0, "KIND", "archetypal, or plain: l2, max_l2, l1, max_l1, identity"},
    [RA_SET_MIXTURE] =
        {"mixture", "mixture", RA_SETTING_COUNT, AT(mixture), NULL, 0, RA_MIXTURE_MOST, "T",
         "most points an atom is a mixture of; 0: all of them, dense, as the reference trains"},
    [RA_SET_HULL_SHARE] = {"hull_share", "hull-share", RA_SETTING_REAL, AT(hull_share), NULL, 0, 1, "X",
                           "cosine between the median atom and its mixture; 0: whatever delta allows"},
};

const ra_settings_table *ra_sae_settings_table(void) {
    static const ra_settings_table table = {rows, sizeof rows / sizeof *rows};
    return &table;
}

ra_status ra_sae_settings_read(const ra_safetensors *file, ra_sae_settings *settings, ra_error *err) {
    *settings = (ra_sae_settings){0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = ra_safetensors_metadata(file, rows[i].key);
        char where[320];
        if (!text) continue;
        snprintf(where, sizeof where, "%s: the setting %s", ra_safetensors_path(file), rows[i].key);
        RA_TRY(ra_setting_parse(ra_sae_settings_table(), i, settings, text, where, err));
    }
    return RA_OK;
}

ra_status ra_sae_settings_check(const ra_sae_settings *settings, ra_error *err) {
    bool mp = settings->sae == RA_SAE_MP, identity = settings->encoder == RA_ENCODER_IDENTITY;
    if (ra_setting_known(settings, RA_SET_SAE) && ra_setting_known(settings, RA_SET_ENCODER) &&
        mp != identity)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "the encoder %s does not go with the sae %s; mp has the encoder identity, and no other has",
                encoder_names[settings->encoder], sae_names[settings->sae]);
    return RA_OK;
}

void ra_sae_settings_defaults(ra_sae_settings *settings) {
    bool mp = ra_setting_known(settings, RA_SET_SAE) && settings->sae == RA_SAE_MP;
    const ra_sae_settings defaults = {
        .known = 1u << RA_SET_ENCODER | 1u << RA_SET_USE_MULTIPLIER | 1u << RA_SET_THRESHOLD_MOMENTUM |
                 1u << RA_SET_BANDWIDTH | 1u << RA_SET_KERNEL | 1u << RA_SET_DICTIONARY,
        .encoder = mp ? RA_ENCODER_IDENTITY : RA_ENCODER_LINEAR,
        .use_multiplier = true,
        .threshold_momentum = 0.9,
        .bandwidth = 1e-3,
        .kernel = RA_KERNEL_SILVERMAN,
        .dictionary = RA_DICTIONARY_ARCHETYPAL,
    };
    ra_settings_fill(ra_sae_settings_table(), settings, &defaults);
}
