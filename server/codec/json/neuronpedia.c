#include "codec/json/neuronpedia.h"
#include "codec/json/object.h"
#include "app/json.h"
#include "ra_memory.h"

#include <string.h>

/* ---- members ------------------------------------------------------------------------------------------- */

static size_t characters(const text *utf8) {
    size_t count = 0;
    for (size_t i = 0; i < utf8->size; i++) count += (utf8->data[i] & 0xc0) != 0x80;
    return count;
}

static bool read_name(json_scan *scan, const char *what, char name[NEURONPEDIA_NAME_SIZE]) {
    json_string string;
    text decoded = {0};
    if (!json_scan_string(scan, what, &string)) return false;
    json_string_decode(string, &decoded);
    bool fits = characters(&decoded) <= NEURONPEDIA_NAME_CHARACTERS,
         whole = !memchr(decoded.size ? decoded.data : "", 0, decoded.size);
    if (fits && whole && decoded.size) memcpy(name, decoded.data, decoded.size);
    if (fits) name[decoded.size] = '\0';
    bool failed = decoded.failed;
    text_release(&decoded);
    if (failed) return json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: a name");
    return (fits && whole) ||
           json_scan_fail(scan, RA_ERR_ARGUMENT, "%s is not a name of at most %d characters without a NUL",
                          what, NEURONPEDIA_NAME_CHARACTERS);
}

static bool read_whole(json_scan *scan, const char *what, int64_t least, size_t *value) {
    int64_t number = 0;
    if (!json_scan_i64(scan, what, &number)) return false;
    if (number < least)
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "%s is %lld, expected at least %lld", what, (long long)number,
                                   (long long)least);
    *value = (size_t)number;
    return true;
}

static bool read_model(json_scan *scan, void *feature) {
    return read_name(scan, "model", ((neuronpedia_feature *)feature)->model);
}

static bool read_source(json_scan *scan, void *feature) {
    return read_name(scan, "source", ((neuronpedia_feature *)feature)->source);
}

static bool read_index(json_scan *scan, void *feature) {
    return read_whole(scan, "index", 0, &((neuronpedia_feature *)feature)->index);
}

/* `of` is the first member of a request, so that its readers can read it in a request. */
_Static_assert(offsetof(neuronpedia_request, of) == 0, "a request begins with its feature");

static const json_member feature_members[] = {
    {"model", read_model, false}, {"source", read_source, false}, {"index", read_index, false}};

static const char feature_wanted[] = "{\"model\": \"...\", \"source\": \"...\", \"index\": 5}";

static bool is_null(json_scan *scan) {
    return json_scan_peek(scan) == JSON_NULL && json_scan_skip(scan, NULL);
}

static bool read_feature(json_scan *scan, void *target) {
    neuronpedia_request *request = target;
    if (is_null(scan)) return true;
    request->has_feature = true;
    return json_object_read(scan, "feature", feature_wanted, feature_members, 3, &request->feature);
}

static bool read_vector(json_scan *scan, void *target) {
    enum { FIRST = 256 };
    neuronpedia_request *request = target;
    json_position position = {.name = "vector"};
    size_t capacity = 0;
    float value;
    if (is_null(scan)) return true;
    if (!json_scan_expect(scan, JSON_ARRAY, "vector", "an array of numbers")) return false;
    request->has_vector = true;
    json_scan_array(scan);
    while (json_scan_next_f32(scan, &position, &value)) {
        if (request->dimensions == capacity) {
            capacity = capacity ? 2 * capacity : FIRST;
            float *grown = ra_realloc(request->vector, capacity, sizeof *grown);
            if (!grown) return json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: %zu numbers", capacity);
            request->vector = grown;
        }
        request->vector[request->dimensions++] = value;
        position.column++;
    }
    return scan->status == RA_OK;
}

static bool read_results(json_scan *scan, void *target) {
    return read_whole(scan, "num_results", 1, &((neuronpedia_request *)target)->results);
}

static bool read_camel_results(json_scan *scan, void *target) {
    ((neuronpedia_request *)target)->camel_case = true;
    return read_whole(scan, "numResults", 1, &((neuronpedia_request *)target)->results);
}

/* ---- bodies -------------------------------------------------------------------------------------------- */

ra_status json_sae_vector_parse(const char *body, size_t size, neuronpedia_request *out, ra_error *err) {
    *out = (neuronpedia_request){0};
    return json_body_read(body, size, feature_wanted, feature_members, 3, out, err);
}

static ra_status fail_results(ra_error *err) {
    RA_FAIL_FACTS(err, RA_ERR_FORMAT, (.kind = PROBLEM_MISSING_PARAMETER, .where = "/num_results"),
                  "the body has no member \"num_results\"");
}

static ra_status fail_feature_or_vector(ra_error *err) {
    RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.kind = PROBLEM_CONFLICTING_PARAMETERS),
                  "exactly one of feature or vector must be provided");
}

ra_status json_sae_topk_parse(const char *body, size_t size, neuronpedia_request *out, ra_error *err) {
    static const json_member members[] = {
        {"model", read_model, false},        {"source", read_source, false},
        {"feature", read_feature, true},     {"vector", read_vector, true},
        {"num_results", read_results, true}, {"numResults", read_camel_results, true}};
    ra_status status;
    *out = (neuronpedia_request){0};
    RA_TRY_OUT(status, json_body_read(body, size,
                                      "{\"feature\": {...} or \"vector\": [...], \"model\": \"...\", "
                                      "\"source\": \"...\", \"num_results\": 10}",
                                      members, sizeof members / sizeof *members, out, err));
    if (out->results == 0) RA_TRY_OUT(status, fail_results(err));
    if (out->has_feature == out->has_vector) RA_TRY_OUT(status, fail_feature_or_vector(err));
out:
    if (status != RA_OK) neuronpedia_request_release(out);
    return status;
}

void neuronpedia_request_release(neuronpedia_request *request) {
    ra_free(request->vector);
    *request = (neuronpedia_request){0};
}

void json_neuronpedia_feature(text *out, const char *key, const neuronpedia_feature *feature) {
    json_object(out, key);
    json_text(out, "model", feature->model);
    json_text(out, "source", feature->source);
    json_count(out, "index", feature->index);
    json_object_end(out);
}
