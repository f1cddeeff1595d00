/* api.h - what the endpoints have in common.
 *
 * A handler gets a call that is admitted: its path, query names and dictionary are valid and its body is
 * complete. It fills call->response and returns RA_OK, or returns an error, which becomes a problem reply
 * whose code and status codec/problems.h has. Messages for clients never name files of the server.
 *
 * Thread safety: a call belongs to the thread that serves it, an I/O thread when the request is light, else a
 * compute thread (cost.h); everything that handlers share is immutable.
 */
#ifndef RASAED_API_API_H
#define RASAED_API_API_H

#include "codec/json/replies.h"
#include "api/rasaed.h"
#include "serving/scratch.h"
#include "http/http.h"

typedef struct api_call {
    rasaed *server;
    const http_request *request;
    http_response *response;
    served *
        dictionary; /* {d} in the pattern, held during the call; NULL when the route has none. The reply is sent
                         * only if its file did not change meanwhile. */
    set_labels
        *labels;  /* of the dictionary, those that were set, as they were when the call began; NULL: none */
    size_t index; /* {i} in the pattern, not yet compared with anything */
    struct reply_block *block; /* where its numbers are, if forms_reply_numbers() gave it one */
    bool encodes; /* the model of the Open Inference Protocol that the path names is the one that encodes */
    bool brief;   /* it will soon be in the batcher, where others may wait for it (cost.h) */
} api_call;

typedef ra_status api_handler(api_call *call, ra_error *err);

/* One file per family of endpoints; server/README.md describes each route. */
api_handler api_server;                                                                 /* server.c */
api_handler api_problems;                                                               /* api.c */
api_handler api_live, api_ready, api_oip_live, api_oip_server_ready;                    /* health.c */
api_handler api_metrics;                                                                /* metrics.c */
api_handler api_dictionaries, api_dictionary, api_dictionary_file, api_standardization; /* dictionaries.c */
api_handler api_artifact;                                                               /* artifact.c */
api_handler api_compare;                                                                /* compare.c */
api_handler api_load, api_reload, api_unload;                                           /* loading.c */
api_handler api_atoms, api_atoms_by_ids, api_atom, api_neighbors;                       /* atoms.c */
api_handler api_cofiring;                                                               /* cofiring.c */
api_handler api_items;                                                                  /* items.c */
api_handler api_media;                                                                  /* media.c */
api_handler api_table;                                                                  /* table.c */
api_handler api_label, api_set_label, api_unset_label, api_labels, api_import_labels;   /* labels.c */
api_handler api_lists, api_list, api_put_list, api_delete_list;                         /* lists.c */
api_handler api_contrasts, api_contrast;                                                /* contrasts.c */
api_handler api_rows;                                                                   /* rows.c */
api_handler api_training;                                                               /* training.c */
api_handler api_points, api_point;                                                      /* points.c */
api_handler api_search;                                                                 /* search.c */
api_handler api_reconstruct, api_encode, api_explain;                                   /* encode.c */
api_handler api_steer;                                                                  /* steer.c */
api_handler api_edit;                                                                   /* edit.c */
api_handler api_sae_vector, api_sae_topk, api_capabilities;                             /* neuronpedia.c */
api_handler api_openapi, api_index, api_docs, api_docs_css, api_docs_js, api_tensors;   /* docs.c */
api_handler api_explorer;                                                               /* explorer.c */
api_handler api_oip_infer;                                                              /* oip_infer.c */
api_handler api_oip_server, api_oip_model, api_oip_config, api_oip_ready, api_oip_statistics,
    api_oip_all_statistics, api_oip_index, api_oip_load, api_oip_unload; /* oip_models.c */

/* ---- failures (api.c) ---------------------------------------------------------------------------------- */

/* The problem writer of the service (http/exchange.h): a problem document (RFC 9457), or {"error": "..."}
 * where the Open Inference Protocol is spoken. */
http_problem_writer api_write_problem;

/* Whether the path is one of the Open Inference Protocol's, under /v2. */
bool api_is_oip(const http_request *request);

/* The model of the call there: the name of the dictionary, or that with .encode behind it; returns `name` or the
 * dictionary's own. */
enum { OIP_MODEL_NAME_SIZE = REGISTRY_NAME_SIZE + 8 };
const char *api_oip_name(const api_call *call, char name[OIP_MODEL_NAME_SIZE]);

/* base <- the name of the dictionary whose encoder a model NAME.encode is; false for any other name, and for a
 * dictionary that is called so. */
bool api_oip_encoder_of(registry *dictionaries, const char *model, char base[REGISTRY_NAME_SIZE]);

