#include "io/torch/settings.h"
#include "io/torch/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 200, TEXT_SIZE = 64, MOST_LAYERS = 16 /* RA_HIDDEN_MOST of sae/hidden.h */ };

/* A module that is being read. */
typedef struct reading {
    ra_torch_archive *archive;
    const ra_torch_sink *sink;
} reading;

/* ---- values of attributes ------------------------------------------------------------------------------ */

/* The shortest text that is the same number again. */
static void write_real(double value, char text[TEXT_SIZE]) {
    for (int digits = 6; digits <= 17; digits++) {
        double again = 0;
        snprintf(text, TEXT_SIZE, "%.*g", digits, value);
        if (sscanf(text, "%lf", &again) == 1 && again == value) return;
    }
}

/* *number <- the value of an attribute; RA_ERR_FORMAT if it is none. */
static ra_status get_number(const reading *r, const ra_pickle_value *value, const char *attribute,
                            double *number, ra_error *err) {
    bool found = ra_pickle_is(value, RA_PICKLE_REAL) || ra_pickle_is(value, RA_PICKLE_INTEGER);
    if (ra_pickle_is(value, RA_PICKLE_REAL)) *number = value->is.real;
    if (ra_pickle_is(value, RA_PICKLE_INTEGER)) *number = (double)value->is.integer;
    if (!found) RA_TRY(ra_torch_number(r->archive, value, attribute, &found, number, err));
    if (!found || !isfinite(*number))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the attribute %s of its module is not a number", r->archive->path,
                attribute);
    return RA_OK;
}

/* Passes an attribute on that is a number, or a tensor of one; None and a missing one are unknown. */
static ra_status add_number(const reading *r, const ra_pickle_value *module, const char *attribute,
                            const char *key, ra_error *err) {
    const ra_pickle_value *value = ra_pickle_member(module, attribute);
    char text[TEXT_SIZE];
    double number = 0;
    if (!value || ra_pickle_is(value, RA_PICKLE_NONE)) return RA_OK;
    RA_TRY(get_number(r, value, attribute, &number, err));
    write_real(number, text);
    return r->sink->text(r->sink->context, key, text, err);
}

static ra_status add_text(const reading *r, const char *key, const char *text, ra_error *err) {
    return r->sink->text(r->sink->context, key, text, err);
}

/* *text <- the name of a function without what stands before and after; false if it is another. */
static bool between(const ra_pickle_value *value, const char *before, const char *after, char *text,
                    size_t size) {
    char name[NAME_SIZE];
    size_t head = strlen(before), tail = strlen(after);
    if (!ra_pickle_is(value, RA_PICKLE_GLOBAL) || !ra_pickle_name(value, name, sizeof name)) return false;
    size_t length = strlen(name);
    if (length <= head + tail || length - head - tail >= size || strncmp(name, before, head) != 0 ||
        strcmp(name + length - tail, after) != 0)
        return false;
    memcpy(text, name + head, length - head - tail);
    text[length - head - tail] = '\0';
    return true;
}

/* ---- the dictionary ------------------------------------------------------------------------------------ */

static ra_status add_dictionary(const reading *r, const ra_pickle_value *dictionary, ra_error *err) {
    char name[NAME_SIZE] = "", kind[TEXT_SIZE];
    bool trained = ra_pickle_member(ra_pickle_member(dictionary, "_parameters"), "multiplier") != NULL;
    (void)ra_pickle_name(dictionary, name, sizeof name);
    if (strcmp(name, "overcomplete.sae.archetypal_dictionary.RelaxedArchetypalDictionary") == 0) {
        RA_TRY(add_text(r, "dictionary", "archetypal", err));
        RA_TRY(add_text(r, "use_multiplier", trained ? "true" : "false", err));
        return add_number(r, dictionary, "delta", "delta", err);
    }
    if (strcmp(name, "overcomplete.sae.dictionary.DictionaryLayer") != 0)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: its dictionary is a %s; expected overcomplete's DictionaryLayer or "
                "RelaxedArchetypalDictionary",
                r->archive->path, name);
    const ra_pickle_value *normalization = ra_pickle_member(dictionary, "normalization");
    if (!between(normalization, "overcomplete.sae.dictionary.normalize_", "", kind, sizeof kind))
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: its dictionary is normalized by %s, a function that is not overcomplete's own",
                r->archive->path, ra_pickle_name(normalization, name, sizeof name) ? name : "something");
    RA_TRY(add_text(r, "dictionary", kind, err));
    return add_text(r, "use_multiplier", trained ? "true" : "false", err);
}

/* ---- the encoder --------------------------------------------------------------------------------------- */

/* Norms of a final block and of hidden layers. One without weights, or that measures each batch, has the tensors of another
 * encoder. */
