/* A table of members describes each body, with a function that reads each member (object.h). Numbers are
 * stored where they will be used while they are scanned: a matrix row by row, latents as sparse rows. The
 * dense form of latents never exists in memory: its zeros are skipped in the text.
 */
#include "codec/json/requests.h"
#include "codec/json/object.h"
#include "codec/sort_row.h"
#include "ra_memory.h"
#include "ra_model.h"

#include <math.h>

/* ---- rows of numbers ----------------------------------------------------------------------------------- */

/* `array` with room for `needed` items, grown geometrically; NULL when memory is short, and then `array`
 * stays. */
static void *grown(json_scan *scan, void *array, size_t *capacity, size_t needed, size_t item) {
    enum { LEAST = 64 };
    if (array && needed <= *capacity) return array;
    size_t wanted = 2 * *capacity > LEAST ? 2 * *capacity : LEAST;
    if (wanted < needed) wanted = needed;
    void *larger = ra_realloc(array, wanted, item);
    if (larger)
        *capacity = wanted;
    else
        json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: the request needs %zu bytes", wanted * item);
    return larger;
}

static bool fail_not_a_row(json_scan *scan, const json_position *position) {
    json_type type = json_scan_peek(scan);
    if (!json_scan_skip(scan, NULL)) return false;
    if (type == JSON_NUMBER && position->row == 0)
        return json_scan_fail(
            scan, RA_ERR_SHAPE,
            "%s is a flat list of numbers, expected a list of rows: write [[...]], even for a "
            "single row",
            position->name);
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_INVALID_VALUE},
                               "%s[%zu] is %s, expected a row, an array of numbers", position->name,
                               position->row, json_type_name(type));
}

/* Before the first row beyond the limit: counts them all, for the message. */
static bool fail_too_many(json_scan *scan, const json_position *position) {
    size_t rows = position->row;
    do {
        json_scan_skip(scan, NULL);
        rows++;
    } while (json_scan_element(scan));
    return json_scan_fail_with(scan, RA_ERR_TOO_LARGE, &(ra_error_facts){PROBLEM_COUNTS(position->row, rows)},
                               "%s has %zu rows, but a request may have at most %zu", position->name, rows,
                               position->row);
}

static bool fail_width(json_scan *scan, const json_position *position, size_t width, const char *unit) {
    return json_scan_fail_with(scan, RA_ERR_SHAPE, &(ra_error_facts){PROBLEM_COUNTS(width, position->column)},
                               "%s[%zu] has %zu numbers, but the dictionary has %zu %s", position->name,
                               position->row, position->column, width, unit);
}

/* Reads the inside of one row and counts its numbers in position->column. */
typedef bool row_reader(json_scan *scan, json_position *position, void *target);

static bool read_rows(json_scan *scan, const char *name, size_t max_rows, row_reader *read_row,
                      void *target) {
    json_position position = {.name = name};
    if (!json_scan_expect(scan, JSON_ARRAY, name, "a list of rows, [[...], ...]")) return false;
    json_scan_array(scan);
    while (json_scan_element(scan)) {
        if (json_scan_peek(scan) != JSON_ARRAY) return fail_not_a_row(scan, &position);
        if (position.row == max_rows) return fail_too_many(scan, &position);
        json_scan_array(scan);
        position.column = 0;
        if (!read_row(scan, &position, target)) return false;
        position.row++;
    }
    if (position.row == 0) json_scan_fail(scan, RA_ERR_SHAPE, "%s is empty, expected at least one row", name);
    return scan->status == RA_OK;
}

/* ---- matrices: encode, explain, search ----------------------------------------------------------------- */

typedef struct matrix_request {
    ra_matrix matrix;
    size_t capacity; /* of matrix.data, in numbers */
    size_t dimensions, max_rows;
    size_t k;            /* search, explain */
    const char *queries; /* search only: the member that has them */
    int metric, exclude_self;
    ids_request atoms, positive, negative, exclude;
    float min_score;
    json_filter filter;
    ra_steer *pushes; /* steer only */
    size_t push_count, push_capacity;
    int base, method;
    ra_edit *edits; /* edit only */
    size_t edit_count, edit_capacity;
    int keep_error;
} matrix_request;

