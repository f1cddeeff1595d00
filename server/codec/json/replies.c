#include "codec/json/replies.h"
#include "codec/json/latents.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

void json_problem(text *out, int status, const char *title, const char *sentence, const char *instance) {
    put_open(out, '{');
    put_key(out, "type");
    put_string(out, "about:blank");
    put_key(out, "title");
    put_string(out, title);
    put_key(out, "status");
    put_size(out, (size_t)status);
    put_key(out, "detail");
    put_string_checked(out, sentence);
    put_key(out, "instance");
    put_string_checked(out, instance);
    put_key(out, "error");
    put_string_checked(out, sentence);
    put_close(out, '}');
}

void json_state(text *out, const char *state, const char *reason) {
    put_open(out, '{');
    put_key(out, "status");
    put_string(out, state);
    if (reason) {
        put_key(out, "reason");
        put_string(out, reason);
    }
    put_close(out, '}');
}

/* ---- dictionaries -------------------------------------------------------------------------------------- */

static void known_size(text *out, const char *name, size_t value) {
    put_key(out, name);
    if (value)
        put_size(out, value);
    else
        put_raw(out, "null");
}

static void flag(text *out, const char *name, bool value) {
    put_key(out, name);
    put_bool(out, value);
}

/* "f32", as the command line spells it. */
static void dtype(text *out, ra_dtype type) {
    char lower[16] = "";
    const char *name = ra_dtype_name(type);
    for (size_t i = 0; name[i] && i + 1 < sizeof lower; i++) lower[i] = (char)tolower((unsigned char)name[i]);
    put_string(out, lower);
}

static void setting(text *out, const ra_setting *row, size_t i, const ra_sae_settings *settings) {
    char value[64];
    ra_setting_print(ra_sae_settings_table(), i, settings, value, sizeof value);
    if (row->type == RA_SETTING_NAME)
        put_string(out, value);
    else
        put_raw(out, value); /* a number or true or false, as JSON writes them too */
}

/* One setting by its place in the table, null when the file does not say. */
static void known_setting(text *out, enum ra_sae_setting i, const ra_sae_settings *settings) {
    const ra_setting *row = &ra_sae_settings_table()->rows[i];
    put_key(out, row->key);
    if (ra_setting_known(settings, i))
        setting(out, row, i, settings);
    else
        put_raw(out, "null");
}

static void known_settings(text *out, const ra_sae_settings *settings) {
    const ra_settings_table *table = ra_sae_settings_table();
    put_key(out, "settings");
    put_open(out, '{');
    for (size_t i = 0; i < table->count; i++) {
        if (!ra_setting_known(settings, i)) continue;
        put_key(out, table->rows[i].key);
        setting(out, &table->rows[i], i, settings);
    }
    put_close(out, '}');
}

void json_dictionary(text *out, const dictionary_reply *dictionary) {
    const ra_model_info *info = dictionary->info;
    put_open(out, '{');
    put_key(out, "name");
    put_string(out, dictionary->name);
    put_key(out, "concepts");
    put_size(out, info->concepts);
    put_key(out, "dimensions");
    put_size(out, info->dimensions);
    known_size(out, "points", info->points);
    known_size(out, "archetypes", info->archetypes);
    put_key(out, "dtype");
    dtype(out, info->dtype);
    known_setting(out, RA_SET_SAE, &info->settings);
    known_setting(out, RA_SET_ENCODER, &info->settings);
    flag(out, "has_encoder", info->has_encoder);
    flag(out, "standardized", info->has_standardization);
    flag(out, "has_relaxation", info->has_relaxation);
    flag(out, "has_atom_labels", info->has_atom_labels);
    flag(out, "has_point_labels", info->has_point_labels);
    flag(out, "has_point_vectors", info->has_point_vectors);
    flag(out, "has_statistics", info->has_statistics);
    flag(out, "has_layout", info->has_layout);
    put_key(out, "source");
    put_string(out, info->from_checkpoint ? "checkpoint" : "artifact");
    put_key(out, "device");
    put_string(out, info->device);
    put_key(out, "digest");
    put_string(out, info->digest);
    put_key(out, "bytes");
    put_size(out, info->bytes);
    put_key(out, "generation");
    put_size(out, dictionary->generation);
    put_key(out, "requests");
    put_size(out, dictionary->requests);
    if (dictionary->with_settings) known_settings(out, &info->settings);
    put_close(out, '}');
}

