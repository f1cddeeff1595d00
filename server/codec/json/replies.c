#include "codec/json/replies.h"
#include "app/model_json.h"

#include <string.h>
#include <time.h>

static void count_or_null(text *out, const char *key, bool known, uint64_t value) {
    if (known)
        json_count(out, key, value);
    else
        json_null(out, key);
}

void json_problem(text *out, const problem_reply *failed) {
    const problem_row *row = problem_get(failed->what);
    const ra_error_facts *facts = failed->facts;
    json_object(out, NULL);
    json_text(out, "type", failed->type);
    json_text(out, "title", failed->title);
    json_count(out, "status", (uint64_t)row->status);
    json_text(out, "code", row->code);
    json_text(out, "detail", failed->sentence);
    json_text(out, "pointer", facts->where[0] ? facts->where : NULL);
    count_or_null(out, "limit", facts->has_limit, facts->limit);
    count_or_null(out, "actual", facts->has_actual, facts->actual);
    json_text(out, "instance", failed->instance);
    json_text(out, "request_id", failed->request_id);
    json_text(out, "error", failed->sentence);
    json_object_end(out);
}

void json_problem_table(text *out) {
    json_object(out, NULL);
    json_array(out, "problems");
    for (int i = PROBLEM_NONE + 1; i < PROBLEM_COUNT; i++) {
        const problem_row *row = problem_get((problem_kind)i);
        json_object(out, NULL);
        json_text(out, "code", row->code);
        json_count(out, "status", (uint64_t)row->status);
        json_text(out, "meaning", row->meaning);
        json_object_end(out);
    }
    json_array_end(out);
    json_object_end(out);
}

void json_state(text *out, const char *state, const char *reason) {
    json_object(out, NULL);
    json_text(out, "status", state);
    if (reason) json_text(out, "reason", reason);
    json_object_end(out);
}

/* ---- dictionaries -------------------------------------------------------------------------------------- */

/* "2025-11-23T08:15:02Z"; null for 0, when it never happened */
static void moment(text *out, const char *key, int64_t seconds) {
    char stamp[32];
    time_t time = (time_t)seconds;
    struct tm utc;
    bool known =
        seconds && gmtime_r(&time, &utc) && strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_text(out, key, known ? stamp : NULL);
}

void json_item_shape(text *out, const char *name, const ra_latent_items *items) {
    size_t parts = items->rows - items->skip;
    json_object(out, name);
    json_count(out, "rows", items->rows ? items->rows : 1);
    json_count(out, "skip", items->skip);
    json_known_count(out, "height", items->width ? parts / items->width : 0);
    json_known_count(out, "width", items->width);
    json_object_end(out);
}

static void items(text *out, const ra_model_info *info) {
    if (info->has_statistics || info->items.rows)
        json_item_shape(out, "item_shape", &info->items);
    else
        json_null(out, "item_shape");
    json_count(out, "item_count", info->item_count);
    json_bool(out, "has_tokens", info->has_tokens);
}

void json_dictionary(text *out, const dictionary_reply *dictionary) {
    json_object(out, NULL);
    json_text(out, "name", dictionary->name);
    json_text(out, "state", "loaded");
    json_text(out, "reason", dictionary->reason);
    moment(out, "loaded_at", dictionary->loaded_at);
    json_count(out, "atom_count", dictionary->info->concepts);
    json_known_count(out, "point_count", dictionary->info->points);
    json_known_count(out, "archetype_count", dictionary->info->archetypes);
    json_model_info(
        out, dictionary->info); /* concepts, points and archetypes, their former names, are deprecated */
    items(out, dictionary->info);
    json_text(out, "media_url", dictionary->media_url);
    json_known_count(out, "row_count", dictionary->row_count);
    json_text(out, "revision", dictionary->revision);
    json_count(out, "generation", dictionary->generation);
    json_count(out, "requests", dictionary->requests);
    if (dictionary->with_settings) json_model_settings(out, &dictionary->info->settings);
    json_object_end(out);
}

