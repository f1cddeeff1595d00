/* The atoms nearest to vectors, to inputs or to other atoms. A search by atoms that leaves each atom out of its own list
 * asks for one result more and drops the atom, or else the last one: an atom of zeros, or one among many equal ones, may
 * be missing from its list.
 */
#include "api/fields.h"
#include "api/forms.h"
#include "api/limits.h"
#include "ra_memory.h"

enum { CHUNK = 256 }; /* vectors searched at a time */

/* There are no more results than atoms. */
static ra_status choose_k(const api_call *call, search_request *search, ra_error *err) {
    size_t most = api_info(call)->concepts - (search->exclude_self ? 1 : 0);
    if (search->k == 0) search->k = SEARCH_DEFAULT_K;
    if (search->k > most) search->k = most;
    if (search->k > LIMIT_RESULTS / search->vectors.rows)
        RA_FAIL_FACTS(
            err, RA_ERR_TOO_LARGE,
            (.where = "k", PROBLEM_COUNTS(LIMIT_RESULTS, (uint64_t)search->vectors.rows * search->k)),
            "%zu vectors with k %zu ask for more than %d results", search->vectors.rows, search->k,
            LIMIT_RESULTS);
    return RA_OK;
}

/* ids, scores [rows,k] <- those of [rows,k + 1] without the atom of each row, in place. */
static void drop_self(const search_request *search, size_t *ids, float *scores) {
    size_t k = search->k, from = 0, to = 0;
    for (size_t row = 0; row < search->atoms.count; row++, from += k + 1) {
        size_t self = 0;
        while (self < k && ids[from + self] != search->atoms.ids[row]) self++;
        for (size_t j = 0; j <= k; j++) {
            if (j == self) continue;
            ids[to] = ids[from + j];
            scores[to++] = scores[from + j];
        }
    }
}

static ra_status run(const api_call *call, const search_request *search, size_t **ids, float **scores,
                     ra_error *err) {
    size_t rows = search->vectors.rows, k = search->k + (search->exclude_self ? 1 : 0), results = rows * k;
    RA_TRY(scratch_ids(results, ids, err));
    RA_TRY(scratch_numbers(results, scores, err));
    for (size_t first = 0; first < rows; first += CHUNK) {
        computation wanted = {.kind = COMPUTE_SEARCH,
                              .x = ra_matrix_row(&search->vectors, first),
                              .rows = rows - first < CHUNK ? rows - first : CHUNK,
                              .k = k,
                              .metric = (ra_similarity)search->metric,
                              .ids = *ids + first * k,
                              .scores = *scores + first * k};
        RA_TRY(api_compute(call, &wanted, err));
    }
    if (search->exclude_self) drop_self(search, *ids, *scores);
    return api_check_finite("results", *scores, rows * search->k, err);
}

/* In JSON the lists of all rows are one list, `results`; in NDJSON each has a line. */
static ra_status write_results(api_call *call, const search_request *search, atom_fields *fields,
                               const size_t *ids, const float *scores, ra_error *err) {
    text *out = forms_list_begin(call, "results");
    bool lines = call->request->reply_form == FORM_NDJSON;
    for (size_t row = 0, i = 0; row < search->vectors.rows; row++) {
        if (lines) json_object(out, NULL);
        json_array(out, lines ? "matches" : NULL);
        for (size_t j = 0; j < search->k; j++, i++) {
            RA_TRY(fields_read(fields, ids[i], err));
            json_match(out, fields->model, ids[i], scores[i], fields->parts, &fields->numbers);
            RA_TRY(api_check_reply(call, err));
        }
        json_array_end(out);
        if (lines) json_object_end(out);
        RA_TRY(forms_list_next(call, err));
    }
    forms_list_end(call, search->vectors.rows);
    json_text(out, "metric", metric_name((ra_similarity)search->metric));
    if (search->metric == RA_SIMILARITY_DOT) json_units(out, fields->model);
    json_object_end(out);
    return RA_OK;
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
    atom_fields fields;
    size_t *ids;
    float *scores;
    ra_status status;
    RA_TRY(forms_search(call, &search, err));
    RA_TRY_OUT(status, fields_query(call, ATOM_LABEL, &fields, err));
    RA_TRY_OUT(status, choose_k(call, &search, err));
    RA_TRY_OUT(status, run(call, &search, &ids, &scores, err));
    if (forms_reply_is_text(call))
        status = write_results(call, &search, &fields, ids, scores, err);
    else
        status = send_results(call, &search, ids, scores, err);
out:
    search_request_release(&search);
    return status;
}