static bool read_matrix_row(json_scan *scan, json_position *position, void *target) {
    matrix_request *request = target;
    size_t width = request->dimensions;
    float *data =
        grown(scan, request->matrix.data, &request->capacity, (position->row + 1) * width, sizeof *data);
    if (!data) return false;
    request->matrix = (ra_matrix){data, position->row + 1, width};
    float *row = data + position->row * width, value;
    for (; json_scan_next_f32(scan, position, &value); position->column++)
        if (position->column < width) row[position->column] = value;
    if (position->column != width) return fail_width(scan, position, width, "dimensions");
    return scan->status == RA_OK;
}

static bool read_inputs(json_scan *scan, void *target) {
    matrix_request *request = target;
    return read_rows(scan, "inputs", request->max_rows, read_matrix_row, request);
}

static bool read_k(json_scan *scan, void *target) {
    matrix_request *request = target;
    int64_t k = 0;
    if (!json_scan_i64(scan, "k", &k)) return false;
    if (k < 1)
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "k is %lld, expected at least 1", (long long)k);
    request->k = (size_t)k;
    return true;
}

static bool read_metric(json_scan *scan, void *target) {
    matrix_request *request = target;
    json_string name;
    if (!json_scan_string(scan, "metric", &name)) return false;
    bool cosine = json_string_is(name, "cosine");
    if (!cosine && !json_string_is(name, "dot"))
        return json_scan_fail(scan, RA_ERR_ARGUMENT, "metric is \"%.*s\", expected \"cosine\" or \"dot\"",
                              json_string_shown(name), name.raw);
    request->metric = cosine ? RA_SIMILARITY_COSINE : RA_SIMILARITY_DOT;
    return true;
}

ra_status json_inputs_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                            ra_matrix *inputs, ra_error *err) {
    static const json_member members[] = {{"inputs", read_inputs, false}};
    matrix_request request = {.dimensions = dimensions, .max_rows = max_rows};
    ra_status status = json_body_read(body, size, "{\"inputs\": [[...], ...]}", members, 1, &request, err);
    if (status != RA_OK) ra_matrix_release(&request.matrix);
    *inputs = request.matrix;
    return status;
}

ra_status json_explain_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                             ra_matrix *inputs, size_t *k, ra_error *err) {
    static const json_member members[] = {{"inputs", read_inputs, false}, {"k", read_k, true}};
    matrix_request request = {.dimensions = dimensions, .max_rows = max_rows};
    ra_status status =
        json_body_read(body, size, "{\"inputs\": [[...], ...], \"k\": 10}", members, 2, &request, err);
    if (status != RA_OK) ra_matrix_release(&request.matrix);
    *inputs = request.matrix;
    *k = request.k;
    return status;
}

/* ---- atoms by number ----------------------------------------------------------------------------------- */

typedef struct ids_reader {
    ids_request list;
    size_t capacity, most;
} ids_reader;

static bool read_numbers_or_none(json_scan *scan, const char *name, ids_reader *reader) {
    json_position position = {.name = name, .flat = true};
    int64_t id;
    if (!json_scan_expect(scan, JSON_ARRAY, name, "a list of atoms, [5, 9, 1]")) return false;
    json_scan_array(scan);
    for (; json_scan_next_i64(scan, &position, &id); position.column++) {
        ids_request *list = &reader->list;
        size_t *ids = grown(scan, list->ids, &reader->capacity, list->count + 1, sizeof *ids);
        if (!ids) return false;
        list->ids = ids;
        if (id < 0 || list->count == reader->most) json_scan_is_at(scan, &position);
        if (id < 0)
            return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                       "%s[%zu] is %lld, but atoms are numbered from 0", name, list->count,
                                       (long long)id);
        if (list->count == reader->most)
            return json_scan_fail_with(scan, RA_ERR_TOO_LARGE, &(ra_error_facts){PROBLEM_LIMIT(reader->most)},
                                       "%s has more than %zu numbers; ask again for the rest", name,
                                       reader->most);
        ids[list->count++] = (size_t)id;
    }
    return scan->status == RA_OK;
}

static bool read_numbers(json_scan *scan, const char *name, ids_reader *reader) {
    if (!read_numbers_or_none(scan, name, reader)) return false;
    if (reader->list.count == 0)
        return json_scan_fail(scan, RA_ERR_SHAPE, "%s is empty, expected at least one atom", name);
    return true;
}

static bool read_ids(json_scan *scan, void *target) {
    return read_numbers(scan, "ids", target);
}

