#include "io/safetensors/layout_json.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Where the activations are from: the metadata, or the top level, as older files have it. */
static ra_status add_origin(const ra_layout_reading *r, const char *key, const char *theirs, ra_error *err) {
    const char *text = ra_layout_text(ra_layout_member(r->json, "metadata"), theirs);
    if (!text) text = ra_layout_text(r->json, theirs);
    return text ? ra_layout_add(r, key, text, err) : RA_OK;
}

/* ---- SAELens ------------------------------------------------------------------------------------------- */

static ra_status unknown_architecture(const ra_layout_reading *r, ra_error *err) {
    const char *architecture = ra_layout_text(r->json, "architecture"),
               *function = ra_layout_text(r->json, "activation_fn_str");
    bool older = function && (!architecture || strcmp(architecture, "standard") == 0);
    RA_LAYOUT_REFUSE(r, err,
                     "its architecture is \"%.100s\"; expected standard, topk, jumprelu, gated, batchtopk or "
                     "matryoshka_batchtopk",
                     older          ? function
                     : architecture ? architecture
                                    : "missing");
}

static ra_status saelens_kind(const ra_layout_reading *r, ra_error *err) {
    static const struct {
        const char *architecture, *sae;
    } known[] = {{"standard", "relu"},  {"topk", "topk"},           {"jumprelu", "jumprelu"},
                 {"gated", "jumprelu"}, {"batchtopk", "batchtopk"}, {"matryoshka_batchtopk", "batchtopk"}};
    const char *architecture = ra_layout_text(r->json, "architecture"),
               *function = ra_layout_text(r->json, "activation_fn_str");
    const cJSON *k = ra_layout_member(r->json, "k");
    double threshold;
    if (!architecture) architecture = "standard"; /* before version 6 */
    if (strcmp(architecture, "standard") == 0 && function && strcmp(function, "relu") != 0) {
        architecture = function;
        k = ra_layout_member(ra_layout_member(r->json, "activation_fn_kwargs"), "k");
    }
    size_t i = 0;
    while (i < sizeof known / sizeof *known && strcmp(known[i].architecture, architecture) != 0) i++;
    if (strstr(architecture, "transcoder"))
        RA_LAYOUT_REFUSE(
            r, err,
            "its architecture is \"%.100s\", whose reconstructions are of other activations than its "
            "inputs, which is not supported",
            architecture);
    if (i == sizeof known / sizeof *known) return unknown_architecture(r, err);
    bool gated = false;
    RA_TRY(ra_layout_gate(r->file, &gated, err));
    if (gated != (strcmp(architecture, "gated") == 0))
        RA_LAYOUT_REFUSE(r, err, "its architecture is \"%.100s\", but the tensors are %s gated encoder",
                         architecture, gated ? "those of a" : "not those of a");
    RA_TRY(ra_layout_add(r, "sae", known[i].sae, err));
    if (cJSON_IsNumber(k)) RA_TRY(ra_layout_add_number(r, "top_k", k->valuedouble, err));
    if (ra_layout_number(r->file, "topk_threshold", &threshold)) {
        RA_TRY(
            ra_layout_add_number(r, "running_threshold", (double)ra_layout_threshold((float)threshold), err));
        RA_TRY(ra_layout_leave_out(r->file, "topk_threshold", err));
    }
    return ra_layout_thresholds(r->file, err);
}

static ra_status saelens(const ra_layout_reading *r, ra_error *err) {
    const char *normalization = ra_layout_text(r->json, "normalize_activations");
    if (normalization && strcmp(normalization, "none") != 0)
        RA_LAYOUT_REFUSE(
            r, err,
            "normalize_activations is \"%.100s\", which is not supported; fold it into the weights first",
            normalization);
    RA_TRY(saelens_kind(r, err));
    RA_TRY(ra_layout_add(r, "center_input",
                         cJSON_IsFalse(ra_layout_member(r->json, "apply_b_dec_to_input")) ? "false" : "true",
                         err));
    RA_TRY(add_origin(r, "model", "model_name", err));
    RA_TRY(add_origin(r, "hook", "hook_name", err));
    bool rescaled = cJSON_IsTrue(ra_layout_member(r->json, "rescale_acts_by_decoder_norm"));
    return rescaled ? ra_layout_normalize_decoder(r->file, err) : RA_OK;
}

/* ---- sparsify ------------------------------------------------------------------------------------------ */

static ra_status sparsify(const ra_layout_reading *r, ra_error *err) {
    const char *activation = ra_layout_text(r->json, "activation");
    const cJSON *k = ra_layout_member(r->json, "k");
    if (activation && strcmp(activation, "topk") != 0)
        RA_LAYOUT_REFUSE(r, err, "its activation is \"%.100s\"; expected topk", activation);
    if (cJSON_IsTrue(ra_layout_member(r->json, "signed")))
        RA_LAYOUT_REFUSE(r, err,
                         "it is signed: its codes are the largest of both signs, which is not supported");
    if (cJSON_IsTrue(ra_layout_member(r->json, "transcode")))
        RA_LAYOUT_REFUSE(
            r, err,
            "it is a transcoder, whose reconstructions are of other activations, which is not supported");
    RA_TRY(ra_layout_add(r, "sae", "topk", err));
    if (cJSON_IsNumber(k)) RA_TRY(ra_layout_add_number(r, "top_k", k->valuedouble, err));
    return ra_layout_add(r, "center_input", "true", err);
}

/* ---- dictionary_learning ------------------------------------------------------------------------------- */

