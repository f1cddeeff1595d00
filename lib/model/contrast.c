/* Contrasts of two sets of data (ra_contrast.h): their part in artifacts, and in a model. Tables are used in the mapping and
 * checked once, here. */
#include "model/model.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char family[] = "contrasts.";

enum table { COUNT, ENERGY, FREQUENCY };

static const struct table_row {
    const char *name;
    ra_dtype dtype;
    size_t columns;
} tables[RA_MODEL_CONTRAST_TENSORS] = {
    [COUNT] = {"count", RA_I64, 2},
    [ENERGY] = {"energy", RA_F32, RA_CONTRAST_COLUMNS},
    [FREQUENCY] = {"frequency", RA_F32, RA_CONTRAST_COLUMNS},
};

bool ra_contrast_is_name(const char *text) {
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return length >= 1 && length <= RA_CONTRAST_NAME && !text[length];
}

/* ---- opening ------------------------------------------------------------------------------------------ */

typedef struct key_text {
    char text[RA_CONTRAST_NAME + 32];
} key_text;

static key_text key_of(const ra_contrast *contrast, const char *part) {
    key_text key;
    snprintf(key.text, sizeof key.text, "%s%s.%s", family, contrast->name, part);
    return key;
}

static ra_status read_text(const ra_model *model, const ra_safetensors *file, const ra_contrast *contrast,
                           const char *part, const char **text, ra_error *err) {
    key_text key = key_of(contrast, part);
    *text = ra_safetensors_metadata(file, key.text);
    if (*text) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT, "%s holds the contrast %s, but its metadata have no %s", model->info.path,
            contrast->name, key.text);
}

/* "7400,3000" */
static ra_status read_pair(const ra_model *model, const ra_safetensors *file, const ra_contrast *contrast,
                           const char *part, size_t pair[2], ra_error *err) {
    const char *text;
    char first[32], *comma;
    RA_TRY(read_text(model, file, contrast, part, &text, err));
    snprintf(first, sizeof first, "%s", text);
    comma = strchr(first, ',');
    if (comma) *comma = 0;
    if (!comma || !ra_count_parse(first, &pair[0]) || !ra_count_parse(strchr(text, ',') + 1, &pair[1]) ||
        pair[0] < 1 || pair[1] < 1)
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s: %s is \"%s\" in its metadata; expected two numbers of at least 1, as 700,300",
                model->info.path, key_of(contrast, part).text, text);
    return RA_OK;
}

static ra_status read_metadata(const ra_model *model, const ra_safetensors *file, ra_contrast *contrast,
                               ra_error *err) {
    const char *text;
    char *end = NULL;
    RA_TRY(read_pair(model, file, contrast, "rows", contrast->rows, err));
    RA_TRY(read_pair(model, file, contrast, "units", contrast->units, err));
    RA_TRY(read_text(model, file, contrast, "a", &contrast->a, err));
    RA_TRY(read_text(model, file, contrast, "b", &contrast->b, err));
    RA_TRY(read_text(model, file, contrast, "intervals", &text, err));
    if (!ra_count_parse(text, &contrast->intervals) || contrast->intervals < 1)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: %s is \"%s\" in its metadata; expected a number of at least 1",
                model->info.path, key_of(contrast, "intervals").text, text);
    RA_TRY(read_text(model, file, contrast, "confidence", &text, err));
    contrast->confidence = strtod(text, &end);
    if (end == text || *end || !(contrast->confidence > 0 && contrast->confidence < 1))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: %s is \"%s\" in its metadata; expected a number between 0 and 1",
                model->info.path, key_of(contrast, "confidence").text, text);
    return RA_OK;
}

