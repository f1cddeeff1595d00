/* A checkpoint: the parameters in training. A model needs D alone, which is fused here: W and Relax are
 * projected first (other programs may write a file right after an optimizer step, when they are not), and W
 * is read once, some rows at a time, so that a W of gigabytes does not have to fit into memory. Of W and
 * Relax, the model keeps the largest weights of each atom and the norm of its relaxation.
 *
 * The model's backend computes D, so the last bits of D, and its digest, depend on the processor. Give
 * replicas that must agree to the bit a fused artifact.
 *
 * The model keeps the points C if they are small: not larger than D, or than SMALL_POINTS bytes. The 32,000
 * points of the published models are as large as D; larger ones would be most of the memory, for one route of
 * the server. */
#include "model/model.h"
#include "tensor/vectors.h"

#include <string.h>

enum { SMALL_POINTS = 16 << 20 };

/* ---- the multiplier ----------------------------------------------------------------------------------- */

static ra_status read_multiplier(const ra_model *model, const ra_tensor *tensor, float *multiplier,
                                 ra_error *err) {
    const char *path = model->info.path;
    char shape[64];
    if (!ra_dtype_is_float(tensor->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "%s: dictionary.multiplier has the type %s; expected F32, F16 or BF16",
                path, ra_dtype_name(tensor->dtype));
    if (ra_tensor_elements(tensor) != 1)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: dictionary.multiplier has the shape %s; expected one number, []",
                path, ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape));
    ra_convert_to_f32(tensor->dtype, tensor->data, multiplier, 1);
    if (ra_find_not_finite(multiplier, 1) == 0)
        RA_FAIL(err, RA_ERR_NOT_FINITE,
                "%s: dictionary.multiplier is NaN or infinite; expected a finite number", path);
    return RA_OK;
}

/* Allocates D. */
static ra_status allocate_dictionary(ra_model *model, size_t concepts, size_t dimensions, float **D,
                                     ra_error *err) {
    void *memory = NULL;
    size_t elements;
    if (__builtin_mul_overflow(concepts, dimensions, &elements))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%s: a dictionary of %zu x %zu numbers is too large", model->info.path,
                concepts, dimensions);
    RA_TRY(ra_model_allocate(model, "the fused dictionary", elements, sizeof(float), &memory, err));
    *D = memory;
    model->info.concepts = concepts;
    model->info.dimensions = dimensions;
    model->dictionary = ra_tensor_2d(RA_F32, memory, concepts, dimensions);
    return RA_OK;
}

/* Makes the setting `dictionary` agree with the tensors. */
static ra_status settle_kind(ra_model *model, const char *tensor, bool archetypal, ra_error *err) {
    ra_sae_settings *settings = &model->info.settings;
    if (!ra_setting_known(settings, RA_SET_DICTIONARY)) {
        if (!archetypal) return ra_model_need_setting(model, RA_SET_DICTIONARY, err);
        settings->dictionary = RA_DICTIONARY_ARCHETYPAL;
        settings->known |= UINT32_C(1) << RA_SET_DICTIONARY;
    }
    if ((settings->dictionary == RA_DICTIONARY_ARCHETYPAL) != archetypal)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the setting dictionary is %s, but the file holds %s, %s",
                model->info.path,
                ra_sae_settings_table()->rows[RA_SET_DICTIONARY].names[settings->dictionary], tensor,
                archetypal ? "which makes it archetypal" : "the weights of a plain dictionary");
    return RA_OK;
}

/* ---- the archetypal dictionary ------------------------------------------------------------------------ */

typedef struct parameters {
    ra_tensor W, weight; /* [K,N]; of mixtures [K,T]: W.index, W.weight */
    ra_tensor C, Relax;  /* [N,d], [K,d] */
    bool mixtures;
    float multiplier;
} parameters;

