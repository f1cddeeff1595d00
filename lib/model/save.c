/* The fused artifact, proto/artifact.md: a list of tensors and a list of strings, in a fixed order, so the
 * same model gives the same bytes. D may change its type; everything else is written as it is. */
#include "model/hidden.h"
#include "model/model.h"
#include "ra_text.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum {
    OTHER_TENSORS = 48, /* those that are added one by one below are fewer */
    MAX_TENSORS = RA_MODEL_STATISTICS_TENSORS + (1 + RA_HIDDEN_MOST) * RA_ENCODER_TENSORS + OTHER_TENSORS
};

typedef struct contents {
    struct {
        const char *name;
        ra_tensor tensor;
    } tensors[MAX_TENSORS];
    size_t count;
    ra_latent_statistics statistics;                 /* to be written; rows 0: none */
    void *dictionary;                                /* D in another type than the model's; owned */
    ra_agreement agreement;                          /* to be written, not owned; runs 0: none */
    const ra_contrast *contrasts[RA_CONTRASTS_MOST]; /* to be written, not owned */
    size_t contrast_count;
    ra_model_contrast_parts *contrast_parts; /* [contrast_count] */
    ra_text atom_labels, point_labels, row_labels, example_labels, quantile_labels, item_labels, trace_labels;
    ra_text explanations, label_sources, token_words;
    float *label_scores; /* [K]; owned */
    char *given_labels;  /* of a trace that is added */
} contents;

static void add(contents *a, const char *name, ra_tensor tensor) {
    a->tensors[a->count].name = name;
    a->tensors[a->count++].tensor = tensor;
}

static void release(contents *a) {
    ra_free(a->dictionary);
    ra_text_release(&a->atom_labels);
    ra_text_release(&a->explanations);
    ra_text_release(&a->label_sources);
    ra_free(a->label_scores);
    ra_text_release(&a->point_labels);
    ra_text_release(&a->row_labels);
    ra_text_release(&a->example_labels);
    ra_text_release(&a->quantile_labels);
    ra_text_release(&a->item_labels);
    ra_text_release(&a->trace_labels);
    ra_text_release(&a->token_words);
    ra_free(a->given_labels);
    ra_free(a->contrast_parts);
}

/* ---- the dictionary ----------------------------------------------------------------------------------- */

/* Converts D to another type, row by row, by way of float32. */
static ra_status convert(const ra_model *model, ra_dtype dtype, contents *a, ra_error *err) {
    const ra_tensor *D = &model->dictionary;
    size_t concepts = D->shape[0], d = D->shape[1], row_bytes = d * ra_dtype_size(dtype);
    float *row = ra_malloc(d, sizeof *row);
    a->dictionary = ra_malloc(concepts, row_bytes);
    for (size_t k = 0; row && a->dictionary && k < concepts; k++) {
        ra_convert_to_f32(D->dtype, ra_tensor_row(D, k), row, d);
        ra_convert_from_f32(dtype, row, (char *)a->dictionary + k * row_bytes, d);
    }
    ra_free(row);
    if (!row || !a->dictionary) RA_FAIL_MEMORY(err, "the converted dictionary", concepts * row_bytes);
    return RA_OK;
}

static ra_status add_dictionary(const ra_model *model, ra_dtype dtype, contents *a, ra_error *err) {
    ra_tensor D = model->dictionary;
    if (dtype != D.dtype) {
        RA_TRY(convert(model, dtype, a, err));
        D = ra_tensor_2d(dtype, a->dictionary, D.shape[0], D.shape[1]);
        size_t bad = ra_tensor_find_not_finite(&D, ra_backend_pool(model->backend));
        if (bad < ra_tensor_elements(&D))
            RA_FAIL(
                err, RA_ERR_ARGUMENT,
                "%s: atom %zu has a number at position %zu that is too large for %s; save it as F32 or BF16",
                model->info.path, bad / D.shape[1], bad % D.shape[1], ra_dtype_name(dtype));
    }
    add(a, "dictionary", D);
    return RA_OK;
}