ra_status json_ids_parse(const char *body, size_t size, size_t most_ids, ids_request *out, ra_error *err) {
    static const json_member members[] = {{"ids", read_ids, false}};
    ids_reader reader = {.most = most_ids};
    ra_status status = json_body_read(body, size, "{\"ids\": [5, 9, 1]}", members, 1, &reader, err);
    *out = reader.list;
    if (status != RA_OK) ids_request_release(out);
    return status;
}

void ids_request_release(ids_request *request) {
    ra_free(request->ids);
    *request = (ids_request){0};
}

/* ---- nothing ------------------------------------------------------------------------------------------- */

ra_status json_nothing_parse(const char *body, size_t size, ra_error *err) {
    return size ? json_body_read(body, size, "no body, or {}", NULL, 0, NULL, err) : RA_OK;
}

/* ---- search -------------------------------------------------------------------------------------------- */

static const char search_wanted[] =
    "{\"inputs\": [[...], ...]}, {\"vectors\": [[...], ...]}, {\"atoms\": [5, 9]} or {\"positive\": [5, 9], "
    "\"negative\": [3]}, "
    "with \"k\": 10, \"metric\": \"cosine\"";

/* One search has queries of one kind. */
static bool take_queries(json_scan *scan, matrix_request *request, const char *name) {
    if (request->queries)
        return json_scan_fail_with(
            scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_CONFLICTING_PARAMETERS},
            "the body has both \"%s\" and \"%s\"; expected one of them", request->queries, name);
    request->queries = name;
    return true;
}

static bool read_vectors(json_scan *scan, void *target) {
    matrix_request *request = target;
    return take_queries(scan, request, "vectors") &&
           read_rows(scan, "vectors", request->max_rows, read_matrix_row, request);
}

static bool read_search_inputs(json_scan *scan, void *target) {
    matrix_request *request = target;
    return take_queries(scan, request, "inputs") && read_inputs(scan, request);
}

static bool read_search_atoms(json_scan *scan, void *target) {
    matrix_request *request = target;
    ids_reader reader = {.most = request->max_rows};
    bool good = take_queries(scan, request, "atoms") && read_numbers(scan, "atoms", &reader);
    request->atoms = reader.list;
    return good;
}

static bool read_truth(json_scan *scan, const char *name, int *truth) {
    json_type type = json_scan_peek(scan);
    if (!json_scan_skip(scan, NULL)) return false;
    if (type != JSON_TRUE && type != JSON_FALSE)
        return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_INVALID_VALUE},
                                   "%s is %s, expected true or false", name, json_type_name(type));
    *truth = type == JSON_TRUE;
    return true;
}

static bool read_exclude_self(json_scan *scan, void *target) {
    return read_truth(scan, "exclude_self", &((matrix_request *)target)->exclude_self);
}

/* A list that may be empty, unlike one of queries. */
static bool read_list(json_scan *scan, const char *name, size_t most, ids_request *list) {
    ids_reader reader = {.most = most};
    bool good = read_numbers_or_none(scan, name, &reader);
    *list = reader.list;
    return good;
}

static bool read_positive(json_scan *scan, void *target) {
    matrix_request *request = target;
    ids_reader reader = {.most = request->max_rows};
    bool good = take_queries(scan, request, "positive") && read_numbers(scan, "positive", &reader);
    request->positive = reader.list;
    return good;
}

static bool read_negative(json_scan *scan, void *target) {
    matrix_request *request = target;
    return read_list(scan, "negative", request->max_rows, &request->negative);
}

static bool read_exclude(json_scan *scan, void *target) {
    matrix_request *request = target;
    return read_list(scan, "exclude", SEARCH_MOST_EXCLUDED, &request->exclude);
}

static bool read_min_score(json_scan *scan, void *target) {
    matrix_request *request = target;
    return json_scan_f32(scan, "min_score", &request->min_score);
}

