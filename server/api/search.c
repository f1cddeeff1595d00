/* The atoms nearest to vectors, to inputs, to other atoms, or to examples of what they should be like and what not. Which
 * atoms may be found at all (filter, exclude) is decided first, so each list has the best of those. A search by atoms that leaves each atom out of its own list
 * asks for one result more and drops the atom, or else the last one: an atom of zeros, or one among many equal ones, may
 * be missing from its list.
 */
#include "api/fields.h"
#include "api/find.h"
#include "api/forms.h"
#include "api/limits.h"
#include "ra_memory.h"

#include <math.h>

enum { CHUNK = 256 }; /* vectors searched at a time */

/* What a search found: a list of at most `width` atoms for each query, one after the other. */
typedef struct found_matches {
    uint64_t *among; /* the atoms that may be found, a bit each; NULL: all */
    size_t total;    /* of them */
    size_t width;
    size_t *ids, *counts; /* [queries, width]; [queries] */
    float *scores;        /* [queries, width] */
} found_matches;

/* ---- which atoms may be found -------------------------------------------------------------------------- */

static ra_status choose_filter(const api_call *call, const search_request *search, atom_query *query,
                               ra_error *err) {
    const json_filter *filter = &search->filter;
    if (filter->given && find_filter_is_asked(call))
        RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.kind = PROBLEM_CONFLICTING_PARAMETERS, .where = "/filter"),
                      "the body has a filter, and so has the query; expected one of them");
    if (!filter->given) return find_filter(call, query, err);
    *query = (atom_query){.labels = call->labels,
                          .text = filter->q.size > 1 ? filter->q.data : NULL,
                          .min_frequency = filter->min_frequency,
                          .dead = filter->dead < 0 ? ATOM_DEAD_OR_NOT
                                  : filter->dead   ? ATOM_DEAD
                                                   : ATOM_NOT_DEAD,
                          .has_point = filter->has_point,
                          .point = filter->point};
    return RA_OK;
}

static void leave_out(found_matches *found, const ids_request *list) {
    for (size_t i = 0; i < list->count; i++) {
        uint64_t bit = (uint64_t)1 << list->ids[i] % 64, *word = &found->among[list->ids[i] / 64];
        found->total -= (*word & bit) != 0;
        *word &= ~bit;
    }
}

/* Examples are in no list. */
static ra_status choose_atoms(const api_call *call, const search_request *search, found_matches *found,
                              ra_error *err) {
    atom_query query;
    bool queried = http_target_parameter(&call->request->target, "exclude");
    found->total = api_info(call)->concepts;
    for (size_t i = 0; queried && i < search->exclude.count; i++)
        RA_TRY(api_check_listed_atom(call, search->exclude.ids[i], "exclude", err));
    RA_TRY(api_check_list(call, "exclude", search->exclude.ids, search->exclude.count, err));
    bool filtered = search->filter.given || find_filter_is_asked(call);
    if (!filtered && !search->exclude.count && search->kind != SEARCH_EXAMPLES) return RA_OK;
    RA_TRY(choose_filter(call, search, &query, err));
    RA_TRY(find_set(call, &query, &found->among, &found->total, err));
    leave_out(found, &search->exclude);
    leave_out(found, &search->positive);
    leave_out(found, &search->negative);
    return RA_OK;
}

