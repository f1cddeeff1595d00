/* JSON bodies of requests, beside cJSON (server/codec/json). The first byte chooses the body that is expected. */
#include "codec/json/changes.h"
#include "codec/json/compare.h"
#include "codec/json/neuronpedia.h"
#include "codec/json/requests.h"
#include "codec/json/scan.h"
#include "codec/oip/request.h"
#include "fuzz/fuzz.h"
#include "ra_memory.h"
#include "ra_text.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

enum { LATENTS = 6, DIMENSIONS = 4, ROWS = 8 };

/* Whatever the scanner lets pass is JSON to others, too. */
static bool scan_all(const char *body, size_t size) {
    ra_error err = {0};
    json_scan scan;
    json_scan_begin(&scan, body, size, &err);
    if (json_scan_skip(&scan, NULL)) json_scan_end(&scan);
    ra_status status = json_scan_close(&scan);
    fuzz_expect_error(status, &err);
    return status == RA_OK;
}

/* cJSON reads a double, which rounds twice on the way to float32. */
static void expect_near(float ours, double theirs) {
    float other = (float)theirs;
    fuzz_expect(ours == other || nextafterf(ours, other) == other, "cJSON reads another number");
}

static void expect_inputs(const ra_matrix *inputs, const cJSON *tree) {
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(tree, "inputs"), *row = rows ? rows->child : NULL;
    if (!rows) return; /* cJSON has no tree, or reads "\u0069nputs" as another name */
    for (size_t i = 0; i < inputs->rows; i++, row = row->next) {
        fuzz_expect(row, "cJSON reads fewer rows");
        const cJSON *number = row->child;
        for (size_t j = 0; j < inputs->cols; j++, number = number->next) {
            fuzz_expect(number, "cJSON reads fewer numbers");
            expect_near(inputs->data[i * inputs->cols + j], number->valuedouble);
        }
        fuzz_expect(!number, "cJSON reads more numbers");
    }
    fuzz_expect(!row, "cJSON reads more rows");
}

static void expect_codes(const ra_codes *codes) {
    fuzz_expect(codes->rows <= ROWS, "more rows than allowed");
    for (size_t row = 0; row < codes->rows; row++)
        for (size_t e = codes->start[row]; e < codes->start[row + 1]; e++) {
            fuzz_expect(codes->index[e] >= 0 && codes->index[e] < LATENTS, "an index out of range");
            fuzz_expect(e == codes->start[row] || codes->index[e - 1] < codes->index[e],
                        "indices in disorder");
            fuzz_expect(isfinite(codes->value[e]) && codes->value[e] != 0, "a value that is no code");
        }
}

/* ---- the bodies; one that is refused leaves no memory behind -------------------------------------------- */

static ra_status latents(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    latents_request out;
    ra_status status = json_latents_parse(body, size, LATENTS, ROWS, &out, err);
    (void)tree;
    if (status == RA_OK) expect_codes(&out.codes);
    if (status == RA_OK) latents_request_release(&out);
    return status;
}

static ra_status inputs(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    ra_matrix out = {0};
    ra_status status = json_inputs_parse(body, size, DIMENSIONS, ROWS, &out, err);
    if (status == RA_OK) expect_inputs(&out, tree);
    if (status == RA_OK) ra_matrix_release(&out);
    return status;
}

static ra_status explain(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    ra_matrix out = {0};
    size_t k = 0;
    ra_status status = json_explain_parse(body, size, DIMENSIONS, ROWS, &out, &k, err);
    if (status == RA_OK) expect_inputs(&out, tree);
    if (status == RA_OK) ra_matrix_release(&out);
    return status;
}

static ra_status search(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    search_request out;
    ra_status status = json_search_parse(body, size, DIMENSIONS, ROWS, &out, err);
    (void)tree;
    if (status == RA_OK) search_request_release(&out);
    return status;
}

static ra_status ids(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    ids_request out;
    ra_status status = json_ids_parse(body, size, ROWS, &out, err);
    (void)tree;
    if (status == RA_OK) fuzz_expect(out.count > 0 && out.count <= ROWS, "a wrong number of ids");
    if (status == RA_OK) ids_request_release(&out);
    return status;
}

static ra_status steer(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    steer_request out;
    ra_status status = json_steer_parse(body, size, DIMENSIONS, ROWS, &out, err);
    if (status == RA_OK) expect_inputs(&out.inputs, tree);
    if (status == RA_OK) steer_request_release(&out);
    return status;
}

static ra_status edit(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    edit_request out;
    ra_status status = json_edit_parse(body, size, DIMENSIONS, ROWS, &out, err);
    if (status == RA_OK) expect_inputs(&out.inputs, tree);
    if (status == RA_OK) fuzz_expect(out.count <= EDIT_MAX, "more edits than allowed");
    for (size_t i = 0; status == RA_OK && i < out.count; i++)
        fuzz_expect(isfinite(out.edits[i].value), "an edit by a number that is not finite");
    if (status == RA_OK) edit_request_release(&out);
    return status;
}

static ra_status nothing(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    (void)tree;
    return json_nothing_parse(body, size, err);
}

static ra_status sae_vector(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    neuronpedia_request out;
    ra_status status = json_sae_vector_parse(body, size, &out, err);
    (void)tree;
    if (status == RA_OK) neuronpedia_request_release(&out);
    return status;
}