static ra_status read_parameters(const ra_model *model, const ra_safetensors *file, parameters *p,
                                 ra_error *err) {
    const char *path = model->info.path;
    ra_tensor multiplier;
    p->mixtures = ra_safetensors_find(file, "dictionary.W.index") != NULL;
    RA_TRY(ra_safetensors_get(file, p->mixtures ? "dictionary.W.index" : "dictionary.W", &p->W, err));
    if (p->mixtures) RA_TRY(ra_safetensors_get(file, "dictionary.W.weight", &p->weight, err));
    RA_TRY(ra_safetensors_get(file, "dictionary.C", &p->C, err));
    RA_TRY(ra_safetensors_get(file, "dictionary.Relax", &p->Relax, err));
    RA_TRY(ra_safetensors_get(file, "dictionary.multiplier", &multiplier, err));
    if (p->mixtures) {
        RA_TRY(ra_model_check_tensor(path, "dictionary.W.index", &p->W, RA_I32, 2, 0, 0, err));
        RA_TRY(ra_model_check_tensor(path, "dictionary.W.weight", &p->weight, RA_MODEL_ANY_FLOAT, 2,
                                     p->W.shape[0], p->W.shape[1], err));
    } else {
        RA_TRY(ra_model_check_tensor(path, "dictionary.W", &p->W, RA_MODEL_ANY_FLOAT, 2, 0, 0, err));
    }
    RA_TRY(ra_model_check_tensor(path, "dictionary.C", &p->C, RA_MODEL_ANY_FLOAT, 2,
                                 p->mixtures ? 0 : p->W.shape[1], 0, err));
    RA_TRY(ra_model_check_tensor(path, "dictionary.Relax", &p->Relax, RA_MODEL_ANY_FLOAT, 2, p->W.shape[0],
                                 p->C.shape[1], err));
    return read_multiplier(model, &multiplier, &p->multiplier, err);
}

/* W is checked some rows at a time, too, and their memory is given back: it is most of a dense checkpoint. */
static ra_status check_weights(const ra_model *model, const ra_tensor *W, ra_error *err) {
    enum { BYTES = 64 << 20 };
    size_t row = ra_dtype_size(W->dtype) * W->shape[1], step = BYTES / row + 1;
    for (size_t first = 0; first < W->shape[0]; first += step) {
        ra_tensor rows = *W;
        rows.data = (const char *)W->data + first * row;
        rows.shape[0] = W->shape[0] - first < step ? W->shape[0] - first : step;
        size_t bad = ra_tensor_find_not_finite(&rows, ra_backend_pool(model->backend));
        if (bad < ra_tensor_elements(&rows)) return ra_model_check_finite(model, "dictionary.W", W, err);
        ra_mapping_advise(rows.data, rows.shape[0] * row, RA_ACCESS_DONE);
    }
    return RA_OK;
}

static ra_status check_parameters(const ra_model *model, const parameters *p, ra_error *err) {
    RA_TRY(check_weights(model, p->mixtures ? &p->weight : &p->W, err));
    RA_TRY(ra_model_check_finite(model, "dictionary.C", &p->C, err));
    return ra_model_check_finite(model, "dictionary.Relax", &p->Relax, err);
}

static ra_status allocate_provenance(ra_model *model, size_t concepts, size_t count,
                                     ra_provenance *provenance, ra_error *err) {
    void *memory = NULL;
    provenance->count = count;
    RA_TRY(ra_model_allocate(model, "the archetypes", concepts * count, sizeof(int32_t), &memory, err));
    provenance->index = memory;
    RA_TRY(ra_model_allocate(model, "the archetypes", concepts * count, sizeof(float), &memory, err));
    provenance->weight = memory;
    RA_TRY(ra_model_allocate(model, "the relaxation norms", concepts, sizeof(float), &memory, err));
    provenance->relaxation_norm = memory;
    RA_TRY(ra_model_allocate(model, "the archetypes", concepts * count, sizeof(float), &memory, err));
    provenance->contribution = memory;
    RA_TRY(ra_model_allocate(model, "the relaxation shares", concepts, sizeof(float), &memory, err));
    provenance->relaxation_share = memory;
    RA_TRY(ra_model_allocate(model, "the hull shares", concepts, sizeof(float), &memory, err));
    provenance->hull_share = memory;
    return RA_OK;
}

/* On the model's backend, or on the CPU if the device has not enough memory or would round to TF32. */
static ra_status fuse_parameters(const ra_model *model, const parameters *p, float *D,
                                 ra_provenance *provenance, ra_error *err) {
    ra_error reason = {0};
    float delta = (float)model->info.settings.delta;
    ra_status status = RA_ERR_MEMORY;
    if (p->mixtures)
        return ra_mixture_fuse(model->backend, &p->W, &p->weight, &p->C, &p->Relax, p->multiplier, delta, D,
                               provenance, err);
    bool device = !ra_backend_host_memory(model->backend);
    if (!device || !ra_backend_tf32(model->backend))
        status = ra_dictionary_fuse(model->backend, &p->W, &p->C, &p->Relax, p->multiplier, delta, D,
                                    provenance, &reason);
    if (status == RA_ERR_MEMORY && device) {
        ra_backend *host = NULL;
        RA_TRY(ra_backend_open_host(model->backend, &host, err));
        status =
            ra_dictionary_fuse(host, &p->W, &p->C, &p->Relax, p->multiplier, delta, D, provenance, &reason);
        ra_backend_release(host);
    }
    if (status != RA_OK && err) *err = reason;
    return status;
}

