/* Three calls of Neuronpedia's inference server, for tools that already use it: the vector of a feature, the
 * features nearest to a feature or vector by the cosine of their decoder vectors, and what the server can do.
 *
 * Its `source` is the name of a dictionary here, and its `index` an atom. `model`, the language model that
 * the activations came from, is returned as it came: there, too, it chooses nothing. An unknown source is 400,
 * as it is there. The nearest features include the feature itself, first.
 *
 * The vector is the encoder's, with the name of the hook that its inputs come from (`hook` in the metadata of
 * the file; "" without, since clients want a text). `which=decoder` asks for the atom instead. Both, and the vector whose
 * neighbors are asked for, are in the units of the data, because such tools add and compare them there; cosines are those
 * of the dictionary's space.
 */
#include "api/api.h"
#include "codec/json/neuronpedia.h"

#include <string.h>

enum { MAX_RESULTS = 1000 };

/* Holds the dictionary for the length of the call, as a route with {d} does. */
static ra_status find_source(api_call *call, const char *source, ra_error *err) {
    call->dictionary = registry_acquire(call->server->dictionaries, source);
    registry_status known;
    bool lost =
        !call->dictionary && registry_status_of(call->server->dictionaries, source, &known) && known.lost;
    if (lost) return api_fail_lost(known.name, err);
    if (!call->dictionary)
        RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.where = "/source"), "Invalid SAE ID or type: %.127s", source);
    atomic_fetch_add(call->dictionary->requests, 1);
    return RA_OK;
}

static ra_status check_index(const api_call *call, size_t index, const char *where, ra_error *err) {
    size_t concepts = api_info(call)->concepts;
    if (index < concepts) return RA_OK;
    ra_error_set(err, RA_ERR_ARGUMENT, "Feature index %zu is out of range for %s, which has %zu features",
                 index, call->dictionary->name, concepts);
    return api_blame(where, err,
                     (ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE, PROBLEM_COUNTS(concepts - 1, index)});
}

/* *decoder <- what the query asks for; the default is the encoder. */
static ra_status query_which(const api_call *call, bool *decoder, ra_error *err) {
    const char *name = http_target_parameter(&call->request->target, "which");
    *decoder = name && strcmp(name, "decoder") == 0;
    if (name && !*decoder && strcmp(name, "encoder") != 0)
        RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.where = "which"),
                      "which is '%.64s', expected encoder or decoder", name);
    return RA_OK;
}

static ra_status read_encoder(const api_call *call, size_t index, float *vector, ra_error *err) {
    if (api_info(call)->has_encoder) return ra_model_encoder_vector(api_model(call), index, vector, err);
    RA_FAIL_FACTS(err, RA_ERR_STATE, (.kind = PROBLEM_NO_ENCODER),
                  "dictionary %s has no encoder, and this call answers its vector; ask for the atom with "
                  "which=decoder",
                  call->dictionary->name);
}

ra_status api_sae_vector(api_call *call, ra_error *err) {
    neuronpedia_request request;
    float *vector;
    bool decoder;
    RA_TRY(query_which(call, &decoder, err));
    RA_TRY(json_sae_vector_parse(call->request->body, call->request->body_size, &request, err));
    RA_TRY(find_source(call, request.of.source, err));
    RA_TRY(check_index(call, request.of.index, "/index", err));
    RA_TRY(scratch_numbers(api_info(call)->dimensions, &vector, err));
    RA_TRY(decoder ? ra_model_direction(api_model(call), request.of.index, vector, err)
                   : read_encoder(call, request.of.index, vector, err));
    RA_TRY(api_check_finite("the vector", vector, api_info(call)->dimensions, err));
    text *out = api_json(call);
    const char *hook = api_info(call)->hook;
    json_object(out, NULL);
    json_floats(out, "vector", vector, api_info(call)->dimensions);
    json_text(out, "hookName", hook ? hook : "");
    json_object_end(out);
    return RA_OK;
}

/* ---- what the server can do ----------------------------------------------------------------------------- */

/* Their names of what they serve with a language model, which this server does not have. */
static const char *const without_model[] = {
    "tokenize",         "activation_single",        "activation_all",       "activation_source",
    "activation_raw",   "activation_topk_by_token", "activation_attention", "dfa",
    "steer_completion", "steer_completion_chat",    "lens_logit",           "lens_jacobian",
    "neurons"};

static void write_endpoints(text *out) {
    json_object(out, "endpoints");
    for (size_t i = 0; i < sizeof without_model / sizeof *without_model; i++)
        json_bool(out, without_model[i], false);
    json_bool(out, "sae_vector", true);
    json_bool(out, "sae_topk_by_decoder_cossim", true);
    json_object_end(out);
}

/* The names of the dictionaries; *model <- the model that all of them name. It lives as long as *first, which
 * the caller releases. */