static bool read_filter(json_scan *scan, void *target) {
    matrix_request *request = target;
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
    matrix_request request = {.dimensions = dimensions,
                              .max_rows = max_rows,
                              .metric = SEARCH_NOT_GIVEN,
                              .exclude_self = SEARCH_NOT_GIVEN,
                              .min_score = -INFINITY};
    ra_status status =
        json_body_read(body, size, search_wanted, members, sizeof members / sizeof *members, &request, err);
    *out = (search_request){.vectors = request.matrix,
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

/* ---- steer --------------------------------------------------------------------------------------------- */

static bool read_atom(json_scan *scan, void *target) {
    ra_steer *push = target;
    int64_t atom = 0;
    if (!json_scan_i64(scan, "atom", &atom)) return false;
    if (atom < 0)
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "an atom to steer along is %lld, but atoms are numbered from 0",
                                   (long long)atom);
    push->atom = (size_t)atom;
    return true;
}

static bool read_scale(json_scan *scan, void *target) {
    ra_steer *push = target;
    return json_scan_f32(scan, "scale", &push->scale);
}

static bool read_pushes(json_scan *scan, void *target) {
    static const json_member members[] = {{"atom", read_atom, false}, {"scale", read_scale, false}};
    matrix_request *request = target;
    if (!json_scan_expect(scan, JSON_ARRAY, "steer", "a list, [{\"atom\": 5, \"scale\": 2.0}, ...]"))
        return false;
    json_scan_array(scan);
    while (json_scan_element(scan)) {
        ra_steer *pushes =
            grown(scan, request->pushes, &request->push_capacity, request->push_count + 1, sizeof *pushes);
        if (!pushes) return false;
        request->pushes = pushes;
        if (request->push_count == STEER_MAX_PUSHES)
            return json_scan_fail_with(scan, RA_ERR_TOO_LARGE,
                                       &(ra_error_facts){PROBLEM_LIMIT(STEER_MAX_PUSHES)},
                                       "steer has more than %d entries", STEER_MAX_PUSHES);
        if (!json_object_read(scan, "an entry of steer", "{\"atom\": 5, \"scale\": 2.0}", members, 2,
                              &pushes[request->push_count]))
            return false;
        request->push_count++;
    }
    return scan->status == RA_OK;
}

static bool read_base(json_scan *scan, void *target) {
    matrix_request *request = target;
    json_string name;
    if (!json_scan_string(scan, "on", &name)) return false;
    bool input = json_string_is(name, "input");
    if (!input && !json_string_is(name, "reconstruction"))
        return json_scan_fail(scan, RA_ERR_ARGUMENT,
                              "on is \"%.*s\", expected \"input\" or \"reconstruction\"",
                              json_string_shown(name), name.raw);
    request->base = input ? RA_STEER_INPUT : RA_STEER_RECONSTRUCTION;
    return true;
}

const char *const steer_method_names[] = {
    [RA_STEER_ADD] = "add", [RA_STEER_ORTHOGONAL] = "orthogonal", [RA_STEER_CAP] = "cap", NULL};

static bool read_method(json_scan *scan, void *target) {
    matrix_request *request = target;
    json_string name;
    if (!json_scan_string(scan, "method", &name)) return false;
    for (int i = 0; steer_method_names[i]; i++)
        if (json_string_is(name, steer_method_names[i])) request->method = i;
    if (request->method == STEER_METHOD_NOT_GIVEN)
        return json_scan_fail(scan, RA_ERR_ARGUMENT,
                              "method is \"%.*s\", expected \"add\", \"orthogonal\" or \"cap\"",
                              json_string_shown(name), name.raw);
    return true;
}

ra_status json_steer_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                           steer_request *out, ra_error *err) {
    static const json_member members[] = {{"inputs", read_inputs, false},
                                          {"steer", read_pushes, true},
                                          {"on", read_base, true},
                                          {"method", read_method, true}};
    matrix_request request = {.dimensions = dimensions,
                              .max_rows = max_rows,
                              .base = STEER_BASE_NOT_GIVEN,
                              .method = STEER_METHOD_NOT_GIVEN};
    ra_status status = json_body_read(
        body, size,
        "{\"inputs\": [[...], ...], \"steer\": [{\"atom\": 5, \"scale\": 2.0}, ...], \"on\": \"input\"}",
        members, sizeof members / sizeof *members, &request, err);
    *out = (steer_request){request.matrix, request.pushes, request.push_count, request.base, request.method};
    if (status != RA_OK) steer_request_release(out);
    return status;
}

void steer_request_release(steer_request *request) {
    ra_matrix_release(&request->inputs);
    ra_free(request->pushes);
    *request = (steer_request){0};
}

/* ---- edit ---------------------------------------------------------------------------------------------- */