/* RA_ERR_NOT_FOUND for a name in the path that no dictionary has. */
ra_status api_fail_unknown(const char *name, ra_error *err);

/* RA_ERR_CHANGED for a dictionary that is lost (registry_lose()). */
ra_status api_fail_lost(const char *name, ra_error *err);

/* ---- what describes a dictionary ----------------------------------------------------------------------- */

/* One that serves (dictionaries.c); whole: with its settings. */
void api_write_dictionary(const api_call *call, text *out, const served *dictionary, size_t requests,
                          bool whole);

/* One that is known and does not (loading.c). */
void api_write_unavailable(text *out, const registry_status *known);

/* ---- what handlers share (api.c) ----------------------------------------------------------------------- */

/* Makes the response a 200 with JSON; returns its body. */
text *api_json(api_call *call);

/* Sets the model and computes. Handlers compute long batches in pieces, so that a request that nobody waits
 * for any more ends between two of them. */
ra_status api_compute(const api_call *call, computation *wanted, ra_error *err);

/* The model of call->dictionary and its description. */
const ra_model *api_model(const api_call *call);
const ra_model_info *api_info(const api_call *call);

/* *value <- the query parameter, a whole number from min to max; `fallback` when it is absent. */
ra_status api_query_count(const api_call *call, const char *name, size_t fallback, size_t min, size_t max,
                          size_t *value, ra_error *err);

/* *metric <- the query parameter `metric`; `fallback` when it is absent. */
ra_status api_query_metric(const api_call *call, ra_similarity fallback, ra_similarity *metric,
                           ra_error *err);

/* Gives an error its facts, `where` among them; returns its code. */
ra_status api_blame(const char *where, ra_error *err, ra_error_facts facts);

/* What the query and the body both give must be the same: RA_ERR_ARGUMENT, naming the parameter, otherwise. */
ra_status api_check_same(const char *name, bool same, ra_error *err);

/* *k <- that of the query or of the body (0: not given there), at least 1; `fallback` when neither has it. */
ra_status api_choose_k(const api_call *call, size_t given, size_t fallback, size_t *k, ra_error *err);

/* *index <- which of `names` (NULL after the last) the query parameter or the body (-1: not given there) has;
 * `fallback` when neither has it. */
ra_status api_choose_name(const api_call *call, const char *parameter, const char *const names[], int given,
                          int fallback, int *index, ra_error *err);

/* The whole number from `digits` to `end`; RA_ERR_ARGUMENT names `what`. A number too large for size_t
 * becomes SIZE_MAX, which is larger than any index. */
ra_status api_parse_index(const char *digits, const char *end, const char *what, size_t *value,
                          ra_error *err);

/* RA_ERR_NOT_FOUND when there is no such atom, which the path names. */
ra_status api_check_atom(const api_call *call, size_t atom, ra_error *err);

/* RA_ERR_ARGUMENT when there is none of a list in the query or the body: `where` with its place in the list, as in
 * "ids" or "/ids/3". */
ra_status api_check_listed_atom(const api_call *call, size_t atom, const char *where, ra_error *err);

/* The same for all of the list in this member of the body. */
ra_status api_check_list(const api_call *call, const char *member, const size_t *atoms, size_t count,
                         ra_error *err);

/* Where the rows of the dictionary's data are, with the addresses of their media. */
row_places api_row_places(const api_call *call);

/* The label of an atom, which was set or is the file's; NULL: none. */
const char *api_atom_label(const api_call *call, size_t atom);

/* PROBLEM_STATE_DISABLED without a state directory. */
ra_status api_need_state(const api_call *call, ra_error *err);

/* The entity tag of what the path names, in the reply of a GET and in that of a change. */
void api_put_tag(api_call *call, const char *tag);

/* Whether a change may be made of what has this tag now ("": there is nothing), as If-Match and If-None-Match of the request
 * want it. A tag of a packed reply is the same as that of a plain one. */
bool api_change_holds(const http_request *request, const char *tag);

/* A 412 for a change that these did not allow. */
void api_refuse_change(const api_call *call, const char *what);

/* RA_ERR_STATE when the dictionary has no encoder. */
ra_status api_need_encoder(const api_call *call, ra_error *err);

/* RA_ERR_NOT_FINITE when a result is outside the range of float32; `what` names it. */
ra_status api_check_finite(const char *what, const float *values, size_t n, ra_error *err);

/* RA_ERR_TOO_LARGE when the reply exceeds its limit. Handlers check after each item. */
ra_status api_check_reply(const api_call *call, ra_error *err);
ra_status api_check_size(size_t bytes, ra_error *err); /* the same for bytes outside the reply */

#endif
