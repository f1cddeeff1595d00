#include "io/torch/settings.h"
#include "io/torch/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 200, TEXT_SIZE = 64 };

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

static ra_status check_epsilon(const reading *r, const ra_pickle_value *norm, ra_error *err) {
    static const double usual = 1e-5;
    double epsilon = usual;
    const ra_pickle_value *value = ra_pickle_member(norm, "eps");
    if (value) RA_TRY(get_number(r, value, "eps", &epsilon, err));
    if (epsilon == usual) return RA_OK;
    RA_FAIL(err, RA_ERR_UNSUPPORTED,
            "%s: the norm of its encoder has another eps than %g, which is not supported", r->archive->path,
            usual);
}

/* Tensors tell which encoder it is, but not what an MLPEncoder ends with. */
static ra_status check_encoder(const reading *r, const ra_pickle_value *encoder, ra_error *err) {
    static const char *const norms[] = {"torch.nn.modules.linear.Identity",
                                        "torch.nn.modules.normalization.LayerNorm",
                                        "torch.nn.modules.batchnorm.BatchNorm1d"};
    char name[NAME_SIZE] = "";
    const ra_pickle_value *modules = ra_pickle_member(encoder, "_modules");
    const ra_pickle_value *last = ra_pickle_member(modules, "final_activation"),
                          *block = ra_pickle_member(modules, "final_block"),
                          *norm = ra_pickle_member(ra_pickle_member(block, "_modules"), "1");
    if (last &&
        (!ra_pickle_name(last, name, sizeof name) || strcmp(name, "torch.nn.modules.activation.ReLU") != 0))
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: its encoder ends with a %s; expected a ReLU", r->archive->path,
                name);
    if (!norm) return RA_OK;
    bool known = false;
    (void)ra_pickle_name(norm, name, sizeof name);
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) known |= strcmp(name, norms[i]) == 0;
    if (!known)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: its encoder has the norm %s; expected LayerNorm, BatchNorm1d or none", r->archive->path,
                name);
    return check_epsilon(r, norm, err);
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
