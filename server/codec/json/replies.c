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

static void archetypes(text *out, const ra_archetype *list, size_t count) {
    json_array(out, "archetypes");
    for (size_t i = 0; i < count; i++) {
        json_object(out, NULL);
        json_count(out, "point", list[i].point);
        json_text(out, "label", list[i].label);
        json_float(out, "weight", list[i].weight);
        json_object_end(out);
    }
    json_array_end(out);
}

static void histogram(text *out, const ra_latent_statistics *latents, size_t latent) {
    json_object(out, "histogram");
    json_count(out, "low", 0);
    json_float(out, "high", latents->histogram_top[latent]);
    json_array(out, "counts");
    for (size_t bin = 0; bin < latents->bins; bin++)
        json_count(out, NULL, (size_t)latents->histogram[latent * latents->bins + bin]);
    json_array_end(out);
    json_object_end(out);
}

static void examples(text *out, const ra_latent_statistics *latents, size_t latent) {
    ra_latent_example example;
    json_array(out, "top");
    for (size_t i = 0; i < latents->examples; i++) {
        if (!ra_latent_statistics_example(latents, latent, i, &example)) break;
        json_object(out, NULL);
        json_count(out, "row", example.row);
        json_float(out, "value", example.value);
        json_text(out, "label", example.label);
        json_object_end(out);
    }
    json_array_end(out);
}

static void statistics_of(text *out, const ra_latent_statistics *latents, size_t latent) {
    if (!latents) {
        json_null(out, "statistics");
        return;
    }
    json_object(out, "statistics");
    json_count(out, "rows", latents->rows);
    json_count(out, "count", (size_t)latents->count[latent]);
    json_float(out, "frequency", (float)((double)latents->count[latent] / (double)latents->rows));
    json_float(out, "mean", latents->mean[latent]);
    json_float(out, "max", latents->max[latent]);
    json_float(out, "energy", latents->energy[latent]);
    histogram(out, latents, latent);
    examples(out, latents, latent);
    json_object_end(out);
}

static void layout(text *out, const float *position) {
    if (position)
        json_floats(out, "layout", position, 2);
    else
        json_null(out, "layout");
}

void json_atom(text *out, const atom_reply *atom) {
    json_object(out, NULL);
    json_count(out, "atom", atom->atom);
    if (atom->fields & ATOM_NORM) { json_float(out, "norm", atom->norm); }
    if (atom->fields & ATOM_LABEL) { json_text(out, "label", atom->label); }
    if (atom->fields & ATOM_ARCHETYPES) archetypes(out, atom->archetypes, atom->archetype_count);
    if (atom->fields & ATOM_RELAXATION) norm(out, "relaxation", atom->relaxation);
    if (atom->fields & ATOM_STATISTICS) statistics_of(out, atom->latents, atom->atom);
    if (atom->fields & ATOM_LAYOUT) layout(out, atom->layout);
    if (atom->fields & ATOM_VECTOR) { json_floats(out, "vector", atom->vector, atom->dimensions); }
    json_object_end(out);
}

void json_match(text *out, size_t atom, float score, const char *label) {
    json_object(out, NULL);
    json_count(out, "atom", atom);
    json_float(out, "score", score);
    json_text(out, "label", label);
    json_object_end(out);
}

const char *metric_name(ra_similarity metric) {
    return metric == RA_SIMILARITY_DOT ? "dot" : "cosine";
}

/* ---- explanations -------------------------------------------------------------------------------------- */

void json_concept(text *out, const ra_contribution *contribution, const char *label, const ra_archetype *list,
                  size_t count) {
    json_object(out, NULL);
    json_count(out, "atom", contribution->atom);
    json_float(out, "code", contribution->code);
    json_float(out, "contribution", contribution->contribution);
    json_text(out, "label", label);
    archetypes(out, list, count);
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
    if (point->vector) { json_floats(out, "vector", point->vector, point->dimensions); }
    json_object_end(out);
}
