#include "io/safetensors/layouts.h"
#include "io/config.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A file and the JSON beside it. */
typedef struct reading {
    ra_safetensors *file;
    const cJSON *json;
    const char *path; /* of the JSON */
} reading;

#define REFUSE(r, err, ...)                                                                                  \
    do {                                                                                                     \
        char why_[256];                                                                                      \
        snprintf(why_, sizeof why_, __VA_ARGS__);                                                            \
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: %s", (r)->path, why_);                                         \
    } while (0)

static ra_status add(const reading *r, const char *key, const char *text, ra_error *err) {
    return ra_safetensors_add_text(r->file, key, text, err);
}

static ra_status add_number(const reading *r, const char *key, double number, ra_error *err) {
    char text[64];
    ra_config_number(number, text, sizeof text);
    return add(r, key, text, err);
}

static const cJSON *member(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static const char *text_of(const cJSON *object, const char *key) {
    return cJSON_GetStringValue(member(object, key));
}

/* Where the activations are from: the metadata, or the top level, as older files have it. */
static ra_status add_origin(const reading *r, const char *key, const char *theirs, ra_error *err) {
    const char *text = text_of(member(r->json, "metadata"), theirs);
    if (!text) text = text_of(r->json, theirs);
    return text ? add(r, key, text, err) : RA_OK;
}

/* ---- SAELens ------------------------------------------------------------------------------------------- */

static ra_status saelens_kind(const reading *r, ra_error *err) {
    static const struct {
        const char *architecture, *sae;
    } known[] = {{"standard", "relu"},  {"topk", "topk"},           {"jumprelu", "jumprelu"},
                 {"gated", "jumprelu"}, {"batchtopk", "batchtopk"}, {"matryoshka_batchtopk", "batchtopk"}};
    const char *architecture = text_of(r->json, "architecture"),
               *function = text_of(r->json, "activation_fn_str");
    const cJSON *k = member(r->json, "k");
    double threshold;
    if (!architecture) architecture = "standard"; /* before version 6 */
    if (strcmp(architecture, "standard") == 0 && function && strcmp(function, "relu") != 0) {
        architecture = function;
        k = member(member(r->json, "activation_fn_kwargs"), "k");
    }
    size_t i = 0;
    while (i < sizeof known / sizeof *known && strcmp(known[i].architecture, architecture) != 0) i++;
    if (strstr(architecture, "transcoder"))
        REFUSE(r, err,
               "its architecture is \"%.100s\", whose reconstructions are of other activations than its "
               "inputs, which is not supported",
               architecture);
    if (i == sizeof known / sizeof *known)
        REFUSE(r, err,
               "its architecture is \"%.100s\"; expected standard, topk, jumprelu, gated, batchtopk or "
               "matryoshka_batchtopk",
               architecture);
    bool gated = false;
    RA_TRY(ra_layout_gate(r->file, &gated, err));
    if (gated != (strcmp(architecture, "gated") == 0))
        REFUSE(r, err, "its architecture is \"%.100s\", but the tensors are %s gated encoder", architecture,
               gated ? "those of a" : "not those of a");
    RA_TRY(add(r, "sae", known[i].sae, err));
    if (cJSON_IsNumber(k)) RA_TRY(add_number(r, "top_k", k->valuedouble, err));
    if (ra_layout_number(r->file, "topk_threshold", &threshold)) {
        RA_TRY(add_number(r, "running_threshold", (double)ra_layout_threshold((float)threshold), err));
        RA_TRY(ra_layout_leave_out(r->file, "topk_threshold", err));
    }
    return ra_layout_thresholds(r->file, err);
}

static ra_status saelens(const reading *r, ra_error *err) {
    const char *normalization = text_of(r->json, "normalize_activations");
    if (normalization && strcmp(normalization, "none") != 0)
        REFUSE(r, err,
               "normalize_activations is \"%.100s\", which is not supported; fold it into the weights first",
               normalization);
    RA_TRY(saelens_kind(r, err));
    RA_TRY(add(r, "center_input", cJSON_IsFalse(member(r->json, "apply_b_dec_to_input")) ? "false" : "true",
               err));
    RA_TRY(add_origin(r, "model", "model_name", err));
    RA_TRY(add_origin(r, "hook", "hook_name", err));
    bool rescaled = cJSON_IsTrue(member(r->json, "rescale_acts_by_decoder_norm"));
    return rescaled ? ra_layout_normalize_decoder(r->file, err) : RA_OK;
}

/* ---- sparsify ------------------------------------------------------------------------------------------ */

static ra_status sparsify(const reading *r, ra_error *err) {
    const char *activation = text_of(r->json, "activation");
    const cJSON *k = member(r->json, "k");
    if (activation && strcmp(activation, "topk") != 0)
        REFUSE(r, err, "its activation is \"%.100s\"; expected topk", activation);
    if (cJSON_IsTrue(member(r->json, "signed")))
        REFUSE(r, err, "it is signed: its codes are the largest of both signs, which is not supported");
    if (cJSON_IsTrue(member(r->json, "transcode")))
        REFUSE(r, err,
               "it is a transcoder, whose reconstructions are of other activations, which is not supported");
    RA_TRY(add(r, "sae", "topk", err));
    if (cJSON_IsNumber(k)) RA_TRY(add_number(r, "top_k", k->valuedouble, err));
    return add(r, "center_input", "true", err);
}

/* ---- dictionary_learning ------------------------------------------------------------------------------- */

static ra_status dictionary_learning(const reading *r, ra_error *err) {
    static const struct {
        const char *name, *sae, *center;
    } classes[] = {{"AutoEncoder", "relu", "true"},
                   {"AutoEncoderNew", "relu", "false"},
                   {"AutoEncoderTopK", "topk", "true"},
                   {"BatchTopKSAE", "batchtopk", "true"},
                   {"MatryoshkaBatchTopKSAE", "batchtopk", "true"},
                   {"GatedAutoEncoder", "jumprelu", "true"},
                   {"JumpReluAutoEncoder", "jumprelu", "false"}};
    const cJSON *trainer = member(r->json, "trainer");
    const char *name = text_of(trainer, "dict_class");
    double number;
    bool gated = false;
    size_t i = 0;
    RA_TRY(ra_layout_gate(r->file, &gated, err));
    if (!name && gated) name = "GatedAutoEncoder"; /* the tensors tell these two */
    if (!name && ra_layout_has(r->file, "group_sizes")) name = "MatryoshkaBatchTopKSAE";
    while (name && i < sizeof classes / sizeof *classes && strcmp(classes[i].name, name) != 0) i++;
    if (name && i == sizeof classes / sizeof *classes)
        REFUSE(r, err, "its dict_class is \"%.100s\", which is not supported", name);
    if (name) {
        RA_TRY(add(r, "sae", classes[i].sae, err));
        RA_TRY(add(r, "center_input", classes[i].center, err));
    }
    if (ra_layout_number(r->file, "k", &number)) RA_TRY(add_number(r, "top_k", number, err));
    if (ra_layout_number(r->file, "threshold", &number) && number >= 0) /* -1: it has not been measured */
        RA_TRY(add_number(r, "running_threshold", (double)ra_layout_threshold((float)number), err));
    const char *model = text_of(trainer, "lm_name"), *hook = text_of(trainer, "submodule_name");
    if (model) RA_TRY(add(r, "model", model, err));
    if (hook) RA_TRY(add(r, "hook", hook, err));
    RA_TRY(ra_layout_leave_out(r->file, "k", err));
    RA_TRY(ra_layout_leave_out(r->file, "group_sizes", err));
    if (ra_layout_number(r->file, "threshold", &number))
        RA_TRY(ra_layout_leave_out(r->file, "threshold", err));
    return ra_layout_thresholds(r->file, err);
}

/* ---- OpenAI's sparse_autoencoder ------------------------------------------------------------------------ */

/* Its state dict names the activation. Where that is TopK, the library divides each input by its own deviation first. */
static ra_status openai(ra_safetensors *file, ra_error *err) {
    const char *activation = NULL;
    for (size_t i = 0; i < file->text_count; i++)
        if (strcmp(file->texts[i].key, "activation") == 0) activation = file->texts[i].text;
    if (activation && strcmp(activation, "ReLU") != 0)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: its activation is \"%.100s\"; expected ReLU (with TopK its library standardizes each "
                "input by "
                "its own mean and deviation, which is not supported)",
                file->path, activation);
    RA_TRY(ra_layout_leave_out(file, "stats_last_nonzero", err));
    RA_TRY(ra_safetensors_add_text(file, "sae", "relu", err));
    return ra_safetensors_add_text(file, "center_input", "true", err);
}

/* ---- Llama Scope --------------------------------------------------------------------------------------- */

/* Its one threshold is in units of normalized inputs for some readers, and of raw ones for others. */
static ra_status llama_scope(const reading *r, ra_error *err) {
    REFUSE(r, err,
           "it is of Llama Scope, whose jump_relu_threshold and norms are read in more than one way; load it "
           "with "
           "SAELens, save it with save_model(), and import that");
}

/* ---- Gemma Scope --------------------------------------------------------------------------------------- */

/* All of it is jumprelu, and nothing is subtracted from the inputs. */
static ra_status gemma_scope(ra_safetensors *file, ra_error *err) {
    RA_TRY(ra_layout_thresholds(file, err));
    if (!ra_layout_has_thresholds(file))
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s has no array threshold, so it is not one of Gemma Scope's",
                file->path);
    RA_TRY(ra_safetensors_add_text(file, "sae", "jumprelu", err));
    return ra_safetensors_add_text(file, "center_input", "false", err);
}