static ra_status dictionary_learning(const ra_layout_reading *r, ra_error *err) {
    static const struct {
        const char *name, *sae, *center;
    } classes[] = {{"AutoEncoder", "relu", "true"},
                   {"AutoEncoderNew", "relu", "false"},
                   {"AutoEncoderTopK", "topk", "true"},
                   {"BatchTopKSAE", "batchtopk", "true"},
                   {"MatryoshkaBatchTopKSAE", "batchtopk", "true"},
                   {"GatedAutoEncoder", "jumprelu", "true"},
                   {"JumpReluAutoEncoder", "jumprelu", "false"}};
    const cJSON *trainer = ra_layout_member(r->json, "trainer");
    const char *name = ra_layout_text(trainer, "dict_class");
    double number;
    bool gated = false;
    size_t i = 0;
    RA_TRY(ra_layout_gate(r->file, &gated, err));
    if (!name && gated) name = "GatedAutoEncoder"; /* the tensors tell these two */
    if (!name && ra_layout_has(r->file, "group_sizes")) name = "MatryoshkaBatchTopKSAE";
    while (name && i < sizeof classes / sizeof *classes && strcmp(classes[i].name, name) != 0) i++;
    if (name && i == sizeof classes / sizeof *classes)
        RA_LAYOUT_REFUSE(r, err, "its dict_class is \"%.100s\", which is not supported", name);
    if (name) {
        RA_TRY(ra_layout_add(r, "sae", classes[i].sae, err));
        RA_TRY(ra_layout_add(r, "center_input", classes[i].center, err));
    }
    if (ra_layout_number(r->file, "k", &number)) RA_TRY(ra_layout_add_number(r, "top_k", number, err));
    if (ra_layout_number(r->file, "threshold", &number) && number >= 0) /* -1: it has not been measured */
        RA_TRY(ra_layout_add_number(r, "running_threshold", (double)ra_layout_threshold((float)number), err));
    const char *model = ra_layout_text(trainer, "lm_name"), *hook = ra_layout_text(trainer, "submodule_name");
    if (model) RA_TRY(ra_layout_add(r, "model", model, err));
    if (hook) RA_TRY(ra_layout_add(r, "hook", hook, err));
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
                             ra_status (*read)(const ra_layout_reading *, ra_error *), const char *sign,
                             bool *found, ra_error *err) {
    char *path = NULL;
    cJSON *tree = NULL;
    ra_status status = open_beside(file, name, &path, &tree, err);
    *found = status == RA_OK && tree && (!sign || ra_layout_member(tree, sign));
    if (*found) status = read(&(ra_layout_reading){file, tree, path}, err);
    cJSON_Delete(tree);
    ra_free(path);
    return status;
}

/* Without the JSON, what the tensors alone say. */
static ra_status read_alone(ra_safetensors *file, ra_layout layout, ra_error *err) {
    const ra_layout_reading r = {file, NULL, file->path};
    bool gated = false;
    if (layout == RA_LAYOUT_DICTIONARY_LEARNING || ra_layout_has(file, "group_sizes"))
        return dictionary_learning(&r, err);
    if (layout != RA_LAYOUT_SAELENS) return RA_OK;
    RA_TRY(ra_layout_gate(file, &gated, err));
    return gated ? ra_safetensors_add_text(file, "sae", "jumprelu", err) : ra_layout_thresholds(file, err);
}

/* Llama Scope and what came after it. Only the JSON tells how the inputs are normalized. */
static ra_status openmoss(ra_safetensors *file, ra_layout layout, bool *found, ra_error *err) {
    static const char *const files[] = {"hyperparams.json", "../hyperparams.json"};
    bool sure = layout == RA_LAYOUT_OPENMOSS || ra_layout_has(file, "log_jumprelu_threshold");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        RA_TRY(read_beside(file, files[i], ra_layout_llama_scope, "act_fn", found, err));
        if (*found) return RA_OK;
    }
    RA_TRY(read_beside(file, "config.json", ra_layout_openmoss, sure ? NULL : "sae_type", found, err));
    if (!sure || *found) return RA_OK;
    RA_FAIL(
        err, RA_ERR_SETTING,
        "%s: there is no config.json beside it, which says how its inputs are normalized and what is active "
        "(norm_activation, act_fn)",
        file->path);
}

ra_status ra_layout_refuse_unknown(ra_safetensors *file, ra_error *err) {
    bool found;
    return read_beside(file, "cfg.json", unknown_architecture, "architecture", &found, err);
}

ra_status ra_layout_settings(ra_safetensors *file, ra_layout layout, ra_error *err) {
    bool found = false;
    if (layout == RA_LAYOUT_OPENAI) return openai(file, err);
    if (layout == RA_LAYOUT_OPENMOSS || layout == RA_LAYOUT_DICTIONARY_LEARNING) {
        RA_TRY(openmoss(file, layout, &found, err));
        if (found) return RA_OK;
    }
    if (layout == RA_LAYOUT_SAELENS) RA_TRY(read_beside(file, "cfg.json", saelens, NULL, &found, err));
    if (file->npz && !found) return gemma_scope(file, err);
    if (layout == RA_LAYOUT_SPARSIFY) RA_TRY(read_beside(file, "cfg.json", sparsify, NULL, &found, err));
    if (!found && layout != RA_LAYOUT_SPARSIFY)
        RA_TRY(read_beside(file, "config.json", dictionary_learning, "trainer", &found, err));
    return found ? RA_OK : read_alone(file, layout, err);
}