void json_unavailable(text *out, const unavailable_reply *dictionary) {
    json_object(out, NULL);
    json_text(out, "name", dictionary->name);
    json_text(out, "state", dictionary->state);
    json_text(out, "reason", dictionary->reason);
    moment(out, "loaded_at", dictionary->loaded_at);
    json_known_count(out, "generation", dictionary->generation);
    json_object_end(out);
}

/* ---- atoms --------------------------------------------------------------------------------------------- */

static void norm(text *out, const char *of, float value) {
    json_object(out, of);
    json_float(out, "norm", value);
    json_object_end(out);
}

void json_atom(text *out, const ra_model *model, size_t atom, unsigned parts, const atom_numbers *numbers) {
    json_object(out, NULL);
    json_count(out, "atom", atom);
    json_atom_parts(out, model, atom, parts, numbers);
    json_object_end(out);
}

void json_match(text *out, const ra_model *model, size_t atom, float score, unsigned parts,
                const atom_numbers *numbers) {
    json_object(out, NULL);
    json_count(out, "atom", atom);
    json_float(out, "score", score);
    json_atom_parts(out, model, atom, parts, numbers);
    json_object_end(out);
}

const char *metric_name(ra_similarity metric) {
    return metric == RA_SIMILARITY_DOT ? "dot" : "cosine";
}

/* ---- explanations -------------------------------------------------------------------------------------- */

void json_concept(text *out, const ra_model *model, const ra_contribution *contribution, unsigned parts,
                  const atom_numbers *numbers) {
    json_object(out, NULL);
    json_count(out, "atom", contribution->atom);
    json_float(out, "code", contribution->code);
    json_float(out, "contribution", contribution->contribution);
    json_atom_parts(out, model, contribution->atom, parts, numbers);
    json_object_end(out);
}

void json_fit(text *out, float residual_norm, float input_norm, float r2) {
    json_float(out, "residual_norm", residual_norm);
    json_float(out, "input_norm", input_norm);
    norm(out, "residual", residual_norm); /* deprecated, and so is input */
    norm(out, "input", input_norm);
    json_float(out, "r2", r2);
}

/* ---- points -------------------------------------------------------------------------------------------- */

static void uses(text *out, const point_reply *point) {
    json_array(out, "atoms");
    for (size_t i = 0; i < point->use_count; i++) {
        json_object(out, NULL);
        json_count(out, "atom", point->uses[i].atom);
        json_float(out, "weight", point->uses[i].weight);
        json_object_end(out);
    }
    json_array_end(out);
}

static void rows(text *out, const point_reply *point) {
    json_array(out, "rows");
    for (size_t i = 0; i < point->row_count; i++) {
        json_object(out, NULL);
        json_count(out, "row", point->rows[i].row);
        json_float(out, "distance", point->rows[i].distance);
        json_text(out, "label", point->rows[i].label);
        json_row_item(out, point->places, point->rows[i].row);
        json_row_media(out, point->places, point->rows[i].row, point->rows[i].label);
        json_object_end(out);
    }
    json_array_end(out);
}

static void floats_or_null(text *out, const char *key, const float *values, size_t n) {
    if (values)
        json_floats(out, key, values, n);
    else
        json_null(out, key);
}

void json_point(text *out, const point_reply *point) {
    json_object(out, NULL);
    json_count(out, "point", point->point);
    json_text(out, "label", point->label);
    if (point->uses)
        uses(out, point);
    else
        json_null(out, "atoms");
    if (point->rows)
        rows(out, point);
    else
        json_null(out, "rows");
    floats_or_null(out, "vector", point->vector, point->dimensions);
    floats_or_null(out, "location", point->location, point->dimensions);
    if (point->model) json_units(out, point->model);
    json_object_end(out);
}

void json_point_parts(text *out, const point_reply *point, unsigned parts) {
    json_object(out, NULL);
    json_count(out, "point", point->point);
    if (parts & POINT_LABEL) json_text(out, "label", point->label);
    if (parts & POINT_ROWS && point->rows)
        rows(out, point);
    else if (parts & POINT_ROWS)
        json_null(out, "rows");
    if (parts & POINT_VECTOR) floats_or_null(out, "vector", point->vector, point->dimensions);
    if (parts & POINT_LOCATION) floats_or_null(out, "location", point->location, point->dimensions);
    json_object_end(out);
}