static ra_status fuse(ra_model *model, const ra_safetensors *file, size_t archetypes, ra_error *err) {
    parameters p;
    RA_TRY(settle_kind(model, "dictionary.W", true, err));
    RA_TRY(ra_model_need_setting(model, RA_SET_DELTA, err));
    if (model->info.settings.delta_relative)
        RA_FAIL(err, RA_ERR_SETTING,
                "%s: delta is %gx; only a new run can take it in units of its points, so give "
                "--delta as a number",
                model->info.path, model->info.settings.delta);
    RA_TRY(read_parameters(model, file, &p, err));
    size_t concepts = p.W.shape[0], points = p.C.shape[0], dimensions = p.C.shape[1];
    if (archetypes == 0) archetypes = RA_ARCHETYPES_DEFAULT;
    if (p.mixtures)
        archetypes = p.W.shape[1]; /* all of them: there are few */
    else if (archetypes > points)
        archetypes = points;
    float *D = NULL;
    ra_provenance provenance = {0};
    RA_TRY(allocate_dictionary(model, concepts, dimensions, &D, err));
    RA_TRY(ra_model_open_encoder(model, file,
                                 err)); /* first, so that a missing setting fails before the long work */
    RA_TRY(check_parameters(model, &p, err));
    RA_TRY(allocate_provenance(model, concepts, archetypes, &provenance, err));
    RA_TRY(fuse_parameters(model, &p, D, &provenance, err));
    model->info.points = points;
    model->info.archetypes = archetypes;
    model->archetype_index = provenance.index;
    model->archetype_weight = provenance.weight;
    model->archetype_contribution = provenance.contribution;
    model->relaxation_norm = provenance.relaxation_norm;
    model->relaxation_share = provenance.relaxation_share;
    model->hull_share = provenance.hull_share;
    size_t bytes = ra_tensor_bytes(&p.C);
    if (bytes <= SMALL_POINTS || bytes <= ra_tensor_bytes(&model->dictionary))
        RA_TRY(ra_model_keep(model, "the points", &p.C, &model->point_vectors, err));
    return RA_OK;
}

/* ---- the plain dictionary ----------------------------------------------------------------------------- */

static void set_multiplier(ra_dictionary *dictionary, float multiplier) {
    size_t count = 0;
    const ra_parameter *list = ra_dictionary_parameters(dictionary, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, "dictionary.multiplier") == 0) *list[i].value = multiplier;
    ra_dictionary_changed(dictionary);
}

static ra_status normalize(ra_model *model, const ra_safetensors *file, ra_error *err) {
    ra_tensor weights;
    float multiplier = 0, *D = NULL;
    RA_TRY(settle_kind(model, "dictionary._weights", false, err));
    RA_TRY(ra_safetensors_get(file, "dictionary._weights", &weights, err));
    RA_TRY(ra_model_check_tensor(model->info.path, "dictionary._weights", &weights, RA_MODEL_ANY_FLOAT, 2, 0,
                                 0, err));
    RA_TRY(ra_model_check_finite(model, "dictionary._weights", &weights, err));
    const ra_tensor *scale = ra_safetensors_find(file, "dictionary.multiplier"); /* may be missing */
    if (scale) RA_TRY(read_multiplier(model, scale, &multiplier, err));
    RA_TRY(allocate_dictionary(model, weights.shape[0], weights.shape[1], &D, err));
    RA_TRY(ra_model_open_encoder(model, file, err));
    ra_backend *host = NULL;
    ra_dictionary *dictionary = NULL;
    const float *normalized = NULL;
    ra_status status;
    RA_TRY_OUT(status, ra_backend_open_host(model->backend, &host, err));
    RA_TRY_OUT(status, ra_plain_dictionary_new(host, weights.shape[1], weights.shape[0],
                                               (ra_dictionary_kind)model->info.settings.dictionary, &weights,
                                               true, 0, &dictionary, err));
    set_multiplier(dictionary, multiplier);
    ra_dictionary_set_training(dictionary, false);
    RA_TRY_OUT(status, ra_dictionary_get(dictionary, &normalized, err));
    memcpy(D, normalized, ra_tensor_bytes(&model->dictionary));
out:
    ra_dictionary_free(dictionary);
    ra_backend_release(host);
    return status;
}

ra_status ra_model_open_checkpoint(ra_model *model, const ra_safetensors *file, size_t archetypes,
                                   ra_error *err) {
    if (ra_safetensors_find(file, "dictionary.W") || ra_safetensors_find(file, "dictionary.W.index"))
        return fuse(model, file, archetypes, err);
    return normalize(model, file, err);
}