/* ---- the other tensors -------------------------------------------------------------------------------- */

static void add_encoder(const ra_model *model, contents *a) {
    const ra_encoder_weights *encoder = &model->encoder;
    size_t concepts = model->info.concepts;
    if (!model->info.has_encoder) return;
    if (ra_encoder_has_tensor(encoder->kind, RA_ENCODER_WEIGHT))
        add(a, ra_encoder_tensor_names[RA_ENCODER_WEIGHT],
            ra_tensor_2d(RA_F32, encoder->tensor[RA_ENCODER_WEIGHT], concepts, encoder->dimensions));
    for (size_t i = RA_ENCODER_WEIGHT + 1; i < RA_ENCODER_TENSORS; i++) {
        bool moved = i == RA_ENCODER_BIAS && model->encoder_bias;
        if (ra_encoder_has_tensor(encoder->kind, i))
            add(a, ra_encoder_tensor_names[i],
                ra_tensor_1d(RA_F32, moved ? model->encoder_bias : encoder->tensor[i], concepts));
    }
    for (size_t i = 0; model->hidden && i < model->hidden->part_count; i++)
        add(a, model->hidden->part[i].name.text, model->hidden->part[i].tensor);
    if (model->activation.theta)
        add(a, "thresholds", ra_tensor_1d(RA_F32, model->activation.theta, concepts));
    else if (model->activation.thresholds)
        add(a, "thresholds.value", ra_tensor_1d(RA_F32, model->activation.thresholds, concepts));
}

static void add_standardization(const ra_model *model, contents *a) {
    size_t d = model->info.dimensions;
    if (model->file_mean) {
        add(a, "input.mean", ra_tensor_1d(RA_F32, model->file_mean, d));
        add(a, "input.scale", ra_tensor_1d(RA_F32, model->file_scale, d));
    }
    if (model->output_bias) add(a, "output.bias", ra_tensor_1d(RA_F32, model->output_bias, d));
}

static void add_provenance(const ra_model *model, contents *a) {
    const ra_model_info *info = &model->info;
    if (model->archetype_index) {
        add(a, "archetypes.index",
            ra_tensor_2d(RA_I32, model->archetype_index, info->concepts, info->archetypes));
        add(a, "archetypes.weight",
            ra_tensor_2d(RA_F32, model->archetype_weight, info->concepts, info->archetypes));
    }
    if (model->archetype_contribution)
        add(a, "archetypes.contribution",
            ra_tensor_2d(RA_F32, model->archetype_contribution, info->concepts, info->archetypes));
    if (model->relaxation_share)
        add(a, "relaxation.share", ra_tensor_1d(RA_F32, model->relaxation_share, info->concepts));
    if (model->hull_share) add(a, "hull.share", ra_tensor_1d(RA_F32, model->hull_share, info->concepts));
    if (model->relaxation_norm)
        add(a, "relaxation.norm", ra_tensor_1d(RA_F32, model->relaxation_norm, info->concepts));
    if (model->point_row) {
        add(a, "points.rows", ra_tensor_2d(RA_I32, model->point_row, info->points, model->point_row_count));
        add(a, "points.row_distance",
            ra_tensor_2d(RA_F32, model->point_row_distance, info->points, model->point_row_count));
    }
    if (model->point_vectors.data) add(a, "points.vectors", model->point_vectors);
}

static ra_status add_trace(const ra_model *model, const ra_trace *given, contents *a, ra_error *err) {
    size_t K = model->info.concepts, R = given ? given->rows : model->trace_rows;
    if (given && given->atoms != K)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu atoms; a trace of %zu cannot be saved with it",
                model->info.path, K, given->atoms);
    if (R == 0) return RA_OK;
    add(a, "trace.row", ra_tensor_2d(RA_I64, given ? given->row : model->trace_row, K, R));
    add(a, "trace.weight", ra_tensor_2d(RA_F32, given ? given->weight : model->trace_weight, K, R));
    add(a, "trace.contribution",
        ra_tensor_2d(RA_F32, given ? given->contribution : model->trace_contribution, K, R));
    add(a, "trace.cosine", ra_tensor_1d(RA_F32, given ? given->cosine : model->trace_cosine, K));
    return RA_OK;
}

