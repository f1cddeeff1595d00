/* Which tensors of a file are part of a model. A state dict may hold more than this library computes with: a
 * bias of the decoder, the levels of a quantizer. Without such a tensor the file would be another model, so it
 * is refused by its name, unless the caller says that it may be left out. */
#include "sae/encoder.h"
#include "sae/activation.h"

#include <stdio.h>
#include <string.h>

static const char tied_copy[] = "encoder.tied_to.", thresholds[] = "thresholds",
                  values[] = "thresholds.value";

/* Complete names, and beginnings of names that end with a dot. */
static const char *const read_elsewhere[] = {
    "dictionary",
    "dictionary.W",
    "dictionary.C",
    "dictionary.Relax",
    "dictionary.multiplier",
    "dictionary._weights",
    "dictionary.W.index",
    "dictionary.W.weight",
    "dictionary.C.number",
    "dictionary.mixture",
    "input.mean",
    "input.scale",
    "output.bias",
    "thresholds.value",
    "archetypes.",
    "relaxation.",
    "hull.",
    "points.",
    "trace.",
    "latents.",
    "contrasts.",
    "atoms.",
    "agreement.",
    "consensus.",
    "start.",
    "optimizer.",
    "train.",
};

#define EXPECTED "expected one of linear, mlp_ln_1, mlp_bn_1, mlp_ln_3, mlp_bn_3, tied"

/* What is known of tensors that other programs write; a name that ends with a dot stands for all that begin with it. */
static const struct {
    const char *name, *what;
} refused[] = {
    {"encoder.mlp_blocks.", "belongs to a hidden layer of an encoder that is not supported: of more than 16 "
                            "layers, or with another norm than "
                            "the final block; " EXPECTED},
    {"encoder.resnet_blocks.",
     "belongs to an encoder that is not supported, one of images (resnet); " EXPECTED},
    {"encoder.attention_blocks.", "belongs to an encoder that is not supported (attention): in overcomplete "
                                  "its codes of an input depend on the "
                                  "others of the batch; " EXPECTED},
    {"Q", "holds the levels of a quantizer (QSAE), which is not supported"},
    {"pre_bias", "is subtracted from the inputs, which is not supported"},
    {"b_dec", "is added to the reconstructions, which is not supported"},
    {"decoder.bias", "is added to the reconstructions, which is not supported"},
    {"dictionary.bias", "is added to the reconstructions, which is not supported"},
    {"thresholds.value", "belongs to jumprelu, but the setting sae is another"},
    {"thresholds", "belongs to jumprelu, but the setting sae is another"},
};

static bool begins(const char *name, const char *beginning) {
    return strncmp(name, beginning, strlen(beginning)) == 0;
}

static bool is_listed(const char *name) {
    for (size_t i = 0; i < sizeof read_elsewhere / sizeof *read_elsewhere; i++) {
        const char *entry = read_elsewhere[i];
        bool family = entry[strlen(entry) - 1] == '.';
        if (family ? begins(name, entry) : strcmp(name, entry) == 0) return true;
    }
    return false;
}

static bool is_encoder(const char *name, size_t *which) {
    static const char *const short_names[] = {
        [RA_ENCODER_WEIGHT] = "encoder.weight", [RA_ENCODER_BIAS] = "encoder.bias"};
    for (size_t i = 0; i < RA_ENCODER_TENSORS; i++) {
        bool shorter = i < sizeof short_names / sizeof *short_names && strcmp(name, short_names[i]) == 0;
        if (!shorter && strcmp(name, ra_encoder_tensor_names[i]) != 0) continue;
        *which = i;
        return true;
    }
    return false;
}

ra_tensor_use ra_sae_tensor_use(const char *name) {
    size_t which;
    bool counter, hidden = ra_hidden_has_name(name, &counter);
    if (counter || strcmp(name, ra_encoder_batch_counter) == 0 || begins(name, tied_copy))
        return RA_TENSOR_UNUSED;
    bool known = hidden || is_listed(name) || strcmp(name, thresholds) == 0 || is_encoder(name, &which);
    return known ? RA_TENSOR_USED : RA_TENSOR_UNKNOWN;
}

