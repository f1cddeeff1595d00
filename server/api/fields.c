#include "api/fields.h"

#include <math.h>
#include <string.h>

static unsigned part_named(const char *name, size_t size) {
    if (size == 3 && strncmp(name, "all", size) == 0) return ATOM_ALL_PARTS;
    for (unsigned i = 0; i < ATOM_PART_COUNT; i++)
        if (strlen(atom_part_names[i]) == size && strncmp(atom_part_names[i], name, size) == 0)
            return 1u << i;
    return 0;
}

static ra_status query_parts(const http_target *target, unsigned *parts, ra_error *err) {
    http_list list = {0};
    *parts = 0;
    while (http_target_list(target, "fields", &list)) {
        unsigned part = part_named(list.entry, (size_t)(list.end - list.entry));
        if (!part)
            RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.where = "fields"),
                          "fields has '%.*s', expected norm, label, explanation, archetypes, relaxation, "
                          "trace, agreement, "
                          "statistics, quantiles, layout, vector, direction, encoder, units or all",
                          (int)(list.end - list.entry < 64 ? list.end - list.entry : 64), list.entry);
        *parts |= part;
    }
    return RA_OK;
}

ra_status fields_query(const api_call *call, unsigned fallback, atom_fields *fields, ra_error *err) {
    size_t d = api_info(call)->dimensions;
    bool encodes = api_info(call)->has_encoder && !api_info(call)->hidden_layers;
    *fields = (atom_fields){
        .model = api_model(call), .labels = call->labels, .places = api_row_places(call), .parts = fallback};
    if (http_target_parameter(&call->request->target, "fields"))
        RA_TRY(query_parts(&call->request->target, &fields->parts, err));
    if (!(fields->parts & (ATOM_VECTOR | ATOM_DIRECTION | ATOM_ENCODER))) return RA_OK;
    RA_TRY(scratch_vectors(3 * d, &fields->memory, err));
    fields->numbers = (atom_numbers){.vector = fields->memory,
                                     .direction = fields->memory + d,
                                     .encoder = encodes ? fields->memory + 2 * d : NULL,
                                     .encoder_cosine = NAN};
    return RA_OK;
}

/* The encoder's vector is in the space of the data, the atom in that of the dictionary. */
static ra_status read_encoder(atom_fields *fields, size_t atom, ra_error *err) {
    size_t d = ra_model_get_info(fields->model)->dimensions;
    float *D = fields->memory, *encoder = fields->memory + 2 * d;
    const float *mean, *scale;
    double dot = 0, squares[2] = {0};
    RA_TRY(ra_model_atom(fields->model, atom, D, err));
    RA_TRY(ra_model_encoder_vector(fields->model, atom, encoder, err));
    bool standardized = ra_model_standardization(fields->model, &mean, &scale);
    for (size_t j = 0; j < d; j++) {
        double e = (double)encoder[j] * (standardized ? (double)scale[j] : 1);
        dot += e * (double)D[j];
        squares[0] += e * e;
        squares[1] += (double)D[j] * (double)D[j];
    }
    fields->numbers.encoder_cosine = (float)(dot / sqrt(squares[0] * squares[1]));
    return RA_OK;
}

ra_status fields_read(atom_fields *fields, size_t atom, ra_error *err) {
    float *vector = fields->memory;
    const set_label *set = set_labels_at(fields->labels, atom);
    if (set) fields->words = (atom_words){set->label, set->explanation, set->source, set->score};
    fields->numbers.words = set ? &fields->words : NULL;
    fields->numbers.places = &fields->places;
    if (fields->parts & ATOM_VECTOR) RA_TRY(ra_model_atom(fields->model, atom, vector, err));
    if (fields->parts & ATOM_DIRECTION)
        RA_TRY(ra_model_direction(fields->model, atom, vector + ra_model_get_info(fields->model)->dimensions,
                                  err));
    if (fields->parts & ATOM_ENCODER && fields->numbers.encoder) RA_TRY(read_encoder(fields, atom, err));
    return RA_OK;
}