static const struct {
    const char *name;
    double epsilon;
    const char *kind[2]; /* the setting `encoder` without and with hidden layers; NULL: the tensors tell it */
} norms[] = {
    {"torch.nn.modules.linear.Identity", 0, {NULL, NULL}},
    {"torch.nn.modules.normalization.LayerNorm", 1e-5, {NULL, NULL}},
    {"torch.nn.modules.batchnorm.BatchNorm1d", 1e-5, {NULL, NULL}},
    {"torch.nn.modules.normalization.RMSNorm",
     0,
     {"mlp_rms_1", "mlp_rms_n"}}, /* eps is None: that of float32 */
};
enum { NORMS = sizeof norms / sizeof *norms };

static ra_status check_norm_attributes(const reading *r, const ra_pickle_value *norm, size_t kind,
                                       ra_error *err) {
    static const char *const needed[] = {"affine", "elementwise_affine", "track_running_stats"};
    const ra_pickle_value *value = ra_pickle_member(norm, "eps");
    double epsilon = norms[kind].epsilon;
    if (value && !ra_pickle_is(value, RA_PICKLE_NONE)) RA_TRY(get_number(r, value, "eps", &epsilon, err));
    if (epsilon != norms[kind].epsilon)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: the norm of its encoder has another eps than its class has by default, which is not "
                "supported",
                r->archive->path);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const ra_pickle_value *flag = ra_pickle_member(norm, needed[i]);
        if (flag && !(ra_pickle_is(flag, RA_PICKLE_BOOL) && flag->is.truth))
            RA_FAIL(err, RA_ERR_UNSUPPORTED,
                    "%s: the norm of its encoder has %s = False, which is not supported", r->archive->path,
                    needed[i]);
    }
    const ra_pickle_value *bias = ra_pickle_member(ra_pickle_member(norm, "_parameters"), "bias");
    if (ra_pickle_is(bias, RA_PICKLE_NONE))
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: the norm of its encoder has no bias, which is not supported",
                r->archive->path);
    return RA_OK;
}

/* *kind <- which of the norms. */
static ra_status check_norm(const reading *r, const ra_pickle_value *norm, size_t *kind, ra_error *err) {
    char name[NAME_SIZE] = "";
    (void)ra_pickle_name(norm, name, sizeof name);
    for (*kind = 0; *kind < NORMS && strcmp(norms[*kind].name, name) != 0;) (*kind)++;
    if (*kind == NORMS)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: its encoder has the norm %s; expected LayerNorm, BatchNorm1d, RMSNorm or none",
                r->archive->path, name);
    return check_norm_attributes(r, norm, *kind, err);
}

/* Classes of torch.nn.modules.activation, made without arguments; and the attribute that another one would show in. */
static const struct {
    const char *name, *setting, *attribute;
    double value;
} activations[] = {
    {"torch.nn.modules.activation.ReLU", "relu", NULL, 0},
    {"torch.nn.modules.activation.GELU", "gelu", NULL, 0},
    {"torch.nn.modules.activation.SiLU", "silu", NULL, 0},
    {"torch.nn.modules.activation.Tanh", "tanh", NULL, 0},
    {"torch.nn.modules.activation.Sigmoid", "sigmoid", NULL, 0},
    {"torch.nn.modules.activation.ELU", "elu", "alpha", 1},
    {"torch.nn.modules.activation.LeakyReLU", "leaky_relu", "negative_slope", 0.01},
    {"torch.nn.modules.linear.Identity", "identity", NULL, 0},
};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

static ra_status check_activation(const reading *r, const ra_pickle_value *module, size_t *which,
                                  ra_error *err) {
    char name[NAME_SIZE] = "";
    (void)ra_pickle_name(module, name, sizeof name);
    for (*which = 0; *which < ACTIVATIONS && strcmp(activations[*which].name, name) != 0;) (*which)++;
    bool known = *which < ACTIVATIONS;
    const ra_pickle_value *approximate = ra_pickle_member(module, "approximate");
    if (known && activations[*which].attribute) {
        double value = activations[*which].value;
        const ra_pickle_value *given = ra_pickle_member(module, activations[*which].attribute);
        if (given) RA_TRY(get_number(r, given, activations[*which].attribute, &value, err));
        known = value == activations[*which].value;
    }
    if (known && (!approximate || ra_pickle_text_is(approximate, "none"))) return RA_OK;
    RA_FAIL(
        err, RA_ERR_UNSUPPORTED,
        "%s: a hidden layer of its encoder has the activation %s, with arguments or of a kind that is not "
        "supported; expected ReLU, GELU, SiLU, Tanh, Sigmoid, ELU, LeakyReLU or none, without arguments",
        r->archive->path, name);
}