static void write_sources(const api_call *call, text *out, served **first, const char **model) {
    registry *dictionaries = call->server->dictionaries;
    size_t count = registry_count(dictionaries);
    *first = NULL;
    *model = NULL;
    json_array(out, "sae_sets");
    for (size_t i = 0; i < count; i++) {
        served *dictionary = registry_acquire_at(dictionaries, i);
        if (!dictionary) continue; /* known, but not loaded */
        const char *name = ra_model_get_info(dictionary->model)->model;
        json_text(out, NULL, dictionary->name);
        if (!*first) {
            *first = dictionary;
            *model = name;
        } else {
            if (*model && (!name || strcmp(*model, name) != 0)) *model = NULL;
            served_release(dictionary);
        }
    }
    json_array_end(out);
}

/* Their names and meanings; what belongs to a language model is 0, false or empty. */
ra_status api_capabilities(api_call *call, ra_error *err) {
    (void)err;
    static const char *const limits[] = {"max_tokens", "token_limit", "lens_token_limit",
                                         "activation_token_limit", "num_layers"};
    static const char *const lists[] = {"capture_points", "static_points", "static_writes"};
    static const char *const modes[] = {"hooks_available", "graph_replay", "generation_only"};
    text *out = api_json(call);
    served *first;
    const char *model;
    json_object(out, NULL);
    json_text(out, "backend", "rasae");
    write_sources(call, out, &first, &model);
    json_text(out, "model", model ? model : "");
    json_text(out, "device", first ? ra_model_get_info(first->model)->device : "cpu");
    if (first) served_release(first);
    json_count(out, "max_num_results", MAX_RESULTS);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) json_count(out, limits[i], 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) json_bool(out, modes[i], false);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_array(out, lists[i]);
        json_array_end(out);
    }
    write_endpoints(out);
    json_object_end(out);
    return RA_OK;
}

/* ---- the nearest --------------------------------------------------------------------------------------- */

static ra_status read_query(const api_call *call, const neuronpedia_request *request, float *query,
                            ra_error *err) {
    size_t d = api_info(call)->dimensions;
    if (request->has_feature) {
        RA_TRY(check_index(call, request->feature.index, "/feature/index", err));
        return ra_model_atom(api_model(call), request->feature.index, query, err);
    }
    if (request->dimensions != d)
        RA_FAIL_FACTS(err, RA_ERR_SHAPE, (.where = "/vector", PROBLEM_COUNTS(d, request->dimensions)),
                      "vector has %zu numbers, but the dictionary has %zu dimensions", request->dimensions,
                      d);
    const float *mean, *scale;
    bool standardized = ra_model_standardization(api_model(call), &mean, &scale);
    for (size_t i = 0; i < d; i++)
        query[i] = standardized ? request->vector[i] / scale[i] : request->vector[i]; /* it is a direction */
    size_t bad = ra_find_not_finite(query, d);
    if (bad < d)
        RA_FAIL_FACTS(err, RA_ERR_NOT_FINITE, (.where = "/vector"),
                      "vector is beyond float32 at position %zu once it is standardized", bad);
    return RA_OK;
}

static void write_nearest(api_call *call, const neuronpedia_request *request, const size_t *ids,
                          const float *scores, size_t count) {
    bool camel = request->camel_case;
    text *out = api_json(call);
    json_object(out, NULL);
    if (request->has_feature)
        json_neuronpedia_feature(out, "feature", &request->feature);
    else
        json_null(out, "feature");
    json_array(out, camel ? "topkDecoderCossimFeatures" : "topk_decoder_cossim_features");
    for (size_t i = 0; i < count; i++) {
        neuronpedia_feature found = request->of;
        found.index = ids[i];
        json_object(out, NULL);
        json_neuronpedia_feature(out, "feature", &found);
        json_float(out, camel ? "cosineSimilarity" : "cosine_similarity", scores[i]);
        json_object_end(out);
    }
    json_array_end(out);
    json_object_end(out);
}

static ra_status answer_nearest(api_call *call, const neuronpedia_request *request, ra_error *err) {
    float *query, scores[MAX_RESULTS];
    size_t *ids, count = request->results < MAX_RESULTS ? request->results : MAX_RESULTS;
    RA_TRY(find_source(call, request->of.source, err));
    if (count > api_info(call)->concepts) count = api_info(call)->concepts;
    RA_TRY(scratch_numbers(api_info(call)->dimensions, &query, err));
    RA_TRY(scratch_ids(count, &ids, err));
    RA_TRY(read_query(call, request, query, err));
    computation wanted = {.kind = COMPUTE_SEARCH,
                          .x = query,
                          .rows = 1,
                          .k = count,
                          .metric = RA_SIMILARITY_COSINE,
                          .ids = ids,
                          .scores = scores};
    RA_TRY(api_compute(call, &wanted, err));
    write_nearest(call, request, ids, scores, count);
    return RA_OK;
}

ra_status api_sae_topk(api_call *call, ra_error *err) {
    neuronpedia_request request;
    RA_TRY(json_sae_topk_parse(call->request->body, call->request->body_size, &request, err));
    ra_status status = answer_nearest(call, &request, err);
    neuronpedia_request_release(&request);
    return status;
}
