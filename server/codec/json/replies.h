/* replies.h - what the server answers, as JSON.
 *
 * One function per reply; server/README.md shows them all. Handlers open and close lists (app/json.h) and
 * fill one struct after another, so that no reply exists twice in memory.
 *
 * A value that the library does not know (a label, a norm) is null; a member is only absent when the request
 * did not ask for it. Labels are UTF-8. Thread safety: a text belongs to one thread.
 */
#ifndef RASAED_CODEC_JSON_REPLIES_H
#define RASAED_CODEC_JSON_REPLIES_H

#include "app/json.h"
#include "ra_model.h"

/* RFC 9457; the sentence is also in `error`, where clients of other servers look for it. */
void json_problem(text *out, int status, const char *title, const char *sentence, const char *instance);

/* {"status": "live"}, with a reason unless that is NULL */
void json_state(text *out, const char *state, const char *reason);

/* ---- dictionaries -------------------------------------------------------------------------------------- */

typedef struct dictionary_reply {
    const char *name;
    size_t generation; /* 1 after the first load, one more after each reload */
    size_t requests;   /* that it answered, over all generations */
    const ra_model_info *info;
    bool with_settings; /* the member `settings` is optional */
} dictionary_reply;

void json_dictionary(text *out, const dictionary_reply *dictionary);

/* ---- atoms --------------------------------------------------------------------------------------------- */

/* The members of an atom that `fields=` chooses from. To add one: a row here, a member below, a line in
 * json_atom(), and its value in api/atoms.c. */
#define ATOM_FIELD_LIST(X)                                                                                   \
    X(VECTOR, "vector")                                                                                      \
    X(NORM, "norm")                                                                                          \
    X(LABEL, "label")                                                                                        \
    X(ARCHETYPES, "archetypes")                                                                              \
    X(RELAXATION, "relaxation")                                                                              \
    X(STATISTICS, "statistics")                                                                              \
    X(LAYOUT, "layout")

enum atom_field_index {
#define X(id, name) ATOM_FIELD_INDEX_##id,
    ATOM_FIELD_LIST(X)
#undef X
        ATOM_FIELD_COUNT
};

enum atom_field {
#define X(id, name) ATOM_##id = 1 << ATOM_FIELD_INDEX_##id,
    ATOM_FIELD_LIST(X)
#undef X
        ATOM_ALL_FIELDS = (1 << ATOM_FIELD_COUNT) - 1
};

typedef struct atom_reply {
    size_t atom;
    unsigned fields; /* of enum atom_field; members without a field here may be unset */
    float norm;
    const char *label;
    const ra_archetype *archetypes;
    size_t archetype_count;
    float relaxation;                    /* NaN when unknown */
    const ra_latent_statistics *latents; /* of all atoms; NULL when unknown */
    const float *layout;                 /* [2]; NULL when unknown */
    const float *vector;                 /* [dimensions] */
    size_t dimensions;
} atom_reply;

void json_atom(text *out, const atom_reply *atom);

/* One entry of `neighbors` and of a list of `results`: {"atom":7,"score":0.93,"label":"..."} */
void json_match(text *out, size_t atom, float score, const char *label);

/* "cosine" or "dot" */
const char *metric_name(ra_similarity metric);

/* ---- explanations -------------------------------------------------------------------------------------- */

/* One entry of `concepts`. */
void json_concept(text *out, const ra_contribution *contribution, const char *label,
                  const ra_archetype *archetypes, size_t archetype_count);

/* The members after `concepts` in an explanation: "residual", "input", "r2". */
void json_fit(text *out, float residual_norm, float input_norm, float r2);

/* ---- points -------------------------------------------------------------------------------------------- */

typedef struct point_reply {
    size_t point;
    const char *label;
    const ra_point_use *uses;
    size_t use_count;
    const ra_point_row *rows;
    size_t row_count;
    const float *vector; /* [dimensions]; NULL when the file does not hold the points, and then absent */
    size_t dimensions;
} point_reply;

void json_point(text *out, const point_reply *point);

#endif