const char *const edit_op_names[] = {
    [RA_EDIT_SET] = "set",       [RA_EDIT_SCALE] = "scale", [RA_EDIT_ADD] = "add",
    [RA_EDIT_ABLATE] = "ablate", [RA_EDIT_CLAMP] = "clamp", NULL};

static const char edit_wanted[] = "{\"atom\": 5, \"op\": \"scale\", \"value\": 2}";

typedef struct edit_reader {
    ra_edit edit;
    bool has_value;
} edit_reader;

static bool read_edit_atom(json_scan *scan, void *target) {
    int64_t atom = 0;
    if (!json_scan_i64(scan, "atom", &atom)) return false;
    if (atom < 0)
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "an atom to edit is %lld, but atoms are numbered from 0", (long long)atom);
    ((edit_reader *)target)->edit.atom = (size_t)atom;
    return true;
}

static bool read_edit_op(json_scan *scan, void *target) {
    edit_reader *reader = target;
    json_string name;
    if (!json_scan_string(scan, "op", &name)) return false;
    for (int i = 0; edit_op_names[i]; i++)
        if (json_string_is(name, edit_op_names[i])) {
            reader->edit.op = (ra_edit_op)i;
            return true;
        }
    return json_scan_fail(scan, RA_ERR_ARGUMENT,
                          "op is \"%.*s\", expected \"set\", \"scale\", \"add\", \"ablate\" or \"clamp\"",
                          json_string_shown(name), name.raw);
}

static bool read_edit_value(json_scan *scan, void *target) {
    edit_reader *reader = target;
    reader->has_value = true;
    return json_scan_f32(scan, "value", &reader->edit.value);
}

static bool read_edits(json_scan *scan, void *target) {
    static const json_member members[] = {
        {"atom", read_edit_atom, false}, {"op", read_edit_op, false}, {"value", read_edit_value, true}};
    matrix_request *request = target;
    if (!json_scan_expect(scan, JSON_ARRAY, "set",
                          "a list, [{\"atom\": 5, \"op\": \"scale\", \"value\": 2}, ...]"))
        return false;
    json_scan_array(scan);
    while (json_scan_element(scan)) {
        edit_reader reader = {0};
        ra_edit *edits =
            grown(scan, request->edits, &request->edit_capacity, request->edit_count + 1, sizeof *edits);
        if (!edits) return false;
        request->edits = edits;
        if (request->edit_count == EDIT_MAX)
            return json_scan_fail_with(scan, RA_ERR_TOO_LARGE, &(ra_error_facts){PROBLEM_LIMIT(EDIT_MAX)},
                                       "set has more than %d entries", EDIT_MAX);
        if (!json_object_read(scan, "an entry of set", edit_wanted, members, 3, &reader)) return false;
        if (!reader.has_value && reader.edit.op != RA_EDIT_ABLATE)
            return json_object_missing(scan, "an entry of set", "value", edit_wanted);
        edits[request->edit_count++] = reader.edit;
    }
    return scan->status == RA_OK;
}

static bool read_keep_error(json_scan *scan, void *target) {
    return read_truth(scan, "keep_error", &((matrix_request *)target)->keep_error);
}

ra_status json_edit_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                          edit_request *out, ra_error *err) {
    static const json_member members[] = {
        {"inputs", read_inputs, false}, {"set", read_edits, true}, {"keep_error", read_keep_error, true}};
    matrix_request request = {
        .dimensions = dimensions, .max_rows = max_rows, .keep_error = EDIT_KEEP_NOT_GIVEN};
    ra_status status = json_body_read(
        body, size,
        "{\"inputs\": [[...], ...], \"set\": [{\"atom\": 5, \"op\": \"scale\", \"value\": 2}, ...], "
        "\"keep_error\": true}",
        members, sizeof members / sizeof *members, &request, err);
    *out = (edit_request){request.matrix, request.edits, request.edit_count, request.keep_error};
    if (status != RA_OK) edit_request_release(out);
    return status;
}

void edit_request_release(edit_request *request) {
    ra_matrix_release(&request->inputs);
    ra_free(request->edits);
    *request = (edit_request){0};
}

/* ---- latents: reconstruct ------------------------------------------------------------------------------ */

/* Rows of different lengths. Items have four bytes: int32 indices or float32 values. */
typedef struct ragged {
    void *items; /* [count] */
    size_t count, capacity;
    size_t *start; /* [rows + 1] */
    size_t rows, start_capacity;
} ragged;