/* Each hidden layer is a linear map, a norm and an activation, the same for all. */
static ra_status add_hidden(const reading *r, const ra_pickle_value *encoder, const ra_pickle_value *layers,
                            size_t norm, ra_error *err) {
    const ra_pickle_value *residual = ra_pickle_member(encoder, "residual");
    size_t first = 0;
    if (layers->count / 2 > MOST_LAYERS)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: its encoder has more than %d hidden layers", r->archive->path,
                MOST_LAYERS);
    for (uint32_t i = 0; i + 1 < layers->count; i += 2) {
        const ra_pickle_value *parts = ra_pickle_member(layers->is.list.items[i + 1], "_modules");
        size_t its_norm, activation;
        RA_TRY(check_norm(r, ra_pickle_member(parts, "1"), &its_norm, err));
        RA_TRY(check_activation(r, ra_pickle_member(parts, "2"), &activation, err));
        if (i == 0) first = activation;
        if (its_norm != norm || activation != first)
            RA_FAIL(
                err, RA_ERR_UNSUPPORTED,
                "%s: the layers of its encoder have different norms or activations, which is not supported",
                r->archive->path);
    }
    RA_TRY(add_text(r, "hidden_activation", activations[first].setting, err));
    return add_text(r, "hidden_residual",
                    ra_pickle_is(residual, RA_PICKLE_BOOL) && residual->is.truth ? "true" : "false", err);
}

/* Tensors tell most of an encoder, but not what an MLPEncoder ends with, and not what its hidden layers end with. */
static ra_status check_encoder(const reading *r, const ra_pickle_value *encoder, ra_error *err) {
    char name[NAME_SIZE] = "";
    size_t kind;
    const ra_pickle_value *modules = ra_pickle_member(encoder, "_modules");
    const ra_pickle_value *last = ra_pickle_member(modules, "final_activation"),
                          *block = ra_pickle_member(modules, "final_block"),
                          *norm = ra_pickle_member(ra_pickle_member(block, "_modules"), "1"),
                          *layers = ra_pickle_member(ra_pickle_member(modules, "mlp_blocks"), "_modules");
    if (last &&
        (!ra_pickle_name(last, name, sizeof name) || strcmp(name, "torch.nn.modules.activation.ReLU") != 0))
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: its encoder ends with a %s; expected a ReLU", r->archive->path,
                name);
    if (!norm) return RA_OK;
    RA_TRY(check_norm(r, norm, &kind, err));
    bool hidden = ra_pickle_is(layers, RA_PICKLE_DICT) && layers->count > 0;
    if (norms[kind].kind[hidden]) RA_TRY(add_text(r, "encoder", norms[kind].kind[hidden], err));
    return hidden ? add_hidden(r, encoder, layers, kind, err) : RA_OK;
}

/* ---- the classes --------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *sae;
    const char *top_k; /* its attribute; NULL: it has none */
} classes[] = {
    {"overcomplete.sae.base.SAE", "relu", NULL},
    {"overcomplete.sae.topk_sae.TopKSAE", "topk", "top_k"},
    {"overcomplete.sae.rasae.RATopKSAE", "topk", "top_k"},
    {"overcomplete.sae.batchtopk_sae.BatchTopKSAE", "batchtopk", "top_k"},
    {"overcomplete.sae.jump_sae.JumpSAE", "jumprelu", NULL},
    {"overcomplete.sae.rasae.RAJumpSAE", "jumprelu", NULL},
    {"overcomplete.sae.mp_sae.MpSAE", "mp", "k"},
    {"overcomplete.sae.omp_sae.OMPSAE", "omp", NULL},
    {"overcomplete.sae.qsae.QSAE", "qsae", NULL},
};

ra_status ra_torch_settings(ra_torch_archive *archive, const ra_pickle_value *module,
                            const ra_torch_sink *sink, ra_error *err) {
    const reading r = {archive, sink};
    char name[NAME_SIZE], kernel[TEXT_SIZE];
    size_t i = 0;
    if (!ra_pickle_name(module, name, sizeof name)) return RA_OK;
    while (i < sizeof classes / sizeof *classes && strcmp(classes[i].name, name) != 0) i++;
    if (i == sizeof classes / sizeof *classes) return RA_OK;
    const ra_pickle_value *modules = ra_pickle_member(module, "_modules");
    RA_TRY(add_text(&r, "sae", classes[i].sae, err));
    if (classes[i].top_k) RA_TRY(add_number(&r, module, classes[i].top_k, "top_k", err));
    RA_TRY(add_number(&r, module, "running_threshold", "running_threshold", err));
    RA_TRY(add_number(&r, module, "threshold_momentum", "threshold_momentum", err));
    RA_TRY(add_number(&r, module, "bandwidth", "bandwidth", err));
    if (between(ra_pickle_member(module, "kernel_fn"), "overcomplete.sae.kernels.", "_kernel", kernel,
                sizeof kernel))
        RA_TRY(add_text(&r, "kernel", kernel, err));
    RA_TRY(check_encoder(&r, ra_pickle_member(modules, "encoder"), err));
    return add_dictionary(&r, ra_pickle_member(modules, "dictionary"), err);
}