bool ra_sae_tensor_ignored(const char *ignored, const char *name) {
    size_t length = strlen(name);
    for (const char *at = ignored; at && *at;) {
        size_t size = strcspn(at, ",");
        if (size == length && memcmp(at, name, length) == 0) return true;
        at += size + (at[size] == ',');
    }
    return false;
}

/* The encoder of tied() refers to the dictionary, and its tensors are written twice. */
static bool is_copy(const ra_safetensors *file, const char *name) {
    char original[256];
    snprintf(original, sizeof original, "dictionary.%s", name + sizeof tied_copy - 1);
    const ra_tensor *a = ra_safetensors_find(file, name), *b = ra_safetensors_find(file, original);
    if (!a || !b || a->dtype != b->dtype || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return memcmp(a->data, b->data, ra_tensor_bytes(a)) == 0;
}

/* A tensor of a layer that is counted, and of its norm. */
static bool is_hidden(const ra_safetensors *file, ra_encoder_kind kind, const char *name) {
    size_t count = ra_hidden_count(file);
    bool counter;
    for (size_t i = 0; i < count; i++)
        for (size_t which = 0; which < RA_ENCODER_TENSORS; which++)
            if (strcmp(name, ra_hidden_tensor_name(i, which).text) == 0)
                return ra_encoder_has_tensor(kind, which);
    return ra_hidden_has_name(name, &counter) && counter;
}

static bool is_right(const ra_safetensors *file, const ra_sae_settings *settings, const char *name) {
    size_t which;
    bool found, counter, sae = ra_setting_known(settings, RA_SET_SAE);
    ra_encoder_kind kind;
    if (begins(name, tied_copy)) return is_copy(file, name);
    if (strcmp(name, thresholds) == 0 || strcmp(name, values) == 0)
        return !sae || ra_activation_types[settings->sae]->has_thresholds;
    if (ra_hidden_has_name(name, &counter))
        return ra_encoder_find(file, settings, &found, &kind, NULL) != RA_OK || !found ||
               (ra_encoder_has_hidden(kind) && is_hidden(file, kind, name));
    if (is_encoder(name, &which)) /* opening the encoder reports its other faults */
        return ra_encoder_find(file, settings, &found, &kind, NULL) != RA_OK || !found ||
               ra_encoder_has_tensor(kind, which);
    return ra_sae_tensor_use(name) != RA_TENSOR_UNKNOWN;
}

/* The names of one file, readable tensors and others. */
static const char *name_at(const ra_safetensors *file, size_t i) {
    size_t readable = ra_safetensors_count(file);
    return i < readable ? ra_safetensors_name(file, i) : ra_safetensors_foreign(file, i - readable, NULL);
}

ra_status ra_sae_check_tensors(const ra_safetensors *file, const ra_sae_settings *settings,
                               const char *ignored, ra_error *err) {
    char names[512] = "";
    const char *first = NULL, *name;
    size_t used = 0;
    for (size_t i = 0; (name = name_at(file, i)); i++) {
        if (is_right(file, settings, name)) continue;
        if (ra_sae_tensor_ignored(ignored, name)) {
            ra_log(RA_LOG_WARNING, "%s: the tensor %s is left out", ra_safetensors_path(file), name);
            continue;
        }
        if (!first) first = name;
        if (used + strlen(name) + 2 > sizeof names) continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? "," : "", name);
    }
    if (!first) return RA_OK;
    const char *what = begins(first, "encoder.") ? "belongs to an encoder that is not supported; " EXPECTED
                                                 : "is not part of a model that is supported";
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        bool family = refused[i].name[strlen(refused[i].name) - 1] == '.';
        if (family && begins(first, refused[i].name))
            RA_FAIL(err, RA_ERR_UNSUPPORTED,
                    "%s: the tensor %s %s; its dictionary can be served alone, in a file without its encoder",
                    ra_safetensors_path(file), first, refused[i].what);
        if (strcmp(first, refused[i].name) == 0) what = refused[i].what;
    }
    RA_FAIL(err, RA_ERR_UNSUPPORTED,
            "%s: the tensor %s %s; if the model does not need it, leave it out with --ignore-tensor %s",
            ra_safetensors_path(file), first, what, names);
}