typedef struct latents_reader {
    size_t latents, max_rows;
    bool dense, nested, flat;               /* `latents`; `indices` and `values` beside each other */
    const char *indices_name, *values_name; /* for messages */
    ragged indices, values;                 /* the dense form counts its rows only in indices */
} latents_reader;

static bool ragged_reserve(json_scan *scan, ragged *list) {
    void *items = grown(scan, list->items, &list->capacity, list->count + 1, 4);
    if (items) list->items = items;
    return items != NULL;
}

static bool ragged_end_row(json_scan *scan, ragged *list) {
    size_t *start = grown(scan, list->start, &list->start_capacity, list->rows + 2, sizeof *start);
    if (!start) return false;
    list->start = start;
    start[0] = 0;
    start[++list->rows] = list->count;
    return true;
}

static bool push_index(json_scan *scan, ragged *list, size_t index) {
    if (list->count == list->capacity && !ragged_reserve(scan, list)) return false;
    ((int32_t *)list->items)[list->count++] = (int32_t)index;
    return true;
}

static bool push_value(json_scan *scan, ragged *list, float value) {
    if (list->count == list->capacity && !ragged_reserve(scan, list)) return false;
    ((float *)list->items)[list->count++] = value;
    return true;
}

static bool read_dense_row(json_scan *scan, json_position *position, void *target) {
    latents_reader *reader = target;
    float value;
    while (json_scan_next_f32(scan, position, &value)) {
        size_t column = position->column++;
        if (value == 0)
            position->column += json_scan_zeros(scan);
        else if (column < reader->latents &&
                 !(push_index(scan, &reader->indices, column) && push_value(scan, &reader->values, value)))
            return false;
    }
    if (position->column != reader->latents) return fail_width(scan, position, reader->latents, "latents");
    return scan->status == RA_OK && ragged_end_row(scan, &reader->indices);
}

static bool read_index_row(json_scan *scan, json_position *position, void *target) {
    latents_reader *reader = target;
    int64_t index;
    for (; json_scan_next_i64(scan, position, &index); position->column++) {
        if (index < 0 || (uint64_t)index >= reader->latents) {
            json_scan_is_at(scan, position);
            return json_scan_fail_with(
                scan, RA_ERR_ARGUMENT,
                &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE, PROBLEM_LIMIT(reader->latents - 1)},
                "%s[%zu][%zu] is %lld, but the dictionary has %zu latents, numbered from 0", position->name,
                position->row, position->column, (long long)index, reader->latents);
        }
        if (!push_index(scan, &reader->indices, (size_t)index)) return false;
    }
    return scan->status == RA_OK && ragged_end_row(scan, &reader->indices);
}

static bool read_value_row(json_scan *scan, json_position *position, void *target) {
    latents_reader *reader = target;
    float value;
    for (; json_scan_next_f32(scan, position, &value); position->column++)
        if (!push_value(scan, &reader->values, value)) return false;
    return scan->status == RA_OK && ragged_end_row(scan, &reader->values);
}

static bool read_indices(json_scan *scan, void *target) {
    latents_reader *reader = target;
    return read_rows(scan, reader->indices_name, reader->max_rows, read_index_row, reader);
}

static bool read_values(json_scan *scan, void *target) {
    latents_reader *reader = target;
    return read_rows(scan, reader->values_name, reader->max_rows, read_value_row, reader);
}

static bool check_lengths(json_scan *scan, const latents_reader *reader) {
    const ragged *indices = &reader->indices, *values = &reader->values;
    if (indices->rows != values->rows)
        return json_scan_fail(scan, RA_ERR_SHAPE, "%s has %zu rows, but %s has %zu", reader->indices_name,
                              indices->rows, reader->values_name, values->rows);
    for (size_t row = 0; row < indices->rows; row++) {
        size_t left = indices->start[row + 1] - indices->start[row];
        size_t right = values->start[row + 1] - values->start[row];
        if (left != right)
            return json_scan_fail(scan, RA_ERR_SHAPE, "%s[%zu] has %zu numbers, but %s[%zu] has %zu",
                                  reader->indices_name, row, left, reader->values_name, row, right);
    }
    return true;
}

