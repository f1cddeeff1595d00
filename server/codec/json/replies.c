#include "codec/json/replies.h"
#include "app/model_json.h"

#include <string.h>

void json_problem(text *out, int status, const char *title, const char *sentence, const char *instance) {
    json_object(out, NULL);
    json_text(out, "type", "about:blank");
    json_text(out, "title", title);
    json_count(out, "status", (size_t)status);
    json_text(out, "detail", sentence);
    json_text(out, "instance", instance);
    json_text(out, "error", sentence);
    json_object_end(out);
}

void json_state(text *out, const char *state, const char *reason) {
    json_object(out, NULL);
    json_text(out, "status", state);
    if (reason) json_text(out, "reason", reason);
    json_object_end(out);
}

/* ---- dictionaries -------------------------------------------------------------------------------------- */

void json_dictionary(text *out, const dictionary_reply *dictionary) {
    json_object(out, NULL);
    json_text(out, "name", dictionary->name);
    json_model_info(out, dictionary->info);
    json_count(out, "generation", dictionary->generation);
    json_count(out, "requests", dictionary->requests);
    if (dictionary->with_settings) json_model_settings(out, &dictionary->info->settings);
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
    norm(out, "residual", residual_norm);
    norm(out, "input", input_norm);
    json_float(out, "r2", r2);
}

/* ---- points -------------------------------------------------------------------------------------------- */

void json_point(text *out, const point_reply *point) {
    json_object(out, NULL);
    json_count(out, "point", point->point);
    json_text(out, "label", point->label);
    json_array(out, "atoms");
    for (size_t i = 0; i < point->use_count; i++) {
        json_object(out, NULL);
        json_count(out, "atom", point->uses[i].atom);
        json_float(out, "weight", point->uses[i].weight);
        json_object_end(out);
    }
    json_array_end(out);
    json_array(out, "rows");
    for (size_t i = 0; i < point->row_count; i++) {
        json_object(out, NULL);
        json_count(out, "row", point->rows[i].row);
        json_float(out, "distance", point->rows[i].distance);
        json_text(out, "label", point->rows[i].label);
        json_object_end(out);
    }
    json_array_end(out);
    if (point->vector) json_floats(out, "vector", point->vector, point->dimensions);
    if (point->location) json_floats(out, "location", point->location, point->dimensions);
    if (point->model) json_units(out, point->model);
    json_object_end(out);
}
