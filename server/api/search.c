#include "api/api.h"
#include "codec/json_requests.h"

enum { MAX_RESULTS = 1 << 20 }; /* of all vectors of a request together */

static ra_status check_k(const api_call *call, search_request *search, ra_error *err) {
    size_t concepts = api_info(call)->concepts;
    if (search->k > concepts && search->k == SEARCH_DEFAULT_K) search->k = concepts; /* nobody asked for it */
    if (search->k > concepts)
        return ra_error_set(err, RA_ERR_ARGUMENT, "k is %zu, but dictionary %s has %zu atoms", search->k,
                            call->dictionary->name, concepts);
    if (search->k > MAX_RESULTS / search->vectors.rows)
        return ra_error_set(err, RA_ERR_TOO_LARGE, "%zu vectors with k %zu ask for more than %d results",
                            search->vectors.rows, search->k, MAX_RESULTS);
    return RA_OK;
}

static ra_status run(const api_call *call, const search_request *search, size_t **ids, float **scores,
                     ra_error *err) {
    scratch *mine = NULL;
    void *id_block = NULL, *score_block = NULL;
    size_t rows = search->vectors.rows, results = rows * search->k;
    ra_status status = scratch_get(&mine, err);
    if (status == RA_OK) status = scratch_reserve(mine, SCRATCH_IDS, results, sizeof(size_t), &id_block, err);
    if (status == RA_OK)
        status = scratch_reserve(mine, SCRATCH_NUMBERS, results, sizeof(float), &score_block, err);
    if (status != RA_OK) return status;
    *ids = id_block;
    *scores = score_block;
    status = ra_model_search(api_model(call), mine->workspace, search->vectors.data, rows, search->k,
                             (ra_metric)search->metric, *ids, *scores, err);
    return status == RA_OK ? api_check_finite("results", *scores, results, err) : status;
}

static void write_results(api_call *call, const search_request *search, const size_t *ids,
                          const float *scores) {
    text *out = api_json(call);
    put_open(out, '{');
    put_key(out, "metric");
    put_string(out, metric_name((ra_metric)search->metric));
    put_key(out, "results");
    put_open(out, '[');
    for (size_t row = 0, i = 0; row < search->vectors.rows; row++) {
        put_open(out, '[');
        for (size_t j = 0; j < search->k; j++, i++)
            json_match(out, ids[i], scores[i], ra_model_atom_label(api_model(call), ids[i]));
        put_close(out, ']');
    }
    put_close(out, ']');
    put_close(out, '}');
}

ra_status api_search(api_call *call, ra_error *err) {
    search_request search;
    size_t *ids = NULL;
    float *scores = NULL;
    ra_status status = json_search_parse(call->request->body, call->request->body_size,
                                         api_info(call)->dimensions, call->engine->max_rows, &search, err);
    if (status != RA_OK) return status;
    status = check_k(call, &search, err);
    if (status == RA_OK) status = run(call, &search, &ids, &scores, err);
    if (status == RA_OK) write_results(call, &search, ids, scores);
    search_request_release(&search);
    return status;
}
