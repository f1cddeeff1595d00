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

#include "app/atom_json.h"
#include "codec/problems.h"
#include "ra_model.h"

typedef struct problem_reply {
    problem_kind what;
    const char *type, *title; /* a link to the code, and the text of its status */
    const char *sentence;
    const char *instance, *request_id; /* NULL: unknown */
    const ra_error_facts *facts;
} problem_reply;

/* RFC 9457 with what programs need; the sentence is also in `error`, where clients of other servers look for it. */
void json_problem(text *out, const problem_reply *failed);

/* {"problems":[{"code":"unknown_atom","status":404,"meaning":"..."}, ...]} */
void json_problem_table(text *out);

/* {"status": "live"}, with a reason unless that is NULL */
void json_state(text *out, const char *state, const char *reason);

/* ---- dictionaries -------------------------------------------------------------------------------------- */

typedef struct dictionary_reply {
    const char *name;
    const char *reason;   /* why the last reload failed; NULL: it did not */
    int64_t loaded_at;    /* seconds since 1970 */
    const char *revision; /* a digest of everything that its answers depend on */
    size_t generation;    /* 1 after the first load, one more after each load of another content */
    size_t requests;      /* that it answered, over all generations */
    const ra_model_info *info;
    const char *media_url; /* the template of the addresses of its media; NULL: none */
    size_t row_count;      /* of its data that are shown; 0: none are */
    bool with_settings;    /* the member `settings` is optional */
} dictionary_reply;

void json_dictionary(text *out, const dictionary_reply *dictionary);

/* {"rows":261,"skip":5,"height":16,"width":16} of an item; rows of their own are items of one row. */
void json_item_shape(text *out, const char *name, const ra_latent_items *items);

/* One that is known and not loaded. */
typedef struct unavailable_reply {
    const char *name;
    const char *state;  /* "unloaded", "changed" or "failed" */
    const char *reason; /* why it is not; NULL: on purpose */
    int64_t loaded_at;  /* of its last generation; 0: there was none */
    size_t generation;  /* likewise */
} unavailable_reply;

void json_unavailable(text *out, const unavailable_reply *dictionary);

/* ---- atoms --------------------------------------------------------------------------------------------- */

/* {"atom":7, ...} with the parts that were asked for (app/atom_json.h). */
void json_atom(text *out, const ra_model *model, size_t atom, unsigned parts, const atom_numbers *numbers);

/* One entry of `neighbors` and of a list of `results`: {"atom":7,"score":0.93,"label":"...","label_source":"rows"},
 * with the parts that were asked for. */
void json_match(text *out, const ra_model *model, size_t atom, float score, unsigned parts,
                const atom_numbers *numbers);

/* "cosine" or "dot" */
const char *metric_name(ra_similarity metric);

/* ---- explanations -------------------------------------------------------------------------------------- */

/* One entry of `concepts`: {"atom":7,"code":1.5,"contribution":0.2, ...} with the parts that were asked for. */
void json_concept(text *out, const ra_model *model, const ra_contribution *contribution, unsigned parts,
                  const atom_numbers *numbers);

/* The members after `concepts` in an explanation: "residual_norm", "input_norm", their former names, and
 * "r2". */
void json_fit(text *out, float residual_norm, float input_norm, float r2);

/* ---- points -------------------------------------------------------------------------------------------- */

typedef struct point_reply {
    size_t point;
    const char *label;
    const ra_point_use *uses; /* NULL: unknown */
    size_t use_count;
    const ra_point_row *rows; /* NULL: unknown */
    size_t row_count;
    const row_places *places; /* of these rows */
    const float *vector;      /* [dimensions]; NULL when the file does not hold the points */
    const float *location;    /* [dimensions] the same point in the units of the data; NULL likewise */
    size_t dimensions;
    const ra_model *model;
} point_reply;

void json_point(text *out, const point_reply *point);

/* The parts of a point in a list; sums of these. */
enum point_part {
    POINT_LABEL = 1,
    POINT_ROWS = 2,
    POINT_VECTOR = 4,
    POINT_LOCATION = 8,
    POINT_ALL_PARTS = 15
};

/* {"point":7, ...} with the parts that were asked for. */
void json_point_parts(text *out, const point_reply *point, unsigned parts);

#endif