static ra_status choose_agreement(const ra_model *model, const ra_agreement *given, contents *a,
                                  ra_error *err) {
    const ra_model_info *info = &model->info;
    if (given && given->atoms != info->concepts)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu atoms; an agreement of %zu cannot be saved with it",
                info->path, info->concepts, given->atoms);
    a->agreement = given ? *given
                         : (ra_agreement){.atoms = info->concepts,
                                          .runs = info->agreement_runs,
                                          .level = info->agreement_level,
                                          .share = (float *)model->agreement_share,
                                          .cosine = (float *)model->agreement_cosine};
    return RA_OK;
}

/* The model's, but for one of the same name, and the given one. */
static ra_status choose_contrasts(const ra_model *model, const ra_contrast *given, contents *a,
                                  ra_error *err) {
    for (size_t i = 0; i < model->contrast_count; i++)
        if (!given || strcmp(given->name, model->contrasts[i].name) != 0)
            a->contrasts[a->contrast_count++] = &model->contrasts[i];
    if (given && given->concepts != model->info.concepts)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu latents; a contrast of %zu cannot be saved with it",
                model->info.path, model->info.concepts, given->concepts);
    if (given && a->contrast_count == RA_CONTRASTS_MOST)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "%s holds %d contrasts already, which is the most; give it the name of one of them",
                model->info.path, RA_CONTRASTS_MOST);
    if (given) a->contrasts[a->contrast_count++] = given;
    if (a->contrast_count == 0) return RA_OK;
    a->contrast_parts = ra_malloc(a->contrast_count, sizeof *a->contrast_parts);
    if (!a->contrast_parts)
        RA_FAIL_MEMORY(err, "the contrasts", a->contrast_count * sizeof *a->contrast_parts);
    return RA_OK;
}

/* Statistics, layout, trace and agreement: those of the additions, otherwise the model's own. */
static ra_status add_additions(const ra_model *model, const ra_model_additions *additions, contents *a,
                               ra_error *err) {
    const char *names[RA_MODEL_STATISTICS_TENSORS];
    ra_tensor tensors[RA_MODEL_STATISTICS_TENSORS];
    const float *layout = additions->layout ? additions->layout : model->layout;
    a->statistics = additions->statistics ? *additions->statistics : model->statistics;
    if (a->statistics.rows && a->statistics.concepts != model->info.concepts)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu latents; statistics of %zu cannot be saved with it",
                model->info.path, model->info.concepts, a->statistics.concepts);
    size_t count = a->statistics.rows ? ra_model_statistics_tensors(&a->statistics, names, tensors) : 0;
    for (size_t i = 0; i < count; i++) add(a, names[i], tensors[i]);
    if (layout) add(a, "atoms.layout", ra_tensor_2d(RA_F32, layout, model->info.concepts, 2));
    RA_TRY(choose_agreement(model, additions->agreement, a, err));
    RA_TRY(choose_contrasts(model, additions->contrast, a, err));
    if (model->training)
        add(a, ra_model_training_name,
            ra_tensor_2d(RA_F32, model->training, model->info.training_bins, RA_TRAINING_COLUMNS));
    return add_trace(model, additions->trace, a, err);
}

/* Labels [lines * width] as text, with `width` labels and tabs between them on each line. */
static ra_status add_labels(const ra_labels *labels, const char *name, size_t lines, size_t width,
                            ra_text *text, contents *a, ra_error *err) {
    for (size_t i = 0; i < lines * width; i++) {
        ra_text_add(text, ra_labels_at(labels, i));
        ra_text_add(text, (i + 1) % width ? "\t" : "\n");
    }
    if (text->failed) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %s of %zu bytes", name, text->size);
    add(a, name, ra_tensor_1d(RA_U8, text->data, text->size));
    return RA_OK;
}