static ra_status sae_topk(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    neuronpedia_request out;
    ra_status status = json_sae_topk_parse(body, size, &out, err);
    (void)tree;
    if (status == RA_OK) neuronpedia_request_release(&out);
    return status;
}

static ra_status oip_infer(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    oip_infer_request out;
    ra_status status = oip_infer_parse(body, size, size, LATENTS, ROWS, &out, err);
    (void)tree;
    if (status == RA_OK) expect_codes(&out.codes);
    if (status == RA_OK) oip_infer_request_release(&out);
    return status;
}

static ra_status oip_encode(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    oip_encode_request out;
    ra_status status = oip_encode_parse(body, size, size, DIMENSIONS, ROWS, &out, err);
    (void)tree;
    if (status == RA_OK) oip_encode_request_release(&out);
    return status;
}

static ra_status oip_index(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    bool ready;
    (void)tree;
    return oip_index_parse(body, size, &ready, err);
}

static ra_status oip_control(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    (void)tree;
    return oip_control_check(body, size, err);
}

static void expect_text(const char *said, size_t most) {
    if (!said) return;
    size_t size = strlen(said);
    fuzz_expect(size <= most && ra_utf8_valid(said, size), "a text is too long, or none");
}

static void expect_changes(const label_changes *changes, size_t most) {
    fuzz_expect(changes->count <= most, "more labels than allowed");
    for (size_t i = 0; i < changes->count; i++) {
        const label_change *change = &changes->items[i];
        expect_text(change->label, LABEL_BYTES);
        expect_text(change->explanation, EXPLANATION_BYTES);
        expect_text(change->source, SOURCE_BYTES);
        fuzz_expect(!isinf(change->score), "a score that is not finite");
    }
}

static ra_status label(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    label_changes out;
    ra_status status = json_label_parse(body, size, &out, err);
    (void)tree;
    if (status == RA_OK) fuzz_expect(out.count == 1 && out.items[0].label, "an atom without its label");
    if (status == RA_OK) expect_changes(&out, 1);
    if (status == RA_OK) label_changes_release(&out);
    return status;
}

static ra_status some_labels(const char *body, size_t size, bool lines, ra_error *err) {
    label_changes out;
    ra_status status = json_labels_parse(body, size, lines, ROWS, &out, err);
    if (status == RA_OK) expect_changes(&out, ROWS);
    if (status == RA_OK) label_changes_release(&out);
    return status;
}

static ra_status labels(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    (void)tree;
    return some_labels(body, size, false, err);
}

static ra_status label_lines(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    (void)tree;
    return some_labels(body, size, true, err);
}

static ra_status list(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    list_change out;
    ra_status status = json_list_parse(body, size, ROWS, &out, err);
    (void)tree;
    if (status == RA_OK) fuzz_expect(out.count <= ROWS, "more atoms than allowed");
    if (status == RA_OK) expect_text(out.description, DESCRIPTION_BYTES);
    if (status == RA_OK) list_change_release(&out);
    return status;
}

static ra_status compare(const char *body, size_t size, const cJSON *tree, ra_error *err) {
    text name = {0};
    ra_status status = json_compare_parse(body, size, &name, err);
    (void)tree;
    if (status == RA_OK) expect_text(name.data, name.size - 1);
    text_release(&name); /* the caller's, whatever happens */
    return status;
}

/* By the first byte of an input: what is added comes last. */
static const struct {
    ra_status (*parse)(const char *body, size_t size, const cJSON *tree, ra_error *err);
    bool maybe_no_json; /* NDJSON, no body, or the raw form of the protocol */
} bodies[] = {{latents, false},    {inputs, false},   {explain, false},   {search, false},
              {ids, false},        {steer, false},    {nothing, false},   {sae_vector, false},
              {sae_topk, false},   {oip_infer, true}, {oip_encode, true}, {oip_index, true},
              {oip_control, true}, {edit, false},     {label, false},     {labels, false},
              {label_lines, true}, {list, false},     {compare, false}};

static void run(const uint8_t *bytes, size_t size) {
    if (size < FUZZ_LEAD) return;
    size_t body = bytes[0] % (sizeof bodies / sizeof *bodies);
    bool has_json = size > FUZZ_LEAD;
    char *string = ra_malloc(size, 1); /* without a NUL, so that reading on is seen */
    fuzz_expect(string, "out of memory");
    memcpy(string, bytes + FUZZ_LEAD, size - FUZZ_LEAD);
    ra_error err = {0};
    bool valid = has_json && scan_all(string, size - FUZZ_LEAD);
    cJSON *tree = NULL;
    if (valid) {
        tree = cJSON_ParseWithLength(string, size - FUZZ_LEAD);
        fuzz_expect(tree || memmem(string, size - FUZZ_LEAD, "\\u0000", 6), "cJSON refuses what we read");
    }
    ra_status status = bodies[body].parse(string, size - FUZZ_LEAD, tree, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK && has_json && !bodies[body].maybe_no_json)
        fuzz_expect(valid, "a body was read that is not JSON");
    cJSON_Delete(tree);
    ra_free(string);
}
FUZZ_TARGET(json, FUZZ_JSON, run)
