/* atom_json.h - an atom in JSON, in the same words for the daemon's replies and `rasae inspect --json`.
 *
 * What is not known is null; what was not asked for is absent. Thread safety: a text belongs to one thread.
 */
#ifndef RA_APP_ATOM_JSON_H
#define RA_APP_ATOM_JSON_H

#include "app/row_json.h"

/* The parts of an atom that can be asked for. To add one: a row here, a line in
 * json_atom_parts(). */
#define ATOM_PART_LIST(X)                                                                                    \
    X(NORM, norm)                                                                                            \
    X(LABEL, label) /* and label_source */                                                                   \
    X(EXPLANATION, explanation)                                                                              \
    X(ARCHETYPES, archetypes) /* and coverage, hull_share */                                                 \
    X(RELAXATION, relaxation)                                                                                \
    X(TRACE, trace)                                                                                          \
    X(AGREEMENT, agreement)                                                                                  \
    X(STATISTICS, statistics)                                                                                \
    X(QUANTILES, quantiles) /* rows of each part of the range of its latent */                               \
    X(LAYOUT, layout)                                                                                        \
    X(VECTOR, vector)                                                                                        \
    X(DIRECTION, direction)                                                                                  \
    X(ENCODER, encoder) /* what its latent looks for */                                                      \
    X(UNITS, units)     /* of the norms and the vector */

enum atom_part_index {
#define X(ID, name) ATOM_INDEX_##ID,
    ATOM_PART_LIST(X)
#undef X
        ATOM_PART_COUNT
};

/* Sets of parts are sums of these. */
enum atom_part {
#define X(ID, name) ATOM_##ID = 1 << ATOM_INDEX_##ID,
    ATOM_PART_LIST(X)
#undef X
        ATOM_ALL_PARTS = (1 << ATOM_PART_COUNT) - 1,
    ATOM_PROVENANCE = ATOM_LABEL | ATOM_ARCHETYPES | ATOM_RELAXATION | ATOM_TRACE, /* what explains it */
    ATOM_POINT_ROWS = 1 << ATOM_PART_COUNT, /* each archetype with the data rows nearest to its point */
};

/* "norm", "label" and so on, by their index. */
extern const char *const atom_part_names[ATOM_PART_COUNT];

/* The label of an atom and its words: those of the file, or in their place those that a client set. */
typedef struct atom_words {
    const char *label;
    const char *explanation, *source; /* NULL: unknown */
    double score;                     /* NaN: unknown */
} atom_words;

/* The numbers of an atom, [d] each; NULL where the part is not asked for. */
typedef struct atom_numbers {
    const float *vector;      /* read by ra_model_atom() */
    const float *direction;   /* read by ra_model_direction() */
    const float *encoder;     /* read by ra_model_encoder_vector(); NULL without an encoder, too */
    float encoder_cosine;     /* with the vector, both in the space of the dictionary; NaN: unknown */
    const atom_words *words;  /* NULL: nothing was set */
    const row_places *places; /* for the item, position and media of each row; NULL: without them */
} atom_numbers;

/* The members of these parts, in the object that is open. numbers may be NULL without ATOM_VECTOR, ATOM_DIRECTION and
 * ATOM_ENCODER, where nothing was set. */
void json_atom_parts(text *out, const ra_model *model, size_t atom, unsigned parts,
                     const atom_numbers *numbers);

/* What the model's file says of the atom; the label may be a derived one, or NULL. */
atom_words model_atom_words(const ra_model *model, size_t atom);

/* "units":"standardized", the units of norms, distances, dot products and vectors of atoms and points; "data" when the
 * model is not standardized, because then they are those of the data. */
void json_units(text *out, const ra_model *model);

#endif
