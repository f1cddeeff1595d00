/* The body of search: queries of one kind, and what is looked for. */
#include "codec/json/requests/rows.h"

#include <math.h>

typedef struct search_reader {
    json_matrix_reader vectors; /* of vectors and inputs */
    const char *queries;        /* the member that has them; NULL: none so far */
    size_t k;
    int metric, exclude_self;
    ids_request atoms, positive, negative, exclude;
    float min_score;
    json_filter filter;
} search_reader;

static const char search_wanted[] =
    "{\"inputs\": [[...], ...]}, {\"vectors\": [[...], ...]}, {\"atoms\": [5, 9]} or {\"positive\": [5, 9], "
    "\"negative\": [3]}, "
    "with \"k\": 10, \"metric\": \"cosine\"";

static bool read_k(json_scan *scan, void *target) {
    return json_k_read(scan, &((search_reader *)target)->k);
}

static bool read_metric(json_scan *scan, void *target) {
    search_reader *request = target;
    json_string name;
    if (!json_scan_string(scan, "metric", &name)) return false;
    bool cosine = json_string_is(name, "cosine");
    if (!cosine && !json_string_is(name, "dot"))
        return json_scan_fail(scan, RA_ERR_ARGUMENT, "metric is \"%.*s\", expected \"cosine\" or \"dot\"",
                              json_string_shown(name), name.raw);
    request->metric = cosine ? RA_SIMILARITY_COSINE : RA_SIMILARITY_DOT;
    return true;
}

/* One search has queries of one kind. */
static bool take_queries(json_scan *scan, search_reader *request, const char *name) {
    if (request->queries)
        return json_scan_fail_with(
            scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_CONFLICTING_PARAMETERS},
            "the body has both \"%s\" and \"%s\"; expected one of them", request->queries, name);
    request->queries = name;
    return true;
}

static bool read_vectors(json_scan *scan, void *target) {
    search_reader *request = target;
    return take_queries(scan, request, "vectors") && json_matrix_read(scan, "vectors", &request->vectors);
}

static bool read_search_inputs(json_scan *scan, void *target) {
    search_reader *request = target;
    return take_queries(scan, request, "inputs") && json_matrix_read(scan, "inputs", &request->vectors);
}

static bool read_search_atoms(json_scan *scan, void *target) {
    search_reader *request = target;
    json_atoms_reader reader = {.most = request->vectors.max_rows};
    bool good = take_queries(scan, request, "atoms") && json_atoms_read(scan, "atoms", &reader);
    request->atoms = reader.list;
    return good;
}

static bool read_exclude_self(json_scan *scan, void *target) {
    return json_truth_read(scan, "exclude_self", &((search_reader *)target)->exclude_self);
}

/* A list that may be empty, unlike one of queries. */
static bool read_list(json_scan *scan, const char *name, size_t most, ids_request *list) {
    json_atoms_reader reader = {.most = most};
    bool good = json_atoms_read_or_none(scan, name, &reader);
    *list = reader.list;
    return good;
}

static bool read_positive(json_scan *scan, void *target) {
    search_reader *request = target;
    json_atoms_reader reader = {.most = request->vectors.max_rows};
    bool good = take_queries(scan, request, "positive") && json_atoms_read(scan, "positive", &reader);
    request->positive = reader.list;
    return good;
}

static bool read_negative(json_scan *scan, void *target) {
    search_reader *request = target;
    return read_list(scan, "negative", request->vectors.max_rows, &request->negative);
}

static bool read_exclude(json_scan *scan, void *target) {
    search_reader *request = target;
    return read_list(scan, "exclude", SEARCH_MOST_EXCLUDED, &request->exclude);
}

static bool read_min_score(json_scan *scan, void *target) {
    search_reader *request = target;
    return json_scan_f32(scan, "min_score", &request->min_score);
}

static bool read_filter(json_scan *scan, void *target) {
    search_reader *request = target;
    return json_filter_read(scan, &request->filter);
}

static ra_status fail_no_queries(ra_error *err) {
    RA_FAIL_FACTS(err, RA_ERR_FORMAT, (.kind = PROBLEM_MISSING_PARAMETER, .where = "/vectors"),
                  "the body has no member \"vectors\", \"inputs\" or \"atoms\"; expected %s", search_wanted);
}

static ra_status fail_negative(const char *queries, ra_error *err) {
    RA_FAIL_FACTS(err, RA_ERR_FORMAT, (.kind = PROBLEM_CONFLICTING_PARAMETERS, .where = "/negative"),
                  "negative goes with positive, and this search is by %s", queries);
}

static search_kind kind_of(const char *queries) {
    return queries[0] == 'v'   ? SEARCH_VECTORS
           : queries[0] == 'i' ? SEARCH_INPUTS
           : queries[0] == 'a' ? SEARCH_ATOMS
                               : SEARCH_EXAMPLES;
}

ra_status json_search_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                            search_request *out, ra_error *err) {
    static const json_member members[] = {
        {"vectors", read_vectors, true},    {"inputs", read_search_inputs, true},
        {"atoms", read_search_atoms, true}, {"positive", read_positive, true},
        {"negative", read_negative, true},  {"k", read_k, true},
        {"metric", read_metric, true},      {"exclude_self", read_exclude_self, true},
        {"exclude", read_exclude, true},    {"min_score", read_min_score, true},
        {"filter", read_filter, true}};
    search_reader request = {.vectors = {.dimensions = dimensions, .max_rows = max_rows},
                             .metric = SEARCH_NOT_GIVEN,
                             .exclude_self = SEARCH_NOT_GIVEN,
                             .min_score = -INFINITY};
    ra_status status =
        json_body_read(body, size, search_wanted, members, sizeof members / sizeof *members, &request, err);
    *out = (search_request){.vectors = request.vectors.matrix,
                            .atoms = request.atoms,
                            .positive = request.positive,
                            .negative = request.negative,
                            .exclude = request.exclude,
                            .min_score = request.min_score,
                            .filter = request.filter,
                            .k = request.k,
                            .metric = request.metric,
                            .exclude_self = request.exclude_self};
    if (status == RA_OK && !request.queries) status = fail_no_queries(err);
    if (status == RA_OK && request.negative.count && request.queries[0] != 'p')
        status = fail_negative(request.queries, err);
    if (status == RA_OK)
        out->kind = kind_of(request.queries);
    else
        search_request_release(out);
    return status;
}

void search_request_release(search_request *request) {
    ra_matrix_release(&request->vectors);
    ids_request_release(&request->atoms);
    ids_request_release(&request->positive);
    ids_request_release(&request->negative);
    ids_request_release(&request->exclude);
    json_filter_release(&request->filter);
    *request = (search_request){0};
}
