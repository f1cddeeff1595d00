/* Two calls of Neuronpedia's inference server, for tools that already use it: the vector of a feature, and
 * the features nearest to a feature or vector by the cosine of their decoder vectors.
 *
 * Its `source` is the name of a dictionary here, and its `index` an atom. `model`, the language model that
 * the activations came from, is unknown here and is returned as it came. An unknown source is 400, as it is
 * there. The nearest features include the feature itself, first.
 */
#include "api/api.h"
#include "codec/json/neuronpedia.h"

enum { MAX_RESULTS = 1000 };

/* Holds the dictionary for the length of the call, as a route with {d} does. */
static ra_status find_source(api_call *call, const char *source, ra_error *err) {
    call->dictionary = registry_acquire(call->server->dictionaries, source);
    registry_status known;
    bool lost =
        !call->dictionary && registry_status_of(call->server->dictionaries, source, &known) && known.lost;
    if (lost) return api_fail_lost(known.name, err);
    if (!call->dictionary) RA_FAIL(err, RA_ERR_ARGUMENT, "Invalid SAE ID or type: %.127s", source);
    atomic_fetch_add(call->dictionary->requests, 1);
    return RA_OK;
}

static ra_status check_index(const api_call *call, size_t index, ra_error *err) {
    size_t concepts = api_info(call)->concepts;
    if (index < concepts) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "Feature index %zu is out of range for %s, which has %zu features", index,
            call->dictionary->name, concepts);
}

ra_status api_sae_vector(api_call *call, ra_error *err) {
    neuronpedia_request request;
    float *vector;
    RA_TRY(json_sae_vector_parse(call->request->body, call->request->body_size, &request, err));
    RA_TRY(find_source(call, request.of.source, err));
    RA_TRY(check_index(call, request.of.index, err));
    RA_TRY(scratch_numbers(api_info(call)->dimensions, &vector, err));
    RA_TRY(ra_model_atom(api_model(call), request.of.index, vector, err));
    text *out = api_json(call);
    json_object(out, NULL);
    json_floats(out, "vector", vector, api_info(call)->dimensions);
    json_object_end(out);
    return RA_OK;
}

/* ---- the nearest --------------------------------------------------------------------------------------- */

static ra_status read_query(const api_call *call, const neuronpedia_request *request, float *query,
                            ra_error *err) {
    size_t d = api_info(call)->dimensions;
    if (request->has_feature) {
        RA_TRY(check_index(call, request->feature.index, err));
        return ra_model_atom(api_model(call), request->feature.index, query, err);
    }
    if (request->dimensions != d)
        RA_FAIL(err, RA_ERR_SHAPE, "vector has %zu numbers, but the dictionary has %zu dimensions",
                request->dimensions, d);
    for (size_t i = 0; i < d; i++) query[i] = request->vector[i];
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
