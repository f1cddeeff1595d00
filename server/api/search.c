#include "api/forms.h"
#include "ra_memory.h"

enum {
    MAX_RESULTS = 1 << 20, /* of all vectors of a request together */
    CHUNK = 256            /* vectors searched at a time */
};

static ra_status check_k(const api_call *call, search_request *search, ra_error *err) {
    size_t concepts = api_info(call)->concepts;
    if (search->k > concepts && search->k == SEARCH_DEFAULT_K) search->k = concepts; /* the default */
    if (search->k > concepts)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k is %zu, but dictionary %s has %zu atoms", search->k,
                call->dictionary->name, concepts);
    if (search->k > MAX_RESULTS / search->vectors.rows)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%zu vectors with k %zu ask for more than %d results",
                search->vectors.rows, search->k, MAX_RESULTS);
    return RA_OK;
}

static ra_status run(const api_call *call, const search_request *search, size_t **ids, float **scores,
                     ra_error *err) {
    size_t rows = search->vectors.rows, results = rows * search->k;
    RA_TRY(scratch_ids(results, ids, err));
    RA_TRY(scratch_numbers(results, scores, err));
    for (size_t first = 0; first < rows; first += CHUNK) {
        computation wanted = {.kind = COMPUTE_SEARCH,
                              .x = ra_matrix_row(&search->vectors, first),
                              .rows = rows - first < CHUNK ? rows - first : CHUNK,
                              .k = search->k,
                              .metric = (ra_similarity)search->metric,
                              .ids = *ids + first * search->k,
                              .scores = *scores + first * search->k};
        RA_TRY(api_compute(call, &wanted, err));
    }
    return api_check_finite("results", *scores, results, err);
}

static void write_results(api_call *call, const search_request *search, const size_t *ids,
                          const float *scores) {
    text *out = api_json(call);
    json_object(out, NULL);
    json_text(out, "metric", metric_name((ra_similarity)search->metric));
    json_array(out, "results");
    for (size_t row = 0, i = 0; row < search->vectors.rows; row++) {
        json_array(out, NULL);
        for (size_t j = 0; j < search->k; j++, i++) json_match(out, api_model(call), ids[i], scores[i]);
        json_array_end(out);
    }
    json_array_end(out);
    json_object_end(out);
}

/* Two tensors [rows, k]: the atoms and their scores. */
static ra_status send_results(api_call *call, const search_request *search, const size_t *ids,
                              const float *scores, ra_error *err) {
    size_t rows = search->vectors.rows, n = rows * search->k;
    int32_t *atoms = ra_malloc(n, sizeof *atoms);
    if (!atoms) RA_FAIL_MEMORY(err, "the results of a search", n * sizeof *atoms);
    for (size_t i = 0; i < n; i++) atoms[i] = (int32_t)ids[i];
    tensor_list list = {
        2, {ra_tensor_2d(RA_I32, atoms, rows, search->k), ra_tensor_2d(RA_F32, scores, rows, search->k)}};
    ra_status status = forms_reply_tensors(call, &list, err);
    ra_free(atoms);
    return status;
}

ra_status api_search(api_call *call, ra_error *err) {
    search_request search;
    size_t *ids;
    float *scores;
    ra_status status;
    RA_TRY(forms_search(call, &search, err));
    RA_TRY_OUT(status, check_k(call, &search, err));
    RA_TRY_OUT(status, run(call, &search, &ids, &scores, err));
    if (call->request->reply_form == FORM_JSON)
        write_results(call, &search, ids, scores);
    else
        status = send_results(call, &search, ids, scores, err);
out:
    search_request_release(&search);
    return status;
}
