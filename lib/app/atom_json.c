#include "app/atom_json.h"
#include "app/latent_json.h"

#include <math.h>

enum { ROWS_OF_A_POINT = 3 };

const char *const atom_part_names[ATOM_PART_COUNT] = {
#define X(ID, name) [ATOM_INDEX_##ID] = #name,
    ATOM_PART_LIST(X)
#undef X
};

static void label(text *out, const ra_model *model, size_t atom, const atom_words *words) {
    if (words) {
        json_text(out, "label", words->label);
        json_text(out, "label_source", "set");
        return;
    }
    json_text(out, "label", ra_model_atom_label(model, atom));
    json_text(out, "label_source", ra_label_source_name(ra_model_atom_label_source(model, atom)));
}

atom_words model_atom_words(const ra_model *model, size_t atom) {
    ra_label_words words;
    ra_model_atom_words(model, atom, &words);
    return (atom_words){ra_model_atom_label(model, atom), words.explanation, words.source,
                        (double)words.score};
}

static void explanation(text *out, const atom_words *words) {
    if (!words->explanation && !words->source && isnan(words->score)) {
        json_null(out, "explanation");
        return;
    }
    json_object(out, "explanation");
    json_text(out, "text", words->explanation);
    json_text(out, "source", words->source);
    json_float(out, "score", (float)words->score);
    json_object_end(out);
}

static void point_rows(text *out, const ra_model *model, size_t point) {
    ra_point_row rows[ROWS_OF_A_POINT];
    size_t count = ra_model_point_rows(model, point, rows, ROWS_OF_A_POINT);
    json_array(out, "rows");
    for (size_t r = 0; r < count; r++) {
        json_object(out, NULL);
        json_count(out, "row", rows[r].row);
        json_float(out, "distance", rows[r].distance);
        json_text(out, "label", rows[r].label);
        json_object_end(out);
    }
    json_array_end(out);
}

/* The row nearest to the point stands for it; all null where the file does not say which that is. */
static void nearest_row(text *out, const ra_model *model, size_t point, const row_places *places) {
    ra_point_row row;
    if (ra_model_point_rows(model, point, &row, 1)) {
        json_count(out, "row", row.row);
        json_row_item(out, places, row.row);
        json_row_media(out, places, row.row, row.label);
    } else {
        json_null(out, "row");
        json_null(out, "item");
        json_null(out, "position");
        json_null(out, "media");
    }
}

static void archetypes(text *out, const ra_model *model, size_t atom, bool rows, const row_places *places) {
    ra_archetype archetype;
    bool known = ra_model_get_info(model)->archetypes > 0;
    if (known)
        json_array(out, "archetypes");
    else
        json_null(out, "archetypes");
    for (size_t t = 0; known && ra_model_atom_archetype(model, atom, t, &archetype); t++) {
        json_object(out, NULL);
        json_count(out, "point", archetype.point);
        json_text(out, "label", archetype.label);
        json_float(out, "weight", archetype.weight);
        json_float(out, "contribution", archetype.contribution);
        if (rows) point_rows(out, model, archetype.point);
        if (places) nearest_row(out, model, archetype.point, places);
        json_object_end(out);
    }
    if (known) json_array_end(out);
    json_float(out, "coverage", ra_model_atom_coverage(model, atom));
    json_float(out, "hull_share", ra_model_atom_hull_share(model, atom));
}

static void relaxation(text *out, const ra_model *model, size_t atom) {
    json_object(out, "relaxation");
    json_float(out, "norm", ra_model_atom_relaxation(model, atom));
    json_float(out, "share", ra_model_atom_relaxation_share(model, atom));
    json_object_end(out);
}

