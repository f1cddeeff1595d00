/* The body of edit: inputs, and what becomes of which codes. */
#include "codec/json/requests/rows.h"
#include "ra_memory.h"

typedef struct edit_reader {
    json_matrix_reader inputs; /* first */
    ra_edit *edits;
    size_t edit_count, edit_capacity;
    int keep_error;
} edit_reader;

const char *const edit_op_names[] = {
    [RA_EDIT_SET] = "set",       [RA_EDIT_SCALE] = "scale", [RA_EDIT_ADD] = "add",
    [RA_EDIT_ABLATE] = "ablate", [RA_EDIT_CLAMP] = "clamp", NULL};

static const char edit_wanted[] = "{\"atom\": 5, \"op\": \"scale\", \"value\": 2}";

typedef struct entry_reader {
    ra_edit edit;
    bool has_value;
} entry_reader;

static bool read_edit_atom(json_scan *scan, void *target) {
    int64_t atom = 0;
    if (!json_scan_i64(scan, "atom", &atom)) return false;
    if (atom < 0)
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "an atom to edit is %lld, but atoms are numbered from 0", (long long)atom);
    ((entry_reader *)target)->edit.atom = (size_t)atom;
    return true;
}

static bool read_edit_op(json_scan *scan, void *target) {
    entry_reader *reader = target;
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
    entry_reader *reader = target;
    reader->has_value = true;
    return json_scan_f32(scan, "value", &reader->edit.value);
}

static bool read_edits(json_scan *scan, void *target) {
    static const json_member members[] = {
        {"atom", read_edit_atom, false}, {"op", read_edit_op, false}, {"value", read_edit_value, true}};
    edit_reader *request = target;
    if (!json_scan_expect(scan, JSON_ARRAY, "set",
                          "a list, [{\"atom\": 5, \"op\": \"scale\", \"value\": 2}, ...]"))
        return false;
    json_scan_array(scan);
    while (json_scan_element(scan)) {
        entry_reader reader = {0};
        ra_edit *edits =
            json_grown(scan, request->edits, &request->edit_capacity, request->edit_count + 1, sizeof *edits);
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
    return json_truth_read(scan, "keep_error", &((edit_reader *)target)->keep_error);
}

ra_status json_edit_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                          edit_request *out, ra_error *err) {
    static const json_member members[] = {{"inputs", json_inputs_read, false},
                                          {"set", read_edits, true},
                                          {"keep_error", read_keep_error, true}};
    edit_reader request = {.inputs = {.dimensions = dimensions, .max_rows = max_rows},
                           .keep_error = EDIT_KEEP_NOT_GIVEN};
    ra_status status = json_body_read(
        body, size,
        "{\"inputs\": [[...], ...], \"set\": [{\"atom\": 5, \"op\": \"scale\", \"value\": 2}, ...], "
        "\"keep_error\": true}",
        members, sizeof members / sizeof *members, &request, err);
    *out = (edit_request){request.inputs.matrix, request.edits, request.edit_count, request.keep_error};
    if (status != RA_OK) edit_request_release(out);
    return status;
}

void edit_request_release(edit_request *request) {
    ra_matrix_release(&request->inputs);
    ra_free(request->edits);
    *request = (edit_request){0};
}
