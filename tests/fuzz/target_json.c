/* JSON bodies of requests, beside cJSON (server/codec/json). The first byte chooses the body that is expected. */
#include "codec/json/neuronpedia.h"
#include "codec/json/requests.h"
#include "codec/json/scan.h"
#include "codec/oip/request.h"
#include "fuzz/fuzz.h"
#include "ra_memory.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

enum { LATENTS = 6, DIMENSIONS = 4, ROWS = 8, BODIES = 13 };

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
    if (!rows) return; /* "\u0069nputs" with more than cJSON decodes */
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

static ra_status parse(unsigned body, const char *string, size_t size, const cJSON *tree, ra_error *err) {
    ra_status status = RA_OK;
    ra_matrix inputs = {0};
    size_t k = 0;
    switch (body) {
    case 0: {
        latents_request out;
        status = json_latents_parse(string, size, LATENTS, ROWS, &out, err);
        if (status == RA_OK) expect_codes(&out.codes);
        latents_request_release(&out);
        break;
    }
    case 1:
        status = json_inputs_parse(string, size, DIMENSIONS, ROWS, &inputs, err);
        if (status == RA_OK && tree) expect_inputs(&inputs, tree);
        break;
    case 2:
        status = json_explain_parse(string, size, DIMENSIONS, ROWS, &inputs, &k, err);
        if (status == RA_OK && tree) expect_inputs(&inputs, tree);
        break;
    case 3: {
        search_request out;
        status = json_search_parse(string, size, DIMENSIONS, ROWS, &out, err);
        search_request_release(&out);
        break;
    }
    case 4: {
        ids_request out;
        status = json_ids_parse(string, size, ROWS, &out, err);
        if (status == RA_OK) fuzz_expect(out.count > 0 && out.count <= ROWS, "a wrong number of ids");
        ids_request_release(&out);
        break;
    }
    case 5: {
        steer_request out;
        status = json_steer_parse(string, size, DIMENSIONS, ROWS, &out, err);
        steer_request_release(&out);
        break;
    }
    case 6:
        status = json_nothing_parse(string, size, err);
        break;
    case 7:
    case 8: {
        neuronpedia_request out;
        status = body == 7 ? json_sae_vector_parse(string, size, &out, err)
                           : json_sae_topk_parse(string, size, &out, err);
        neuronpedia_request_release(&out);
        break;
    }
    case 9: {
        oip_infer_request out;
        status = oip_infer_parse(string, size, size, LATENTS, ROWS, &out, err);
        if (status == RA_OK) expect_codes(&out.codes);
        oip_infer_request_release(&out);
        break;
    }
    case 10: {
        oip_encode_request out;
        status = oip_encode_parse(string, size, size, DIMENSIONS, ROWS, &out, err);
        oip_encode_request_release(&out);
        break;
    }
    case 11: {
        bool ready;
        status = oip_index_parse(string, size, &ready, err);
        break;
    }
    case 12:
        status = oip_control_check(string, size, err);
        break;
    }
    ra_matrix_release(&inputs);
    return status;
}

static void run(const uint8_t *bytes, size_t size) {
    if (size < FUZZ_LEAD) return;
    unsigned body = bytes[0] % BODIES;
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
    ra_status status = parse(body, string, size - FUZZ_LEAD, tree, &err);
    fuzz_expect_error(status, &err);
    /* Without a body, or in the raw form of the protocol, there need be no JSON. */
    if (status == RA_OK && has_json && !(body >= 9 && body <= 12))
        fuzz_expect(valid, "a body was read that is not JSON");
    cJSON_Delete(tree);
    ra_free(string);
}
FUZZ_TARGET(json, FUZZ_JSON, run)