static void trace(text *out, const ra_model *model, size_t atom, const row_places *places) {
    ra_trace_row row;
    if (ra_model_get_info(model)->trace_rows == 0) {
        json_null(out, "trace");
        return;
    }
    json_object(out, "trace");
    json_array(out, "rows");
    for (size_t t = 0; ra_model_atom_trace_row(model, atom, t, &row); t++) {
        json_object(out, NULL);
        json_count(out, "row", row.row);
        if (places) json_row_item(out, places, row.row);
        json_text(out, "label", row.label);
        json_float(out, "weight", row.weight);
        json_float(out, "contribution", row.contribution);
        if (places) json_row_media(out, places, row.row, row.label);
        json_object_end(out);
    }
    json_array_end(out);
    json_float(out, "cosine", ra_model_atom_trace_cosine(model, atom));
    json_object_end(out);
}

static void agreement(text *out, const ra_model *model, size_t atom) {
    size_t runs = ra_model_get_info(model)->agreement_runs;
    if (runs == 0) {
        json_null(out, "agreement");
        return;
    }
    json_object(out, "agreement");
    json_count(out, "runs", runs);
    json_float(out, "share", ra_model_atom_agreement(model, atom));
    json_float(out, "cosine", ra_model_atom_agreement_cosine(model, atom));
    json_object_end(out);
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

static void statistics(text *out, const ra_model *model, size_t atom, const row_places *places) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    if (!latents) {
        json_null(out, "statistics");
        return;
    }
    json_object(out, "statistics");
    json_count(out, "rows", latents->rows);
    json_count(out, "count", (size_t)latents->count[atom]);
    json_float(out, "frequency", (float)((double)latents->count[atom] / (double)latents->rows));
    json_float(out, "mean", latents->mean[atom]);
    json_float(out, "max", latents->max[atom]);
    json_float(out, "energy", latents->energy[atom]);
    histogram(out, latents, atom);
    json_latent_top(out, latents, atom, places);
    json_object_end(out);
}

static void layout(text *out, const ra_model *model, size_t atom) {
    float position[2];
    if (ra_model_atom_layout(model, atom, position))
        json_floats(out, "layout", position, 2);
    else
        json_null(out, "layout");
}

static void encoder(text *out, const atom_numbers *numbers, size_t d) {
    if (!numbers->encoder) {
        json_null(out, "encoder");
        return;
    }
    json_object(out, "encoder");
    json_floats(out, "vector", numbers->encoder, d);
    json_float(out, "cosine", numbers->encoder_cosine);
    json_object_end(out);
}

void json_units(text *out, const ra_model *model) {
    json_text(out, "units", ra_model_get_info(model)->has_standardization ? "standardized" : "data");
}

void json_atom_parts(text *out, const ra_model *model, size_t atom, unsigned parts,
                     const atom_numbers *numbers) {
    size_t d = ra_model_get_info(model)->dimensions;
    if (parts & ATOM_NORM) json_float(out, "norm", ra_model_atom_norm(model, atom));
    const atom_words *words = numbers ? numbers->words : NULL;
    const row_places *places = numbers ? numbers->places : NULL;
    if (parts & ATOM_LABEL) label(out, model, atom, words);
    const atom_words own = words ? *words : model_atom_words(model, atom);
    if (parts & ATOM_EXPLANATION) explanation(out, &own);
    if (parts & ATOM_ARCHETYPES) archetypes(out, model, atom, parts & ATOM_POINT_ROWS, places);
    if (parts & ATOM_RELAXATION) relaxation(out, model, atom);
    if (parts & ATOM_TRACE) trace(out, model, atom, places);
    if (parts & ATOM_AGREEMENT) agreement(out, model, atom);
    if (parts & ATOM_STATISTICS) statistics(out, model, atom, places);
    if (parts & ATOM_QUANTILES) json_latent_quantiles(out, ra_model_latent_statistics(model), atom, places);
    if (parts & ATOM_LAYOUT) layout(out, model, atom);
    if (parts & ATOM_VECTOR) json_floats(out, "vector", numbers->vector, d);
    if (parts & ATOM_DIRECTION) json_floats(out, "direction", numbers->direction, d);
    if (parts & ATOM_ENCODER) encoder(out, numbers, d);
    if (parts & ATOM_UNITS) json_units(out, model);
}