/* Sorts the rows, refuses an index that occurs twice in a row, and drops explicit zeros. */
static bool normalize(json_scan *scan, latents_reader *reader) {
    int32_t *index = reader->indices.items;
    float *value = reader->values.items;
    size_t *start = reader->indices.start, from = 0, total = 0;
    for (size_t row = 0; row < reader->indices.rows; row++) {
        size_t n = start[row + 1] - from, kept = 0;
        if (n > 0) {
            sort_row(index + from, value + from, n);
            int32_t twice = compact_row(index + from, value + from, n, index + total, value + total, &kept);
            if (twice >= 0)
                return json_scan_fail(scan, RA_ERR_ARGUMENT, "%s[%zu] has the index %d twice",
                                      reader->indices_name, row, twice);
        }
        from += n;
        total += kept;
        start[row + 1] = total;
    }
    reader->indices.count = reader->values.count = total;
    return true;
}

static const char latents_wanted[] =
    "{\"latents\": [[...], ...]} or {\"latents\": {\"indices\": [[...], ...], "
    "\"values\": [[...], ...]}}";

static bool fail_both_forms(json_scan *scan) {
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_CONFLICTING_PARAMETERS},
                               "the body has \"latents\" beside \"indices\" or \"values\"; expected %s",
                               latents_wanted);
}

static bool read_latents(json_scan *scan, void *target) {
    static const json_member members[] = {{"indices", read_indices, false}, {"values", read_values, false}};
    latents_reader *reader = target;
    json_type type = json_scan_peek(scan);
    if (reader->flat) return fail_both_forms(scan);
    reader->nested = true;
    reader->dense = type == JSON_ARRAY;
    if (reader->dense) return read_rows(scan, "latents", reader->max_rows, read_dense_row, reader);
    return json_object_read(scan, "latents", latents_wanted, members, 2, reader) &&
           check_lengths(scan, reader) && normalize(scan, reader);
}

/* A reply of encode, as it is. */
static bool read_flat_indices(json_scan *scan, void *target) {
    latents_reader *reader = target;
    if (reader->nested) return fail_both_forms(scan);
    reader->flat = true;
    reader->indices_name = "indices";
    return read_indices(scan, reader);
}

static bool read_flat_values(json_scan *scan, void *target) {
    latents_reader *reader = target;
    if (reader->nested) return fail_both_forms(scan);
    reader->flat = true;
    reader->values_name = "values";
    return read_values(scan, reader);
}

static bool read_latents_body(json_scan *scan, latents_reader *reader) {
    static const json_member members[] = {{"latents", read_latents, true},
                                          {"indices", read_flat_indices, true},
                                          {"values", read_flat_values, true}};
    if (!json_object_read(scan, "the body", latents_wanted, members, 3, reader)) return false;
    if (reader->nested) return true;
    const char *missing = !reader->flat ? "latents" : !reader->indices.rows ? "indices" : "values";
    if (!reader->indices.rows || !reader->values.rows)
        return json_object_missing(scan, "the body", missing, latents_wanted);
    return check_lengths(scan, reader) && normalize(scan, reader);
}

ra_status json_latents_parse(const char *body, size_t size, size_t latents, size_t max_rows,
                             latents_request *out, ra_error *err) {
    latents_reader reader = {.latents = latents,
                             .max_rows = max_rows,
                             .indices_name = "latents.indices",
                             .values_name = "latents.values"};
    ragged *indices = &reader.indices, *values = &reader.values;
    json_scan scan;
    json_scan_begin(&scan, body, size, err);
    if (size == 0)
        json_body_empty(&scan, latents_wanted);
    else if (read_latents_body(&scan, &reader))
        json_scan_end(&scan);
    ra_status status = json_scan_close(&scan);
    ra_free(values->start); /* equal to those of the indices */
    *out = (latents_request){0};
    if (status != RA_OK) {
        ra_free(indices->start);
        ra_free(indices->items);
        ra_free(values->items);
        return status;
    }
    out->rows = indices->rows;
    out->dense_entries = reader.dense ? indices->rows * latents : 0;
    out->codes = (ra_codes){
        .rows = indices->rows,
        .latents = latents,
        .start = indices->start,
        .index = indices->items,
        .value = values->items,
        .row_capacity = indices->start_capacity,
        .entry_capacity = indices->capacity < values->capacity ? indices->capacity : values->capacity,
    };
    return RA_OK;
}

void latents_request_release(latents_request *request) {
    ra_codes_release(&request->codes);
    *request = (latents_request){0};
}