/* Figures on both sides are not negative, and the difference is within its interval. */
static ra_status check_table(const ra_model *model, const ra_contrast *contrast, enum table which,
                             const float *values, ra_error *err) {
    for (size_t k = 0; k < contrast->concepts; k++) {
        const float *row = values + k * RA_CONTRAST_COLUMNS;
        bool good = row[RA_CONTRAST_A] >= 0 && row[RA_CONTRAST_B] >= 0 &&
                    row[RA_CONTRAST_LOW] <= row[RA_CONTRAST_DIFFERENCE] &&
                    row[RA_CONTRAST_DIFFERENCE] <= row[RA_CONTRAST_HIGH];
        if (which == FREQUENCY)
            good &= row[RA_CONTRAST_A] <= 1 && row[RA_CONTRAST_B] <= 1 && row[RA_CONTRAST_LOW] >= -1 &&
                    row[RA_CONTRAST_HIGH] <= 1;
        if (!good)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: %s holds %g, %g, %g, %g, %g for latent %zu; expected two figures of at least 0, and "
                    "their "
                    "difference within its interval",
                    model->info.path, key_of(contrast, tables[which].name).text, (double)row[0],
                    (double)row[1], (double)row[2], (double)row[3], (double)row[4], k);
    }
    return RA_OK;
}

static ra_status open_tables(const ra_model *model, const ra_safetensors *file, ra_contrast *contrast,
                             ra_error *err) {
    ra_tensor tensor[RA_MODEL_CONTRAST_TENSORS];
    for (size_t i = 0; i < RA_MODEL_CONTRAST_TENSORS; i++) {
        key_text key = key_of(contrast, tables[i].name);
        RA_TRY(ra_safetensors_get(file, key.text, &tensor[i], err));
        RA_TRY(ra_model_check_tensor(model->info.path, key.text, &tensor[i], tables[i].dtype, 2,
                                     contrast->concepts, tables[i].columns, err));
        if (tables[i].dtype == RA_F32) RA_TRY(ra_model_check_finite(model, key.text, &tensor[i], err));
    }
    contrast->count = tensor[COUNT].data;
    contrast->energy = tensor[ENERGY].data;
    contrast->frequency = tensor[FREQUENCY].data;
    for (size_t i = 0; i < 2 * contrast->concepts; i++)
        if (contrast->count[i] < 0 || contrast->count[i] > (int64_t)contrast->rows[i % 2])
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %lld at [%zu, %zu]; expected 0 to %zu",
                    model->info.path, key_of(contrast, "count").text, (long long)contrast->count[i], i / 2,
                    i % 2, contrast->rows[i % 2]);
    RA_TRY(check_table(model, contrast, ENERGY, contrast->energy, err));
    return check_table(model, contrast, FREQUENCY, contrast->frequency, err);
}

/* *contrast <- the name between "contrasts." and ".energy"; false if this is another tensor. */
static bool name_of(const char *tensor, ra_contrast *contrast) {
    static const char end[] = ".energy";
    size_t before = sizeof family - 1, length = strlen(tensor);
    if (strncmp(tensor, family, before) != 0 || length < before + sizeof end ||
        strcmp(tensor + length - (sizeof end - 1), end) != 0)
        return false;
    size_t size = length - before - (sizeof end - 1);
    if (size > RA_CONTRAST_NAME) return false;
    memcpy(contrast->name, tensor + before, size);
    contrast->name[size] = 0;
    return ra_contrast_is_name(contrast->name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const ra_contrast *)a)->name, ((const ra_contrast *)b)->name);
}

ra_status ra_model_open_contrasts(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const char *name;
    size_t count = 0;
    ra_contrast one;
    void *memory;
    if (model->info.from_checkpoint) return RA_OK;
    for (size_t i = 0; (name = ra_safetensors_name(file, i)); i++) count += name_of(name, &one);
    if (count == 0) return RA_OK;
    if (count > RA_CONTRASTS_MOST)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds %zu contrasts; expected at most %d", model->info.path, count,
                RA_CONTRASTS_MOST);
    RA_TRY(ra_model_allocate(model, "the contrasts", count, sizeof one, &memory, err));
    model->contrasts = memory;
    for (size_t i = 0; (name = ra_safetensors_name(file, i)); i++) {
        one = (ra_contrast){.concepts = model->info.concepts};
        if (!name_of(name, &one)) continue;
        RA_TRY(read_metadata(model, file, &one, err));
        RA_TRY(open_tables(model, file, &one, err));
        model->contrasts[model->contrast_count++] = one;
    }
    qsort(model->contrasts, count, sizeof one, by_name);
    return RA_OK;
}