static ra_status add_trace_labels(const ra_trace *trace, const ra_labels *row_labels, contents *a,
                                  ra_error *err) {
    size_t bytes;
    RA_TRY(ra_trace_label_lines(trace, row_labels, &a->given_labels, &bytes, err));
    add(a, "trace.labels", ra_tensor_1d(RA_U8, a->given_labels, bytes));
    return RA_OK;
}

/* The label of an atom to write, and its words: the given one, otherwise that of the model's file, since
 * derived labels are never written. NULL: none. */
static const char *choose_label(const ra_model *model, const ra_atom_labels *given, size_t k,
                                ra_label_words *words) {
    const char *label = given ? ra_atom_labels_at(given, k) : NULL;
    if (label)
        ra_atom_labels_words(given, k, words);
    else
        ra_model_atom_words(model, k, words);
    if (label) return *label ? label : NULL;
    return ra_model_atom_label_source(model, k) == RA_LABEL_FILE ? ra_model_label(model->atom_labels, k)
                                                                 : NULL;
}

static void add_line(ra_text *text, const char *line, bool *any) {
    if (line) *any = true;
    if (line) ra_labels_escape(text, line);
    ra_text_add(text, "\n");
}

static ra_status add_atom_labels(const ra_model *model, const ra_atom_labels *given, contents *a,
                                 ra_error *err) {
    size_t K = model->info.concepts;
    bool labeled = false, explained = false, sourced = false, scored = false;
    if (given && ra_atom_labels_atoms(given) != K)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu atoms; labels of %zu cannot be saved with it",
                model->info.path, K, ra_atom_labels_atoms(given));
    if (!given && !model->atom_labels_are_given) return RA_OK;
    a->label_scores = ra_malloc(K, sizeof *a->label_scores);
    if (!a->label_scores) RA_FAIL_MEMORY(err, "the scores of labels", K * sizeof *a->label_scores);
    for (size_t k = 0; k < K; k++) {
        ra_label_words words;
        const char *label = choose_label(model, given, k, &words);
        labeled |= label != NULL;
        if (label) ra_text_add(&a->atom_labels, label);
        ra_text_add(&a->atom_labels, "\n");
        add_line(&a->explanations, words.explanation, &explained);
        add_line(&a->label_sources, words.source, &sourced);
        a->label_scores[k] = words.score;
        scored |= !isnan(words.score);
    }
    const ra_text *texts[] = {&a->atom_labels, &a->explanations, &a->label_sources};
    for (size_t i = 0; i < 3; i++)
        if (texts[i]->failed) RA_FAIL_MEMORY(err, "the labels of the atoms", texts[i]->size);
    if (labeled) add(a, "atoms.labels", ra_tensor_1d(RA_U8, a->atom_labels.data, a->atom_labels.size));
    if (explained)
        add(a, "atoms.explanations", ra_tensor_1d(RA_U8, a->explanations.data, a->explanations.size));
    if (sourced)
        add(a, "atoms.label_sources", ra_tensor_1d(RA_U8, a->label_sources.data, a->label_sources.size));
    if (scored) add(a, "atoms.label_scores", ra_tensor_1d(RA_F32, a->label_scores, K));
    return RA_OK;
}

static ra_status add_tokens(contents *a, ra_error *err) {
    const char *name;
    ra_tensor words;
    if (!a->statistics.tokens.words) return RA_OK;
    RA_TRY(ra_model_add_token_words(&a->statistics, &a->token_words, &words, &name, err));
    add(a, name, words);
    return RA_OK;
}

