/* requests.h - JSON request bodies to C structs: a file of requests/ for each kind.
 *
 * Each function reads one kind of body completely, checks it against the sizes of the dictionary, and fills
 * `out`, whose former content is ignored. On failure `out` is {0}, and `err` has one sentence for the author
 * of the request: where the mistake is and what is expected.
 *
 *   RA_ERR_FORMAT      not JSON (with the position), not an object, a member missing, unknown, twice, or of
 *                      the wrong type
 *   RA_ERR_SHAPE       an empty batch, a flat vector, rows of the wrong width, indices and values of
 *                      different lengths
 *   RA_ERR_ARGUMENT    an index out of range or twice in a row, k or metric out of range
 *   RA_ERR_NOT_FINITE  NaN, Infinity, a number beyond float32
 *   RA_ERR_TOO_LARGE   more rows than max_rows
 *   RA_ERR_MEMORY
 *
 * The bodies, as in proto/openapi.json:
 *
 *   reconstruct   {"latents": [[0, 0, 1.5, ...], ...]}
 *                 {"latents": {"indices": [[2, ...], ...], "values": [[1.5, ...], ...]}}
 *                 {"indices": [[2, ...], ...], "values": [[1.5, ...], ...]}      a reply of encode, as it is
 *   encode        {"inputs": [[...], ...]}
 *   explain       {"inputs": [[...], ...], "k": 10}
 *   search        {"vectors": [[...], ...], "k": 10, "metric": "cosine"}      "cosine" | "dot"
 *                 {"inputs": [[...], ...], ...}   {"atoms": [5, 9], "exclude_self": true, ...}
 *                 {"positive": [5, 9], "negative": [3], ...}
 *                 each with "exclude": [7], "min_score": 0.3, "filter": {...} (filter.h)
 *   atoms         {"ids": [5, 9, 1]}
 *   steer         {"inputs": [[...], ...], "steer": [{"atom": 5, "scale": 2.0}, ...], "on": "input", "method": "add"}
 *   edit          {"inputs": [[...], ...], "set": [{"atom": 5, "op": "scale", "value": 2}, ...], "keep_error": true}
 *
 * Ownership: `out` owns its memory; the function after it releases it. Memory is bounded by a small multiple
 * of the body. Thread safety: no state.
 */
#ifndef RASAED_CODEC_JSON_REQUESTS_H
#define RASAED_CODEC_JSON_REQUESTS_H

#include "codec/json/filter.h"
#include "ra_model.h"

enum { SEARCH_DEFAULT_K = 10, STEER_MAX_PUSHES = 4096 };

/* A body that says nothing: none, or {}. */
ra_status json_nothing_parse(const char *body, size_t size, ra_error *err);

/* Latents of either form: rows sorted by index, without zeros. */
typedef struct latents_request {
    size_t rows; /* the same as codes.rows */
    ra_codes codes;
    size_t dense_entries; /* numbers of a dense request, zeros included; 0 for a sparse one */
} latents_request;

/* latents: K of the dictionary. */
ra_status json_latents_parse(const char *body, size_t size, size_t latents, size_t max_rows,
                             latents_request *out, ra_error *err);
void latents_request_release(latents_request *request); /* leaves {0} */

/* dimensions: d of the dictionary. inputs: [rows, d], released with ra_matrix_release(). */
ra_status json_inputs_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                            ra_matrix *inputs, ra_error *err);

/* The same with *k, the most concepts of an explanation; 0: not given. */
ra_status json_explain_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                             ra_matrix *inputs, size_t *k, ra_error *err);

/* Numbers of atoms, 1 to most_ids of them, each at least 0; the caller checks that they exist. */
typedef struct ids_request {
    size_t *ids; /* [count] */
    size_t count;
} ids_request;

/* What a search is for. */
typedef enum search_kind {
    SEARCH_VECTORS, /* in the space of the dictionary */
    SEARCH_INPUTS,  /* in that of the data */
    SEARCH_ATOMS,   /* by their numbers */
    SEARCH_EXAMPLES /* one search, by atoms that it should be like and others that it should not */
} search_kind;

enum { SEARCH_NOT_GIVEN = -1, SEARCH_MOST_EXCLUDED = 65536 };

typedef struct search_request {
    search_kind kind;
    ra_matrix vectors;              /* [rows, d]; of the kind */
    ids_request atoms;              /* SEARCH_ATOMS; vectors is {0} then */
    ids_request positive, negative; /* SEARCH_EXAMPLES; vectors is {0} then */
    ids_request exclude;            /* atoms that are in no list */
    float min_score;                /* -INFINITY: not given */
    json_filter filter;
    size_t k;         /* 0: not given; the caller compares it with the number of atoms */
    int metric;       /* RA_SIMILARITY_COSINE or RA_SIMILARITY_DOT of ra_model.h, or SEARCH_NOT_GIVEN */
    int exclude_self; /* 0, 1 or SEARCH_NOT_GIVEN */
} search_request;

ra_status json_search_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                            search_request *out, ra_error *err);
void search_request_release(search_request *request); /* leaves {0} */

ra_status json_ids_parse(const char *body, size_t size, size_t most_ids, ids_request *out, ra_error *err);
void ids_request_release(ids_request *request); /* leaves {0} */

enum { STEER_BASE_NOT_GIVEN = -1, STEER_METHOD_NOT_GIVEN = -1 };

typedef struct steer_request {
    ra_matrix inputs; /* [rows, d] */
    ra_steer *pushes; /* [count]; the caller checks their atoms */
    size_t count;     /* 0: not given */
    int base;         /* ra_steer_base, or STEER_BASE_NOT_GIVEN */
    int method;       /* ra_steer_method, or STEER_METHOD_NOT_GIVEN */
} steer_request;

ra_status json_steer_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                           steer_request *out, ra_error *err);
void steer_request_release(steer_request *request); /* leaves {0} */

/* By ra_steer_method and ra_edit_op; NULL after the last. */
extern const char *const steer_method_names[], *const edit_op_names[];

enum { EDIT_KEEP_NOT_GIVEN = -1, EDIT_MAX = STEER_MAX_PUSHES };

typedef struct edit_request {
    ra_matrix inputs; /* [rows, d] */
    ra_edit *edits;   /* [count]; the caller checks their atoms */
    size_t count;     /* 0: not given */
    int keep_error;   /* 0, 1 or EDIT_KEEP_NOT_GIVEN */
} edit_request;

ra_status json_edit_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                          edit_request *out, ra_error *err);
void edit_request_release(edit_request *request); /* leaves {0} */

#endif
