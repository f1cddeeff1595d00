/* Opening a model: the kind of its file, the settings, then the parts, each after those that it needs:
 * dictionary and encoder (one function for each kind of file), points, labels, the atoms of each point. A
 * model that fails half opened can be released: every part leaves it consistent.
 *
 * An artifact stays open, and computations read it where it is, in a mapping or in memory. Everything that
 * is kept of a checkpoint is copied, and its mapping (gigabytes of W) is closed before ra_model_open()
 * returns. */
#include "model/hidden.h"
#include "model/model.h"
#include "io/safetensors/safetensors.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- where it comes from ------------------------------------------------------------------------------ */

const ra_model_origin ra_model_origins[RA_MODEL_ORIGINS] = {
    {"init", offsetof(ra_model_info, init)},        {"seed", offsetof(ra_model_info, seed)},
    {"model", offsetof(ra_model_info, model)},      {"hook", offsetof(ra_model_info, hook)},
    {"shape", offsetof(ra_model_info, shape_text)},
};

static const char **origin_of(ra_model *model, size_t i) {
    return (const char **)(void *)((char *)&model->info + ra_model_origins[i].offset);
}

const char *ra_model_origin_text(const ra_model *model, size_t i) {
    return *(const char *const *)(const void *)((const char *)&model->info + ra_model_origins[i].offset);
}

static ra_status read_origins(ra_model *model, const ra_safetensors *file, ra_error *err) {
    for (size_t i = 0; i < RA_MODEL_ORIGINS; i++) {
        const char *text = ra_safetensors_metadata(file, ra_model_origins[i].key);
        void *memory = NULL;
        if (!text) continue;
        RA_TRY(ra_model_allocate(model, "the metadata", strlen(text) + 1, 1, &memory, err));
        memcpy(memory, text, strlen(text) + 1);
        *origin_of(model, i) = memory;
    }
    return RA_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static ra_status neither_kind(const ra_safetensors *file, ra_error *err) {
    char names[256] = "nothing";
    size_t used = 0, count = ra_safetensors_count(file);
    for (size_t i = 0; i < count; i++) {
        const char *name = ra_safetensors_name(file, i);
        if (i == 8 || used + strlen(name) + 8 > sizeof names) {
            snprintf(names + used, sizeof names - used, ", ...");
            break;
        }
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", name);
    }
    RA_FAIL(err, RA_ERR_FORMAT,
            "%s is neither a fused artifact (a tensor `dictionary`) nor a checkpoint (`dictionary.W` or "
            "`dictionary._weights`); it holds %s",
            ra_safetensors_path(file), names);
}

static ra_status read_settings(ra_model *model, const ra_safetensors *file, const ra_model_options *options,
                               ra_error *err) {
    ra_sae_settings *settings = &model->info.settings;
    RA_TRY(ra_sae_settings_read(file, settings, err));
    ra_settings_override(ra_sae_settings_table(), settings, &options->settings);
    return RA_OK;
}

/* The norms. The pass over D also finds numbers that are not finite: such a row has no finite norm. */
static ra_status measure_dictionary(ra_model *model, ra_error *err) {
    const ra_tensor *D = &model->dictionary;
    void *memory = NULL;
    bool small = false;
    RA_TRY(
        ra_model_allocate(model, "the norms of the atoms", D->shape[0], sizeof *model->norm, &memory, err));
    model->norm = memory;
    ra_tensor_row_norms(D, ra_backend_pool(model->backend), model->norm);
    for (size_t k = 0; k < D->shape[0]; k++) {
        if (!isfinite(model->norm[k])) return ra_model_check_finite(model, "dictionary", D, err);
        if (model->norm[k] > model->largest_norm) model->largest_norm = model->norm[k];
        if (model->norm[k] > 0 && model->norm[k] < RA_MODEL_SMALLEST_NORM) small = true;
    }
    model->plain_norms = !small && model->largest_norm < 0x1p96;
    return RA_OK;
}

static ra_status open_parts(ra_model *model, ra_safetensors *file, const ra_model_options *options,
                            ra_error *err) {
    RA_TRY(read_settings(model, file, options, err));
    RA_TRY(ra_sae_check_tensors(file, &model->info.settings, options->settings.ignored, err));
    RA_TRY(read_origins(model, file, err));
    if (model->file)
        RA_TRY(ra_model_open_artifact(model, file, err));
    else
        RA_TRY(ra_model_open_checkpoint(model, file, options->archetypes, err));
    RA_TRY(measure_dictionary(model, err));
    RA_TRY(ra_model_open_standardization(model, file, err));
    RA_TRY(ra_model_open_points(model, file, err));
    RA_TRY(ra_model_open_trace(model, file, err));
    RA_TRY(ra_model_open_agreement(model, file, err));
    RA_TRY(ra_model_open_training(model, file, err));
    RA_TRY(ra_model_open_contrasts(model, file, err));
    RA_TRY(ra_model_measure_provenance(model, err));
    RA_TRY(ra_model_open_item_shape(model, file, &options->items, err));
    RA_TRY(ra_model_open_statistics(model, file, err));
    RA_TRY(ra_model_open_labels(model, file, err));
    RA_TRY(ra_model_index_points(model, err));
    return ra_model_make_resident(model, options->workspaces, err);
}

static void complete_info(ra_model *model) {
    ra_model_info *info = &model->info;
    info->dtype = model->dictionary.dtype;
    if (info->shape_text) info->sides = ra_model_shape_parse(info->shape_text, info->dimensions, info->shape);
    info->has_standardization = model->file_mean != NULL;
    info->has_output_bias = model->output_bias != NULL;
    info->has_relaxation = model->relaxation_norm != NULL;
    info->trace_rows = model->trace_rows;
    info->point_rows = model->point_row_count;
    info->has_atom_labels = model->atom_labels != NULL;
    info->has_explanations = model->explanations || model->label_authors || model->label_score;
    info->has_point_labels = model->point_labels != NULL;
    info->has_point_vectors = model->point_vectors.data != NULL;
    info->has_statistics = model->statistics.rows > 0;
    info->has_cofiring = model->statistics.cofiring.partners > 0;
    info->has_quantiles = model->statistics.quantiles.count > 0;
    info->has_contrasts = model->contrast_count > 0;
    info->has_layout = model->layout != NULL;
    info->items = model->statistics.items;
    info->item_count = model->statistics.item_codes.count;
    info->has_tokens = model->statistics.tokens.words != NULL;
    info->mapped = model->file && ra_safetensors_mapped(model->file);
    info->device = ra_backend_name(model->backend);
    ra_digest(model->dictionary.data, ra_tensor_bytes(&model->dictionary), info->digest);
}

static ra_status open_file(ra_model *model, const char *path, const ra_model_options *options,
                           ra_error *err) {
    ra_safetensors *file = NULL;
    RA_TRY(options->steady ? ra_safetensors_open_steady(path, options->private_below, &file, err)
                           : ra_safetensors_open(path, &file, err));
    bool fused = ra_safetensors_find(file, "dictionary") != NULL;
    bool checkpoint = ra_safetensors_find(file, "dictionary.W") ||
                      ra_safetensors_find(file, "dictionary.W.index") ||
                      ra_safetensors_find(file, "dictionary._weights");
    ra_status status = options->verify ? ra_safetensors_verify(file, err) : RA_OK;
    if (status == RA_OK)
        status = fused || checkpoint ? ra_safetensors_narrow(file, err) : neither_kind(file, err);
    if (fused) {
        model->file = file; /* which ra_model_release() frees */
        for (size_t i = 0; i < ra_safetensors_count(file); i++)
            model->info.bytes += ra_tensor_bytes(ra_safetensors_at(file, i));
    }
    model->info.from_checkpoint = !fused;
    if (status == RA_OK) status = open_parts(model, file, options, err);
    if (status == RA_OK) complete_info(model);
    if (status == RA_OK && fused && options->steady)
        ra_mapping_digest(ra_safetensors_mapping(file), model->file_digest);
    ra_error changed = {0};
    if (ra_safetensors_check(file, &changed) != RA_OK) /* then any other failure comes from it */
        status = ra_error_set(err, changed.code, "%s", changed.message);
    if (!fused) ra_safetensors_free(file);
    return status;
}

static ra_status choose_backend(ra_model *model, ra_backend *given, ra_error *err) {
    if (given)
        model->backend = ra_backend_retain(given);
    else
        RA_TRY(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &model->backend, err));
    return RA_OK;
}