static ra_status add_texts(const ra_model *model, const ra_model_additions *additions, contents *a,
                           ra_error *err) {
    const ra_model_info *info = &model->info;
    const ra_trace *given = additions->trace;
    if (model->point_labels_are_given)
        RA_TRY(add_labels(model->point_labels, "points.labels", info->points, 1, &a->point_labels, a, err));
    if (model->point_row_labels)
        RA_TRY(add_labels(model->point_row_labels, "points.row_labels", info->points, model->point_row_count,
                          &a->row_labels, a, err));
    RA_TRY(add_atom_labels(model, additions->atom_labels, a, err));
    if (given && additions->row_labels)
        RA_TRY(add_trace_labels(given, additions->row_labels, a, err));
    else if (!given && model->trace_labels)
        RA_TRY(add_labels(model->trace_labels, "trace.labels", info->concepts, model->trace_rows,
                          &a->trace_labels, a, err));
    if (a->statistics.top_label)
        RA_TRY(add_labels(a->statistics.top_label, "latents.top_labels", info->concepts,
                          a->statistics.examples, &a->example_labels, a, err));
    const ra_latent_quantiles *quantiles = &a->statistics.quantiles;
    if (quantiles->label)
        RA_TRY(add_labels(quantiles->label, "latents.quantile_labels", info->concepts,
                          quantiles->count * quantiles->rows, &a->quantile_labels, a, err));
    if (a->statistics.item_codes.label)
        RA_TRY(add_labels(a->statistics.item_codes.label, "latents.item_labels", info->concepts,
                          a->statistics.item_codes.count, &a->item_labels, a, err));
    return add_tokens(a, err);
}

/* ---- the file ----------------------------------------------------------------------------------------- */

/* The addition, if there is one of this key, or else what the model has. */
static const char *origin_of(const ra_model *model, const ra_model_additions *additions, size_t i) {
    const char *key = ra_model_origins[i].key, *given = NULL;
    if (strcmp(key, "model") == 0) given = additions->model;
    if (strcmp(key, "hook") == 0) given = additions->hook;
    if (strcmp(key, "shape") == 0) given = additions->shape;
    return given ? given : ra_model_origin_text(model, i);
}

static ra_status write_metadata(const ra_model *model, const ra_model_additions *additions, contents *a,
                                ra_safetensors_writer *writer, ra_error *err) {
    const ra_settings_table *table = ra_sae_settings_table();
    RA_TRY(ra_safetensors_writer_metadata(writer, "format", RA_MODEL_FORMAT, err));
    RA_TRY(ra_settings_write(table, &model->info.settings, writer, err));
    for (size_t i = 0; i < RA_MODEL_ORIGINS; i++) {
        const char *key = ra_model_origins[i].key, *text = origin_of(model, additions, i);
        if (text && ra_setting_by_key(table, key) < 0)
            RA_TRY(ra_safetensors_writer_metadata(writer, key, text, err));
    }
    RA_TRY(ra_model_store_statistics(&a->statistics, writer, err));
    return model->info.points ? ra_safetensors_writer_count(writer, "points", model->info.points, err)
                              : RA_OK;
}

/* Everything of the file. After a failure, too, `a` and *writer are the caller's to release. */
static ra_status collect(const ra_model *model, const ra_model_additions *additions, ra_dtype dtype,
                         contents *a, ra_safetensors_writer **writer, ra_error *err) {
    RA_TRY(add_dictionary(model, dtype, a, err));
    add_encoder(model, a);
    add_standardization(model, a);
    add_provenance(model, a);
    RA_TRY(add_additions(model, additions, a, err));
    RA_TRY(add_texts(model, additions, a, err));
    RA_TRY(ra_safetensors_writer_new(writer, err));
    RA_TRY(write_metadata(model, additions, a, *writer, err));
    for (size_t i = 0; i < a->count; i++)
        RA_TRY(ra_safetensors_writer_tensor(*writer, a->tensors[i].name, &a->tensors[i].tensor, err));
    if (a->agreement.runs) RA_TRY(ra_agreement_store(&a->agreement, *writer, err));
    for (size_t i = 0; i < a->contrast_count; i++)
        RA_TRY(ra_model_store_contrast(a->contrasts[i], &a->contrast_parts[i], *writer, err));
    return RA_OK;
}