/* ---- saving ------------------------------------------------------------------------------------------- */

ra_status ra_model_store_contrast(const ra_contrast *contrast, ra_model_contrast_parts *parts,
                                  ra_safetensors_writer *writer, ra_error *err) {
    const void *const data[RA_MODEL_CONTRAST_TENSORS] = {
        [COUNT] = contrast->count, [ENERGY] = contrast->energy, [FREQUENCY] = contrast->frequency};
    char rows[48], units[48], confidence[32], intervals[24];
    const struct {
        const char *part, *text;
    } texts[RA_MODEL_CONTRAST_TEXTS] = {
        {"rows", rows},           {"units", units},   {"confidence", confidence},
        {"intervals", intervals}, {"a", contrast->a}, {"b", contrast->b}};
    snprintf(rows, sizeof rows, "%zu,%zu", contrast->rows[0], contrast->rows[1]);
    snprintf(units, sizeof units, "%zu,%zu", contrast->units[0], contrast->units[1]);
    snprintf(confidence, sizeof confidence, "%.9g", contrast->confidence);
    snprintf(intervals, sizeof intervals, "%zu", contrast->intervals);
    for (size_t i = 0; i < RA_MODEL_CONTRAST_TEXTS; i++) {
        snprintf(parts->key[i], sizeof parts->key[i], "%s", key_of(contrast, texts[i].part).text);
        RA_TRY(ra_safetensors_writer_metadata(writer, parts->key[i], texts[i].text, err));
    }
    for (size_t i = 0; i < RA_MODEL_CONTRAST_TENSORS; i++) {
        snprintf(parts->name[i], sizeof parts->name[i], "%s", key_of(contrast, tables[i].name).text);
        parts->tensor[i] = ra_tensor_2d(tables[i].dtype, data[i], contrast->concepts, tables[i].columns);
        RA_TRY(ra_safetensors_writer_tensor(writer, parts->name[i], &parts->tensor[i], err));
    }
    return RA_OK;
}

/* ---- reading -------------------------------------------------------------------------------------------- */

size_t ra_model_contrast_count(const ra_model *model) {
    return model->contrast_count;
}

const ra_contrast *ra_model_contrast(const ra_model *model, size_t i) {
    return i < model->contrast_count ? &model->contrasts[i] : NULL;
}

static ra_contrast_figures figures_of(const float *row, float most) {
    bool known = row[RA_CONTRAST_LOW] > -most || row[RA_CONTRAST_HIGH] < most;
    return (ra_contrast_figures){row[RA_CONTRAST_A], row[RA_CONTRAST_B], row[RA_CONTRAST_DIFFERENCE],
                                 known ? row[RA_CONTRAST_LOW] : NAN, known ? row[RA_CONTRAST_HIGH] : NAN};
}

ra_contrast_latent ra_contrast_of(const ra_contrast *contrast, size_t latent) {
    const int64_t *count = contrast->count + 2 * latent;
    ra_contrast_latent found = {{(size_t)count[0], (size_t)count[1]},
                                figures_of(contrast->energy + latent * RA_CONTRAST_COLUMNS, FLT_MAX),
                                figures_of(contrast->frequency + latent * RA_CONTRAST_COLUMNS, 1),
                                0};
    float sum = found.energy.a + found.energy.b;
    found.relative = sum > 0 ? found.energy.difference / sum : 0;
    return found;
}
