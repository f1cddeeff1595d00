/* Atoms and points. The file has the archetypes of each atom; opening a model sorts the same pairs by point,
 * which gives the atoms of each point. */
#include "model/model.h"
#include "tensor/vectors.h"

#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The number of an atom's archetypes: those before a -1, or before a weight of 0, which means the same. */
static size_t archetype_count(const ra_model *model, size_t atom) {
    const int32_t *index = model->archetype_index + atom * model->info.archetypes;
    const float *weight = model->archetype_weight + atom * model->info.archetypes;
    size_t count = 0;
    while (count < model->info.archetypes && index[count] >= 0 && weight[count] > 0) count++;
    return count;
}

enum { DIGIT = 11, DIGITS = 1 << DIGIT };

/* to <- from [count], by the digit at `shift`, equal ones in the order that they have. */
static void sort_by_digit(const uint64_t *from, uint64_t *to, size_t count, unsigned shift) {
    size_t starts[DIGITS] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++) starts[from[i] >> shift & (DIGITS - 1)]++;
    for (size_t i = 0; i < DIGITS; i++) {
        size_t here = starts[i];
        starts[i] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++) to[starts[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

/* pairs [2 entries] <- point and place in archetypes.index of each archetype, by point; returns where they begin. They
 * come by place, so only the digits of the points are sorted. */
static const uint64_t *sort_archetypes(const ra_model *model, uint64_t *pairs, size_t entries) {
    size_t width = model->info.archetypes, n = 0;
    uint64_t *spare = pairs + entries, largest = 0;
    for (size_t k = 0; k < model->info.concepts; k++)
        for (size_t i = k * width, end = i + archetype_count(model, k); i < end; i++) {
            uint64_t point = (uint64_t)model->archetype_index[i];
            pairs[n++] = point << 32 | i;
            if (point > largest) largest = point;
        }
    for (unsigned shift = 32; largest; shift += DIGIT, largest >>= DIGIT) {
        sort_by_digit(pairs, spare, entries, shift);
        uint64_t *sorted = spare;
        spare = pairs;
        pairs = sorted;
    }
    return pairs;
}

static size_t count_points(const uint64_t *pairs, size_t entries) {
    size_t used = 0;
    for (size_t i = 0; i < entries; i++) used += i == 0 || pairs[i] >> 32 != pairs[i - 1] >> 32;
    return used;
}

static void list_uses(ra_model *model, const uint64_t *pairs, size_t entries) {
    size_t n = 0;
    for (size_t i = 0; i < entries; i++) {
        uint32_t point = (uint32_t)(pairs[i] >> 32), place = (uint32_t)pairs[i];
        if (i == 0 || point != model->use_point[n - 1]) {
            model->use_start[n] = i;
            model->use_point[n++] = point;
        }
        model->use[i] =
            (ra_ranked){model->archetype_weight[place], (uint32_t)(place / model->info.archetypes)};
    }
    model->use_start[n] = entries;
    for (size_t i = 0; i < n; i++)
        ra_ranking_sort(model->use + model->use_start[i], model->use_start[i + 1] - model->use_start[i]);
}

/* All (atom, point) pairs by point, then each point's atoms by weight. It is as large as the archetypes, however
 * many points a file says there are. */
ra_status ra_model_index_points(ra_model *model, ra_error *err) {
    static const char what[] = "the index of the points";
    size_t entries = 0;
    void *memory = NULL;
    if (!model->archetype_index) return RA_OK;
    if (model->info.concepts * model->info.archetypes > UINT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%s: %zu atoms of %zu archetypes are too many", model->info.path,
                model->info.concepts, model->info.archetypes);
    for (size_t k = 0; k < model->info.concepts; k++) entries += archetype_count(model, k);
    uint64_t *space = ra_malloc(2 * entries, sizeof *space);
    if (!space) RA_FAIL_MEMORY(err, what, 2 * entries * sizeof *space);
    const uint64_t *pairs = sort_archetypes(model, space, entries);
    model->used = count_points(pairs, entries);
    ra_status status = ra_model_allocate(model, what, model->used, sizeof(uint32_t), &memory, err);
    if (status == RA_OK) model->use_point = memory;
    if (status == RA_OK)
        status = ra_model_allocate(model, what, model->used + 1, sizeof(size_t), &memory, err);
    if (status == RA_OK) model->use_start = memory;
    if (status == RA_OK) status = ra_model_allocate(model, what, entries, sizeof(ra_ranked), &memory, err);
    if (status == RA_OK) {
        model->use = memory;
        list_uses(model, pairs, entries);
    }
    ra_free(space);
    return status;
}

/* ---- atoms -------------------------------------------------------------------------------------------- */

ra_status ra_model_atom(const ra_model *model, size_t atom, float *vector, ra_error *err) {
    const ra_tensor *D = &model->dictionary;
    if (atom >= D->shape[0])
        RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no atom %zu: %s has %zu atoms, numbered from 0", atom,
                model->info.path, D->shape[0]);
    ra_convert_to_f32(D->dtype, ra_tensor_row(D, atom), vector, D->shape[1]);
    return RA_OK;
}

float ra_model_atom_norm(const ra_model *model, size_t atom) {
    return (float)model->norm[atom];
}

float ra_model_atom_relaxation(const ra_model *model, size_t atom) {
    return model->relaxation_norm ? model->relaxation_norm[atom] : NAN;
}

float ra_model_atom_relaxation_share(const ra_model *model, size_t atom) {
    return model->relaxation_share ? model->relaxation_share[atom] : NAN;
}

float ra_model_atom_hull_share(const ra_model *model, size_t atom) {
    return model->hull_share ? model->hull_share[atom] : NAN;
}

float ra_model_atom_coverage(const ra_model *model, size_t atom) {
    if (!model->archetype_index) return NAN;
    size_t count = archetype_count(model, atom);
    double sum = 0;
    for (size_t t = 0; t < count; t++)
        sum += (double)model->archetype_weight[atom * model->info.archetypes + t];
    return (float)fmin(sum, 1);
}

const char *ra_model_atom_label(const ra_model *model, size_t atom) {
    return ra_model_label(model->atom_labels, atom);
}

bool ra_model_atom_archetype(const ra_model *model, size_t atom, size_t t, ra_archetype *archetype) {
    if (!model->archetype_index || t >= archetype_count(model, atom)) return false;
    size_t at = atom * model->info.archetypes + t, point = (size_t)model->archetype_index[at];
    float contribution = model->archetype_contribution ? model->archetype_contribution[at] : NAN;
    *archetype = (ra_archetype){point, model->archetype_weight[at], contribution,
                                ra_model_label(model->point_labels, point)};
    return true;
}

/* ---- traces -------------------------------------------------------------------------------------------- */

bool ra_model_atom_trace_row(const ra_model *model, size_t atom, size_t t, ra_trace_row *row) {
    size_t at = atom * model->trace_rows + t;
    if (t >= model->trace_rows || model->trace_row[at] < 0) return false;
    *row = (ra_trace_row){(size_t)model->trace_row[at], model->trace_weight[at],
                          model->trace_contribution[at], ra_model_label(model->trace_labels, at)};
    return true;
}

float ra_model_atom_trace_cosine(const ra_model *model, size_t atom) {
    return model->trace_rows ? model->trace_cosine[atom] : NAN;
}

/* ---- the median atom ----------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Of the atoms that are no zeros; NaN if it is not known of them. */
static float median(const ra_model *model, float of(const ra_model *model, size_t atom), float *values) {
    size_t count = 0;
    for (size_t k = 0; k < model->info.concepts; k++) {
        float value = of(model, k);
        if (isfinite(value) && model->norm[k] > 0) values[count++] = value;
    }
    qsort(values, count, sizeof *values, by_value);
    return count ? values[count / 2] : NAN;
}

ra_status ra_model_measure_provenance(ra_model *model, ra_error *err) {
    float *values = ra_malloc(model->info.concepts, sizeof *values);
    if (!values) RA_FAIL_MEMORY(err, "figures of the atoms", model->info.concepts * sizeof *values);
    model->info.coverage = median(model, ra_model_atom_coverage, values);
    model->info.hull_share = median(model, ra_model_atom_hull_share, values);
    model->info.trace_cosine = median(model, ra_model_atom_trace_cosine, values);
    model->info.agreement_share = median(model, ra_model_atom_agreement, values);
    model->info.agreement_cosine = median(model, ra_model_atom_agreement_cosine, values);
    ra_free(values);
    return RA_OK;
}

/* ---- points ------------------------------------------------------------------------------------------- */

const char *ra_model_point_label(const ra_model *model, size_t point) {
    return ra_model_label(model->point_labels, point);
}

size_t ra_model_point_atoms(const ra_model *model, size_t point, ra_point_use *uses, size_t capacity) {
    if (!model->use) return 0;
    size_t low = 0, high = model->used;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (model->use_point[middle] < point)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == model->used || model->use_point[low] != point) return 0;
    const ra_ranked *use = model->use + model->use_start[low];
    size_t count = model->use_start[low + 1] - model->use_start[low];
    for (size_t i = 0; i < count && i < capacity; i++) uses[i] = (ra_point_use){use[i].id, use[i].key};
    return count;
}

size_t ra_model_point_rows(const ra_model *model, size_t point, ra_point_row *rows, size_t capacity) {
    size_t first = point * model->point_row_count, count = 0;
    for (; count < model->point_row_count && model->point_row[first + count] >= 0 && count < capacity;
         count++)
        rows[count] =
            (ra_point_row){(size_t)model->point_row[first + count], model->point_row_distance[first + count],
                           ra_model_label(model->point_row_labels, first + count)};
    return count;
}

ra_status ra_model_point(const ra_model *model, size_t point, float *vector, ra_error *err) {
    const ra_tensor *vectors = &model->point_vectors;
    if (point >= model->info.points)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no point %zu: %s has %zu points, numbered from 0", point,
                model->info.path, model->info.points);
    if (!vectors->data)
        RA_FAIL(err, RA_ERR_STATE, "%s does not hold the vectors of its points", model->info.path);
    ra_convert_to_f32(vectors->dtype, ra_tensor_row(vectors, point), vector, vectors->shape[1]);
    return RA_OK;
}