ra_status ra_model_open(const char *path, const ra_model_options *options, ra_model **out, ra_error *err) {
    static const ra_model_options none = {0};
    if (!options) options = &none;
    ra_model *model = ra_calloc(1, sizeof *model);
    if (!model) RA_FAIL_MEMORY(err, "a model", sizeof *model);
    atomic_init(&model->references, 1);
    ra_status status = RA_OK;
    model->info.path = ra_strdup(path);
    if (!model->info.path)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: a path needs %zu bytes", strlen(path) + 1);
    if (status == RA_OK) status = choose_backend(model, options->backend, err);
    if (status == RA_OK) status = open_file(model, path, options, err);
    if (status != RA_OK) {
        ra_model_release(model);
        return status;
    }
    *out = model;
    return RA_OK;
}

/* ---- life --------------------------------------------------------------------------------------------- */

ra_status ra_model_check(const ra_model *model, ra_error *err) {
    return model->file ? ra_safetensors_check(model->file, err) : RA_OK;
}

bool ra_model_get_file(const ra_model *model, ra_model_file *file) {
    if (!model->file || !model->file_digest[0]) return false;
    const ra_mapping *mapping = ra_safetensors_mapping(model->file);
    *file = (ra_model_file){.path = ra_safetensors_path(model->file),
                            .bytes = {mapping->data, mapping->size},
                            .digest = model->file_digest,
                            .safetensors = model->file->header_size > 0};
    return true;
}

ra_model *ra_model_retain(ra_model *model) {
    atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
    return model;
}

void ra_model_release(ra_model *model) {
    if (!model || atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel) != 1) return;
    ra_model_release_resident(model);
    if (model->hidden) ra_backend_release(model->hidden->backend);
    for (size_t i = 0; i < model->allocation_count; i++) ra_free(model->allocations[i]);
    ra_labels_free(model->atom_labels);
    ra_labels_free(model->explanations);
    ra_labels_free(model->label_authors);
    ra_labels_free(model->point_labels);
    ra_labels_free(model->point_row_labels);
    ra_labels_free(model->trace_labels);
    ra_labels_free(model->example_labels);
    ra_labels_free(model->quantile_labels);
    ra_labels_free(model->item_labels);
    ra_labels_free(model->token_words);
    ra_safetensors_free(model->file);
    ra_backend_release(model->backend);
    ra_free((char *)model->info.path);
    ra_free(model);
}

const ra_model_info *ra_model_get_info(const ra_model *model) {
    return &model->info;
}

const ra_tensor *ra_model_dictionary(const ra_model *model) {
    return &model->dictionary;
}
