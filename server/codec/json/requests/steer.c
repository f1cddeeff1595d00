/* The body of steer: inputs, and along which atoms. */
#include "codec/json/requests/rows.h"
#include "ra_memory.h"

typedef struct steer_reader {
    json_matrix_reader inputs; /* first */
    ra_steer *pushes;
    size_t push_count, push_capacity;
    int base, method;
} steer_reader;

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
    steer_reader *request = target;
    if (!json_scan_expect(scan, JSON_ARRAY, "steer", "a list, [{\"atom\": 5, \"scale\": 2.0}, ...]"))
        return false;
    json_scan_array(scan);
    while (json_scan_element(scan)) {
        ra_steer *pushes = json_grown(scan, request->pushes, &request->push_capacity, request->push_count + 1,
                                      sizeof *pushes);
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
    steer_reader *request = target;
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
    steer_reader *request = target;
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
    static const json_member members[] = {{"inputs", json_inputs_read, false},
                                          {"steer", read_pushes, true},
                                          {"on", read_base, true},
                                          {"method", read_method, true}};
    steer_reader request = {.inputs = {.dimensions = dimensions, .max_rows = max_rows},
                            .base = STEER_BASE_NOT_GIVEN,
                            .method = STEER_METHOD_NOT_GIVEN};
    ra_status status = json_body_read(
        body, size,
        "{\"inputs\": [[...], ...], \"steer\": [{\"atom\": 5, \"scale\": 2.0}, ...], \"on\": \"input\"}",
        members, sizeof members / sizeof *members, &request, err);
    *out = (steer_request){request.inputs.matrix, request.pushes, request.push_count, request.base,
                           request.method};
    if (status != RA_OK) steer_request_release(out);
    return status;
}

void steer_request_release(steer_request *request) {
    ra_matrix_release(&request->inputs);
    ra_free(request->pushes);
    *request = (steer_request){0};
}