/* ---- atoms --------------------------------------------------------------------------------------------- */

static void norm(text *out, const char *of, float value) {
    put_key(out, of);
    put_open(out, '{');
    put_key(out, "norm");
    put_number(out, value);
    put_close(out, '}');
}

static void archetypes(text *out, const ra_archetype *list, size_t count) {
    put_key(out, "archetypes");
    put_open(out, '[');
    for (size_t i = 0; i < count; i++) {
        put_open(out, '{');
        put_key(out, "point");
        put_size(out, list[i].point);
        put_key(out, "label");
        put_string(out, list[i].label);
        put_key(out, "weight");
        put_number(out, list[i].weight);
        put_close(out, '}');
    }
    put_close(out, ']');
}

void json_atom(text *out, const atom_reply *atom) {
    put_open(out, '{');
    put_key(out, "atom");
    put_size(out, atom->atom);
    if (atom->fields & ATOM_NORM) {
        put_key(out, "norm");
        put_number(out, atom->norm);
    }
    if (atom->fields & ATOM_LABEL) {
        put_key(out, "label");
        put_string(out, atom->label);
    }
    if (atom->fields & ATOM_ARCHETYPES) archetypes(out, atom->archetypes, atom->archetype_count);
    if (atom->fields & ATOM_RELAXATION) norm(out, "relaxation", atom->relaxation);
    if (atom->fields & ATOM_STATISTICS) json_statistics(out, atom->latents, atom->atom);
    if (atom->fields & ATOM_LAYOUT) json_layout(out, atom->layout);
    if (atom->fields & ATOM_VECTOR) {
        put_key(out, "vector");
        put_numbers(out, atom->vector, atom->dimensions);
    }
    put_close(out, '}');
}

void json_match(text *out, size_t atom, float score, const char *label) {
    put_open(out, '{');
    put_key(out, "atom");
    put_size(out, atom);
    put_key(out, "score");
    put_number(out, score);
    put_key(out, "label");
    put_string(out, label);
    put_close(out, '}');
}

const char *metric_name(ra_similarity metric) {
    return metric == RA_SIMILARITY_DOT ? "dot" : "cosine";
}

/* ---- explanations -------------------------------------------------------------------------------------- */

void json_concept(text *out, const ra_contribution *contribution, const char *label, const ra_archetype *list,
                  size_t count) {
    put_open(out, '{');
    put_key(out, "atom");
    put_size(out, contribution->atom);
    put_key(out, "code");
    put_number(out, contribution->code);
    put_key(out, "contribution");
    put_number(out, contribution->contribution);
    put_key(out, "label");
    put_string(out, label);
    archetypes(out, list, count);
    put_close(out, '}');
}

void json_fit(text *out, float residual_norm, float input_norm, float r2) {
    norm(out, "residual", residual_norm);
    norm(out, "input", input_norm);
    put_key(out, "r2");
    put_number(out, r2);
}

/* ---- points -------------------------------------------------------------------------------------------- */

void json_point(text *out, const point_reply *point) {
    put_open(out, '{');
    put_key(out, "point");
    put_size(out, point->point);
    put_key(out, "label");
    put_string(out, point->label);
    put_key(out, "atoms");
    put_open(out, '[');
    for (size_t i = 0; i < point->use_count; i++) {
        put_open(out, '{');
        put_key(out, "atom");
        put_size(out, point->uses[i].atom);
        put_key(out, "weight");
        put_number(out, point->uses[i].weight);
        put_close(out, '}');
    }
    put_close(out, ']');
    put_key(out, "rows");
    put_open(out, '[');
    for (size_t i = 0; i < point->row_count; i++) {
        put_open(out, '{');
        put_key(out, "row");
        put_size(out, point->rows[i].row);
        put_key(out, "distance");
        put_number(out, point->rows[i].distance);
        put_key(out, "label");
        put_string(out, point->rows[i].label);
        put_close(out, '}');
    }
    put_close(out, ']');
    if (point->vector) {
        put_key(out, "vector");
        put_numbers(out, point->vector, point->dimensions);
    }
    put_close(out, '}');
}