/* There are no more results than atoms. */
static ra_status choose_k(search_request *search, const found_matches *found, ra_error *err) {
    size_t most = found->total - (search->exclude_self && !found->among ? 1 : 0);
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

/* ---- finding them -------------------------------------------------------------------------------------- */

/* The lists without the atom of each query: at most k of those that were found, in place. */
static void drop_self(const search_request *search, found_matches *found) {
    size_t k = search->k;
    for (size_t row = 0; row < search->atoms.count; row++) {
        size_t *ids = found->ids + row * found->width, n = found->counts[row], self = 0;
        float *scores = found->scores + row * found->width;
        while (self < n && ids[self] != search->atoms.ids[row]) self++;
        for (size_t j = self + 1; j < n; j++) ids[j - 1] = ids[j], scores[j - 1] = scores[j];
        if (self < n) n--;
        found->counts[row] = n < k ? n : k;
    }
}

/* The lists end where scores are too small. */
static void drop_low(const search_request *search, found_matches *found) {
    for (size_t row = 0; row < search->vectors.rows; row++) {
        const float *scores = found->scores + row * found->width;
        while (found->counts[row] && scores[found->counts[row] - 1] < search->min_score) found->counts[row]--;
    }
}

static ra_status run(const api_call *call, const search_request *search, found_matches *found,
                     ra_error *err) {
    size_t rows = search->vectors.rows, more = search->k + (search->exclude_self ? 1 : 0);
    size_t k = found->width = more < found->total ? more : found->total;
    RA_TRY(scratch_ids(rows * (k + 1), &found->ids, err));
    RA_TRY(scratch_numbers(rows * k, &found->scores, err));
    found->counts = found->ids + rows * k;
    for (size_t first = 0; first < rows && k; first += CHUNK) {
        computation wanted = {.kind = COMPUTE_SEARCH,
                              .x = ra_matrix_row(&search->vectors, first),
                              .rows = rows - first < CHUNK ? rows - first : CHUNK,
                              .among = found->among,
                              .k = k,
                              .metric = (ra_similarity)search->metric,
                              .ids = found->ids + first * k,
                              .scores = found->scores + first * k};
        RA_TRY(api_compute(call, &wanted, err));
    }
    for (size_t row = 0; row < rows; row++) found->counts[row] = k;
    if (search->exclude_self) drop_self(search, found);
    RA_TRY(api_check_finite("results", found->scores, rows * k, err));
    drop_low(search, found);
    return RA_OK;
}

/* ---- replies ------------------------------------------------------------------------------------------- */

/* In JSON the lists of all rows are one list, `results`; in NDJSON each has a line. */
static ra_status write_results(api_call *call, const search_request *search, atom_fields *fields,
                               const found_matches *found, ra_error *err) {
    text *out = forms_list_begin(call, "results");
    bool lines = call->request->reply_form == FORM_NDJSON;
    for (size_t row = 0; row < search->vectors.rows; row++) {
        if (lines) json_object(out, NULL);
        json_array(out, lines ? "matches" : NULL);
        for (size_t i = row * found->width, end = i + found->counts[row]; i < end; i++) {
            RA_TRY(fields_read(fields, found->ids[i], err));
            json_match(out, fields->model, found->ids[i], found->scores[i], fields->parts, &fields->numbers);
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

/* Two tensors [rows, k]: the atoms and their scores; after the end of a list -1 and NaN. */
static ra_status send_results(api_call *call, const search_request *search, const found_matches *found,
                              ra_error *err) {
    size_t rows = search->vectors.rows, k = search->k, n = rows * k;
    int32_t *atoms = ra_malloc(n + 1, sizeof *atoms);
    float *scores = ra_malloc(n + 1, sizeof *scores);
    ra_status status = RA_OK;
    if (!atoms || !scores)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the results of a search");
    for (size_t row = 0, i = 0; row < rows && status == RA_OK; row++)
        for (size_t j = 0; j < k; j++, i++) {
            bool is = j < found->counts[row];
            atoms[i] = is ? (int32_t)found->ids[row * found->width + j] : -1;
            scores[i] = is ? found->scores[row * found->width + j] : NAN;
        }
    if (status == RA_OK) {
        tensor_list list = {2, {ra_tensor_2d(RA_I32, atoms, rows, k), ra_tensor_2d(RA_F32, scores, rows, k)}};
        status = forms_reply_tensors(call, &list, err);
    }
    ra_free(atoms);
    ra_free(scores);
    return status;
}

ra_status api_search(api_call *call, ra_error *err) {
    search_request search;
    found_matches found = {0};
    atom_fields fields;
    ra_status status;
    RA_TRY(forms_search(call, &search, err));
    RA_TRY_OUT(status, fields_query(call, ATOM_LABEL, &fields, err));
    RA_TRY_OUT(status, choose_atoms(call, &search, &found, err));
    RA_TRY_OUT(status, choose_k(&search, &found, err));
    RA_TRY_OUT(status, run(call, &search, &found, err));
    if (forms_reply_is_text(call))
        status = write_results(call, &search, &fields, &found, err);
    else
        status = send_results(call, &search, &found, err);
out:
    search_request_release(&search);
    return status;
}