/* ---- the JSON file ------------------------------------------------------------------------------------- */

/* *tree <- the JSON file of this name beside the weights; NULL: there is none. */
static ra_status open_beside(const ra_safetensors *file, const char *name, char **path, cJSON **tree,
                             ra_error *err) {
    struct stat what;
    *tree = NULL;
    RA_TRY(ra_config_beside(file->path, name, path, err));
    return stat(*path, &what) == 0 ? ra_config_open(*path, tree, err) : RA_OK;
}

static ra_status read_beside(ra_safetensors *file, const char *name,
                             ra_status (*read)(const reading *, ra_error *), const char *sign, bool *found,
                             ra_error *err) {
    char *path = NULL;
    cJSON *tree = NULL;
    ra_status status = open_beside(file, name, &path, &tree, err);
    *found = status == RA_OK && tree && (!sign || member(tree, sign));
    if (*found) status = read(&(reading){file, tree, path}, err);
    cJSON_Delete(tree);
    ra_free(path);
    return status;
}

/* Without the JSON, what the tensors alone say. */
static ra_status read_alone(ra_safetensors *file, ra_layout layout, ra_error *err) {
    const reading r = {file, NULL, file->path};
    bool gated = false;
    if (layout == RA_LAYOUT_DICTIONARY_LEARNING || ra_layout_has(file, "group_sizes"))
        return dictionary_learning(&r, err);
    if (layout != RA_LAYOUT_SAELENS) return RA_OK;
    RA_TRY(ra_layout_gate(file, &gated, err));
    return gated ? ra_safetensors_add_text(file, "sae", "jumprelu", err) : ra_layout_thresholds(file, err);
}

ra_status ra_layout_settings(ra_safetensors *file, ra_layout layout, ra_error *err) {
    bool found = false;
    if (layout == RA_LAYOUT_OPENAI) return openai(file, err);
    if (layout == RA_LAYOUT_DICTIONARY_LEARNING) {
        RA_TRY(read_beside(file, "hyperparams.json", llama_scope, NULL, &found, err));
        RA_TRY(read_beside(file, "../hyperparams.json", llama_scope, NULL, &found, err));
    }
    if (layout == RA_LAYOUT_SAELENS) RA_TRY(read_beside(file, "cfg.json", saelens, NULL, &found, err));
    if (file->npz && !found) return gemma_scope(file, err);
    if (layout == RA_LAYOUT_SPARSIFY) RA_TRY(read_beside(file, "cfg.json", sparsify, NULL, &found, err));
    if (!found && layout != RA_LAYOUT_SPARSIFY)
        RA_TRY(read_beside(file, "config.json", dictionary_learning, "trainer", &found, err));
    return found ? RA_OK : read_alone(file, layout, err);
}
