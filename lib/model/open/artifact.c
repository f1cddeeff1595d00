/* A fused artifact (proto/artifact.md). Computations read its mapping, so everything in it is checked once,
 * here: shapes, ranges of indices, weights. */
#include "model/model.h"

#include <math.h>
#include <string.h>

static ra_status check_format(const ra_model *model, const ra_safetensors *file, ra_error *err) {
    const char *format = ra_safetensors_metadata(file, "format"); /* a file made by hand may lack it */
    if (format && strcmp(format, RA_MODEL_FORMAT) != 0)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: its format is \"%s\"; expected \"%s\"", model->info.path,
                format, RA_MODEL_FORMAT);
    return RA_OK;
}

/* N: from the metadata, otherwise from the tensors of the points; 0: neither. */
static ra_status read_point_count(ra_model *model, const ra_safetensors *file, ra_error *err) {
    static const char *const by_point[] = {"points.vectors", "points.rows"};
    const char *text = ra_safetensors_metadata(file, "points");
    if (text) {
        size_t count;
        if (!ra_count_parse(text, &count) || count < 1 || count > INT32_MAX)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: points is \"%s\" in its metadata; expected a number from 1 to %d", model->info.path,
                    text, INT32_MAX);
        model->info.points = count;
        return RA_OK;
    }
    for (size_t i = 0; i < sizeof by_point / sizeof *by_point; i++) {
        const ra_tensor *tensor = ra_safetensors_find(file, by_point[i]);
        if (tensor && tensor->rank > 0 && !model->info.points) model->info.points = tensor->shape[0];
    }
    const ra_tensor *labels = ra_safetensors_find(file, "points.labels");
    if (labels && labels->dtype == RA_U8 && !model->info.points)
        model->info.points = ra_labels_lines(labels->data, ra_tensor_bytes(labels));
    return RA_OK;
}

/* Weights may exceed 1 by the error of a float32 sum. */
static bool is_weight(float weight) {
    return weight >= 0 && weight <= 1.0f + 1e-4f;
}

/* Row k: points below N (if that is known) with descending weights, then only -1. */
static ra_status check_archetypes(const ra_model *model, size_t k, const int32_t *index, const float *weight,
                                  size_t *largest, ra_error *err) {
    const char *path = model->info.path;
    size_t count = model->info.archetypes, points = model->info.points;
    for (size_t t = 0; t < count; t++) {
        if (index[t] < -1 || (points && index[t] >= (int64_t)points))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: archetypes.index holds %d at [%zu, %zu]; expected a point below %zu, or -1", path,
                    index[t], k, t, points ? points : (size_t)INT32_MAX);
        if (index[t] >= 0 && t > 0 && index[t - 1] < 0)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: archetypes.index holds %d at [%zu, %zu], after a -1; expected -1", path, index[t], k,
                    t);
        if (!isfinite(weight[t]))
            RA_FAIL(err, RA_ERR_NOT_FINITE,
                    "%s: archetypes.weight holds a NaN or an infinity at [%zu, %zu]; expected finite numbers",
                    path, k, t);
        if (index[t] < 0) continue;
        if (!is_weight(weight[t]) || (t > 0 && weight[t] > weight[t - 1]))
            RA_FAIL(
                err, RA_ERR_FORMAT,
                "%s: archetypes.weight holds %g at [%zu, %zu]; expected weights from 0 to 1, the largest of "
                "an atom first",
                path, (double)weight[t], k, t);
        if ((size_t)index[t] > *largest) *largest = (size_t)index[t];
    }
    return RA_OK;
}

static ra_status open_archetypes(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const char *path = model->info.path;
    size_t concepts = model->info.concepts;
    const ra_tensor *index = ra_safetensors_find(file, "archetypes.index");
    const ra_tensor *weight = ra_safetensors_find(file, "archetypes.weight");
    if (!index && !weight) return RA_OK;
    if (!index || !weight)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds archetypes.%s without archetypes.%s; expected both or neither",
                path, index ? "index" : "weight", index ? "weight" : "index");
    RA_TRY(ra_model_check_tensor(path, "archetypes.index", index, RA_I32, 2, concepts, 0, err));
    RA_TRY(
        ra_model_check_tensor(path, "archetypes.weight", weight, RA_F32, 2, concepts, index->shape[1], err));
    model->info.archetypes = index->shape[1];
    model->archetype_index = index->data;
    model->archetype_weight = weight->data;
    size_t largest = 0;
    for (size_t k = 0; k < concepts; k++)
        RA_TRY(check_archetypes(model, k, model->archetype_index + k * index->shape[1],
                                model->archetype_weight + k * index->shape[1], &largest, err));
    if (!model->info.points) model->info.points = largest + 1; /* the least possible */
    return RA_OK;
}

static ra_status open_relaxation(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const ra_tensor *norm = ra_safetensors_find(file, "relaxation.norm");
    if (!norm) return RA_OK;
    RA_TRY(ra_model_check_tensor(model->info.path, "relaxation.norm", norm, RA_F32, 1, model->info.concepts,
                                 0, err));
    RA_TRY(ra_model_check_finite(model, "relaxation.norm", norm, err));
    model->relaxation_norm = norm->data;
    return RA_OK;
}

ra_status ra_model_open_artifact(ra_model *model, const ra_safetensors *file, ra_error *err) {
    RA_TRY(check_format(model, file, err));
    RA_TRY(ra_safetensors_get(file, "dictionary", &model->dictionary, err));
    RA_TRY(ra_model_check_tensor(model->info.path, "dictionary", &model->dictionary, RA_MODEL_ANY_FLOAT, 2, 0,
                                 0, err));
    model->info.concepts = model->dictionary.shape[0];
    model->info.dimensions = model->dictionary.shape[1];
    RA_TRY(ra_model_open_encoder(model, file, err));
    RA_TRY(read_point_count(model, file, err));
    RA_TRY(open_archetypes(model, file, err));
    return open_relaxation(model, file, err);
}
