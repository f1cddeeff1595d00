/* The table of an SAE's settings. requirements.c has what they require of each other. */
#include "ra_sae.h"

#define NAME(ID, name) #name,
static const char *const sae_names[] = {RA_ACTIVATIONS(NAME) NULL};
static const char *const encoder_names[] = {RA_ENCODERS(NAME) NULL};
static const char *const hidden_names[] = {RA_HIDDEN_ACTIVATIONS(NAME) NULL};
#undef NAME

/* In the order of their enums. */
static const char *const kernel_names[] = {"rectangle", "gaussian",  "triangular", "cosine", "epanechnikov",
                                           "quartic",   "silverman", "cauchy",     NULL};
static const char *const dictionary_names[] = {"archetypal", "l2",       "max_l2", "l1",
                                               "max_l1",     "identity", NULL};

/* Classes of overcomplete that have no counterpart here. */
static const ra_setting_refusal sae_refusals[] = {
    {"omp",
     ", orthogonal matching pursuit (OMPSAE), which is not supported: mp is another pursuit, and on such "
     "a file its reconstructions would be off by a third"},
    {"qsae", ", a quantized autoencoder (QSAE), which is not supported"},
    {NULL, NULL},
};

#define AT(member) offsetof(ra_sae_settings, member)

/* clang-format off */
static const ra_setting rows[] = {
    [RA_SET_SAE] = {"sae", RA_SETTING_NAME, AT(sae), .names = sae_names,
        .refusals = sae_refusals, .argument = "KIND"},
    [RA_SET_ENCODER] = {"encoder", RA_SETTING_NAME, AT(encoder), .names = encoder_names,
        .fallback = "linear", .argument = "KIND",
        .help = "linear, mlp_ln_1, mlp_bn_1, tied; only served: mlp_rms_1, mlp_ln_3, mlp_bn_3, ..."},
    [RA_SET_TOP_K] = {"top_k", RA_SETTING_COUNT, AT(top_k), .min = 1, .max = 2147483647, .argument = "k",
        .help = "active latents per row (topk, batchtopk, mp)"},
    [RA_SET_DELTA] = {"delta", RA_SETTING_REAL, AT(delta), .max = 1e30, .unit = "x",
        .unit_offset = AT(delta_relative), .argument = "X",
        .help = "largest norm of an atom's relaxation (0.3x: of the points' mean norm); 0: none"},
    [RA_SET_USE_MULTIPLIER] = {"use_multiplier", RA_SETTING_BOOL, AT(use_multiplier),
        .flag = "no-multiplier", .fallback = "true", .help = "do not train the scale of the dictionary"},
    [RA_SET_RUNNING_THRESHOLD] = {"running_threshold", RA_SETTING_REAL, AT(running_threshold), .max = 1e30,
        .argument = "X", .help = "threshold of batchtopk in evaluation"},
    [RA_SET_THRESHOLD_MOMENTUM] = {"threshold_momentum", RA_SETTING_REAL, AT(threshold_momentum), .max = 1,
        .fallback = "0.9", .argument = "X", .help = "momentum of batchtopk's running threshold"},
    [RA_SET_BANDWIDTH] = {"bandwidth", RA_SETTING_REAL, AT(bandwidth), .min = 1e-12, .max = 1e12,
        .fallback = "0.001", .argument = "X", .help = "bandwidth of jumprelu's kernel"},
    [RA_SET_KERNEL] = {"kernel", RA_SETTING_NAME, AT(kernel), .names = kernel_names,
        .fallback = "silverman", .argument = "NAME",
        .help = "kernel of jumprelu's threshold gradient: silverman, gaussian, ..."},
    [RA_SET_DICTIONARY] = {"dictionary", RA_SETTING_NAME, AT(dictionary), .flag = "dictionary-kind",
        .names = dictionary_names, .fallback = "archetypal", .argument = "KIND",
        .help = "archetypal, or plain: l2, max_l2, l1, max_l1, identity"},
    [RA_SET_MIXTURE] = {"mixture", RA_SETTING_COUNT, AT(mixture), .max = RA_MIXTURE_MOST, .zero = "dense",
        .fallback = "dense", .argument = "T|dense",
        .help = "most points that an atom is a mixture of; dense: all of them"},
    [RA_SET_HULL_SHARE] = {"hull_share", RA_SETTING_REAL, AT(hull_share), .max = 1, .fallback = "0",
        .argument = "X", .help = "cosine of the median atom with its mixture; 0: what delta allows"},
    [RA_SET_CENTER_INPUT] = {"center_input", RA_SETTING_BOOL, AT(center_input),
        .help = "the decoder's bias is subtracted from the inputs; --no-center-input: it is not"},
    [RA_SET_HIDDEN_ACTIVATION] = {"hidden_activation", RA_SETTING_NAME, AT(hidden_activation),
        .names = hidden_names, .argument = "NAME",
        .help = "activation of an encoder's hidden layers: relu, gelu, silu, ..."},
    [RA_SET_HIDDEN_RESIDUAL] = {"hidden_residual", RA_SETTING_BOOL, AT(hidden_residual),
        .help = "each hidden layer adds its input to its output; --no-hidden-residual: it does not"},
};
/* clang-format on */

const ra_settings_table *ra_sae_settings_table(void) {
    static const ra_settings_table table = {rows, sizeof rows / sizeof *rows};
    return &table;
}

ra_status ra_sae_settings_read(const ra_safetensors *file, ra_sae_settings *settings, ra_error *err) {
    *settings = (ra_sae_settings){0};
    return ra_settings_read(ra_sae_settings_table(), file, settings, err);
}