ra_status ra_model_save_with(const ra_model *model, const ra_model_additions *additions, const char *path,
                             ra_dtype dtype, ra_error *err) {
    if (!ra_dtype_is_float(dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "a dictionary cannot be saved as %s; expected F32, F16 or BF16",
                ra_dtype_name(dtype));
    contents a = {.count = 0};
    ra_safetensors_writer *writer = NULL;
    ra_status status = collect(model, additions, dtype, &a, &writer, err);
    if (status == RA_OK) ra_safetensors_writer_seal(writer, model->dictionary.data, model->info.digest);
    if (status == RA_OK) status = ra_safetensors_writer_write(writer, path, err);
    ra_safetensors_writer_free(writer);
    release(&a);
    return status;
}

ra_status ra_model_save(const ra_model *model, const char *path, ra_dtype dtype, ra_error *err) {
    return ra_model_save_with(model, &(ra_model_additions){0}, path, dtype, err);
}

/* ---- the file in memory -------------------------------------------------------------------------------- */

struct ra_artifact {
    contents content; /* the texts that the parts lead to */
    ra_bytes *parts;
    size_t count;
    char digest[RA_DIGEST_SIZE];
};

/* The digest of those of the parts. That of D is known, and it is most of the file. */
static ra_status digest_parts(const ra_model *model, ra_artifact *made, ra_error *err) {
    char *digests = ra_malloc(made->count, RA_DIGEST_SIZE);
    if (!digests) RA_FAIL_MEMORY(err, "the digest of a model", made->count * RA_DIGEST_SIZE);
    for (size_t i = 0; i < made->count; i++) {
        char *digest = digests + i * RA_DIGEST_SIZE;
        if (made->parts[i].data == model->dictionary.data)
            memcpy(digest, model->info.digest, RA_DIGEST_SIZE);
        else
            ra_digest(made->parts[i].data, made->parts[i].size, digest);
    }
    ra_digest(digests, made->count * RA_DIGEST_SIZE, made->digest);
    ra_free(digests);
    return RA_OK;
}

static void drop_empty(ra_artifact *made) {
    size_t kept = 0;
    for (size_t i = 0; i < made->count; i++)
        if (made->parts[i].size) made->parts[kept++] = made->parts[i];
    made->count = kept;
}

ra_status ra_artifact_new(const ra_model *model, ra_artifact **out, ra_error *err) {
    ra_safetensors_writer *writer = NULL;
    ra_artifact *made = ra_calloc(1, sizeof *made);
    if (!made) RA_FAIL_MEMORY(err, "an artifact", sizeof *made);
    ra_status status =
        collect(model, &(ra_model_additions){0}, model->dictionary.dtype, &made->content, &writer, err);
    if (status == RA_OK) ra_safetensors_writer_seal(writer, model->dictionary.data, model->info.digest);
    if (status == RA_OK) status = ra_safetensors_writer_image(writer, &made->parts, &made->count, err);
    if (status == RA_OK) drop_empty(made);
    if (status == RA_OK) status = digest_parts(model, made, err);
    ra_safetensors_writer_free(writer);
    if (status == RA_OK)
        *out = made;
    else
        ra_artifact_free(made);
    return status;
}

void ra_artifact_free(ra_artifact *artifact) {
    if (!artifact) return;
    release(&artifact->content);
    ra_free(artifact->parts);
    ra_free(artifact);
}

const ra_bytes *ra_artifact_parts(const ra_artifact *artifact, size_t *count) {
    *count = artifact->count;
    return artifact->parts;
}

const char *ra_artifact_digest(const ra_artifact *artifact) {
    return artifact->digest;
}
