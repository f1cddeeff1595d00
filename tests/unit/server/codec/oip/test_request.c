/* Requests of the Open Inference Protocol (server/codec/oip/{request,tensor}.c): what is read from which body,
 * and the sentence for each bad one. */
#include "harness.h"
#include "codec/oip/request.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { K = 6, MAX_ROWS = 4, ALL = -1 };

/* json_size: ALL for a body without binary data. */
static ra_status parse(const char *body, size_t size, int json_size, oip_infer_request *out, ra_error *err) {
    return oip_infer_parse(body, size, json_size == ALL ? size : (size_t)json_size, K, MAX_ROWS, out, err);
}

static const char *show(const ra_codes *codes) {
    static char line[512];
    size_t used = 0;
    for (size_t row = 0; row < codes->rows; row++) {
        used += (size_t)snprintf(line + used, sizeof line - used, "%s", row ? " | " : "");
        for (size_t i = codes->start[row]; i < codes->start[row + 1]; i++)
            used +=
                (size_t)snprintf(line + used, sizeof line - used, "%s%d:%g", i > codes->start[row] ? " " : "",
                                 codes->index[i], (double)codes->value[i]);
    }
    return line;
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

#define LATENTS(shape, data)                                                                                 \
    "{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":" shape ",\"data\":" data "}]}"
#define SPARSE(shape, indices, values)                                                                       \
    "{\"inputs\":[{\"name\":\"indices\",\"datatype\":\"INT64\",\"shape\":" shape ",\"data\":" indices "},"   \
    "{\"name\":\"values\",\"datatype\":\"FP32\",\"shape\":" shape ",\"data\":" values "}]}"

static const struct {
    const char *body, *codes;
} good[] = {
    {LATENTS("[1,6]", "[0,1.5,0,0,-2,0]"), "1:1.5 4:-2"},
    {LATENTS("[1,6]", "[[0,1.5,0,0,-2,0]]"), "1:1.5 4:-2"},
    {LATENTS("[2,6]", "[0,0,0,0,0,1,2,0,0,0,0,0]"), "5:1 | 0:2"},
    {LATENTS("[2,6]", "[[0.0, 0.0, 0.0, 0.0, 0.0, 1],[0,0,0,0,0,0]]"), "5:1 | "},
    {LATENTS("[3,6]", "[0,0,0,0,0,0, 0,0,0,0,0,0, 0,0,0,7,0,0]"), " |  | 3:7"},
    {LATENTS("[1,6]", "[0,0,0,0,0,0]"), ""},
    {SPARSE("[1,2]", "[4,1]", "[2,0.5]"), "1:0.5 4:2"},
    {SPARSE("[2,3]", "[[4,1,-1],[-1,-1,-1]]", "[[2,0.5,9],[1,1,1]]"), "1:0.5 4:2 | "},
    {SPARSE("[2,2]", "[5,0,-1,2]", "[1,0,3,4]"), "5:1 | 2:4"},
    {SPARSE("[2,0]", "[]", "[[],[]]"), " | "},
    /* any order, unknown members, nulls */
    {"{\"outputs\":null,\"model_name\":\"m\",\"inputs\":[{\"data\":[1,0,0,0,0,0],\"extra\":[{}],"
     "\"parameters\":null,"
     "\"shape\":[1,6],\"datatype\":\"FP64\",\"name\":\"latents\"}],\"id\":null,\"parameters\":{\"priority\":"
     "1,\"x\":\"y\"}}",
     "0:1"},
};

START_TEST(test_json_becomes_codes) {
    oip_infer_request request;
    ra_ok(parse(good[_i].body, strlen(good[_i].body), ALL, &request, &err));
    ck_assert_str_eq(show(&request.codes), good[_i].codes);
    ck_assert_uint_eq(request.codes.latents, K);
    ck_assert(!request.binary);
    ck_assert_ptr_null(request.id.raw);
    oip_infer_request_release(&request);
}
END_TEST

static const struct {
    const char *body;
    ra_status code;
    const char *part;
} bad[] = {
    {"", RA_ERR_SHAPE, "raw body"}, /* a size of 0 is the raw form */
    {"x", RA_ERR_FORMAT, "not JSON"},
    {"[]", RA_ERR_FORMAT, "the body is an array"},
    {"{}", RA_ERR_ARGUMENT, "latents is missing"},
    {"{\"inputs\":[]}", RA_ERR_ARGUMENT, "latents is missing"},
    {"{\"inputs\":{}}", RA_ERR_FORMAT, "inputs is an object"},
    {"{\"inputs\":[1]}", RA_ERR_FORMAT, "an input is a number"},
    {"{\"inputs\":[{}]}", RA_ERR_FORMAT, "no member \"name\""},
    {"{\"inputs\":[{\"name\":\"x\"}]}", RA_ERR_ARGUMENT, "no input \"x\""},
    {"{\"inputs\":[{\"name\":\"latents\"}]}", RA_ERR_FORMAT, "\"datatype\""},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\"}]}", RA_ERR_FORMAT, "\"shape\""},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"BYTES\"}]}", RA_ERR_DTYPE, "\"BYTES\""},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"INT64\",\"shape\":[1,6],\"data\":[0]}]}",
     RA_ERR_DTYPE, "FP32, FP16"},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP16\",\"shape\":[1,6],\"data\":[0,0,0,0,0,0]}]}",
     RA_ERR_DTYPE, "binary"},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[1,6]}]}", RA_ERR_FORMAT, "neither"},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[1,6],\"parameters\":{\"binary_data_"
     "size\":24}}]}",
     RA_ERR_SHAPE, "0 bytes are left"},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[1,6],\"data\":[0],\"parameters\":{"
     "\"binary_data_size\":24}}]}",
     RA_ERR_SHAPE, "1 numbers"},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[1,6],\"parameters\":{\"binary_data_"
     "size\":-1}}]}",
     RA_ERR_SHAPE, "-1"},
    {"{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[1,6],\"parameters\":{"
     "\"shared_memory_region\":\"r\"}}]}",
     RA_ERR_UNSUPPORTED, "shared_memory_region"},
    {LATENTS("[6]", "[0,0,0,0,0,0]"), RA_ERR_SHAPE, "two"},
    {LATENTS("[1,1,6]", "[0,0,0,0,0,0]"), RA_ERR_SHAPE, "3 numbers"},
    {LATENTS("[-1,6]", "[0,0,0,0,0,0]"), RA_ERR_SHAPE, "-1"},
    {LATENTS("[1,5]", "[0,0,0,0,0]"), RA_ERR_SHAPE, "6 latents"},
    {LATENTS("[0,6]", "[]"), RA_ERR_SHAPE, "no rows"},
    {LATENTS("[5,6]", "[]"), RA_ERR_TOO_LARGE, "at most 4"},
    {LATENTS("[1,6]", "[0,0,0,0,0]"), RA_ERR_SHAPE, "5 numbers"},
    {LATENTS("[1,6]", "[0,0,0,0,0,0,7]"), RA_ERR_SHAPE, "7 numbers"},
    {LATENTS("[1,6]", "[[0,0,0,0,0,0,7]]"), RA_ERR_SHAPE, "latents[0] has 7"},
    {LATENTS("[2,6]", "[[0,0,0,0,0,0,0,0,0,0,0,0]]"), RA_ERR_SHAPE, "latents[0] has 12"},
    {LATENTS("[2,6]", "[[0,0,0,0,0,0]]"), RA_ERR_SHAPE, "1 rows"},
    {LATENTS("[1,6]", "[[0,0,0,0,0,0],1]"), RA_ERR_FORMAT, "latents[1] is a number"},
    {LATENTS("[1,6]", "[0,0,0,0,0,NaN]"), RA_ERR_NOT_FINITE, "NaN"},
    {LATENTS("[1,6]", "[0,0,0,0,0,1e39]"), RA_ERR_NOT_FINITE, "latents[0][5]"},
    {LATENTS("[1,6]", "[0,0,0,0,0,\"1\"]"), RA_ERR_FORMAT, "a string"},
    {LATENTS("[1,6]", "7"), RA_ERR_FORMAT, "latents is a number"},
    {SPARSE("[1,1]", "[6]", "[1]"), RA_ERR_ARGUMENT, "indices[0][0] is 6"},
    {SPARSE("[1,1]", "[-2]", "[1]"), RA_ERR_ARGUMENT, "is -2"},
    {SPARSE("[1,1]", "[0.5]", "[1]"), RA_ERR_ARGUMENT, "whole number"},
    {SPARSE("[1,2]", "[3,3]", "[1,2]"), RA_ERR_ARGUMENT, "has the index 3 twice"},
    {SPARSE("[1,9999999999]", "[3]", "[1]"), RA_ERR_SHAPE, "less data"},
    {SPARSE("[4,9223372036854775807]", "[3]", "[1]"), RA_ERR_SHAPE, "less data"},
    {"{\"inputs\":[{\"name\":\"indices\",\"datatype\":\"INT32\",\"shape\":[1,1],\"data\":[1]}]}",
     RA_ERR_ARGUMENT, "values is missing"},
    {"{\"inputs\":[{\"name\":\"indices\",\"datatype\":\"INT32\",\"shape\":[1,1],\"data\":[1]},{\"name\":"
     "\"values\","
     "\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2]}]}",
     RA_ERR_SHAPE, "[1, 1]"},
    {"{\"inputs\":[{\"name\":\"indices\",\"datatype\":\"INT32\",\"shape\":[1,1],\"data\":[1]},{\"name\":"
     "\"latents\","
     "\"datatype\":\"FP32\",\"shape\":[1,6],\"data\":[0,0,0,0,0,1]}]}",
     RA_ERR_ARGUMENT, "cannot be combined"},
    {"{\"inputs\":[{\"name\":\"indices\",\"datatype\":\"INT32\",\"shape\":[1,1],\"data\":[1]},{\"name\":"
     "\"indices\"}]}",
     RA_ERR_ARGUMENT, "twice"},
    {"{\"id\":7}", RA_ERR_FORMAT, "id is a number"},
    {"{\"parameters\":[]}", RA_ERR_FORMAT, "parameters is an array"},
    {"{\"parameters\":{\"x\":[1]}}", RA_ERR_FORMAT, "x is an array"},
    {"{\"parameters\":{\"binary_data_output\":1}}", RA_ERR_FORMAT, "binary_data_output is a number"},
    {"{\"outputs\":[{}]}", RA_ERR_FORMAT, "an output has no member"},
    {"{\"outputs\":[{\"name\":\"y\"}]}", RA_ERR_ARGUMENT, "no output \"y\""},
    {"{\"outputs\":[{\"name\":\"reconstructions\"},{\"name\":\"reconstructions\"}]}", RA_ERR_ARGUMENT,
     "twice"},
    {"{\"outputs\":[{\"name\":\"reconstructions\",\"parameters\":{\"classification\":3}}]}",
     RA_ERR_UNSUPPORTED, "classification"},
    {"{\"outputs\":[{\"name\":\"reconstructions\",\"parameters\":{\"shared_memory_offset\":3}}]}",
     RA_ERR_UNSUPPORTED, "shared_memory_offset"},
};

START_TEST(test_bad_json_is_refused) {
    oip_infer_request request;
    ra_fails(parse(bad[_i].body, strlen(bad[_i].body), ALL, &request, &err), bad[_i].code, bad[_i].part);
    ck_assert_ptr_null(request.codes.start);
}
END_TEST

START_TEST(test_the_id_is_kept_as_it_is_written) {
    static const char body[] =
        "{\"id\":\"a\\\"\\u00e9\",\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\","
        "\"shape\":[1,6],\"data\":[0,0,0,0,0,0]}]}";
    oip_infer_request request;
    ra_ok(parse(body, sizeof body - 1, ALL, &request, &err));
    ck_assert_uint_eq(request.id.size, strlen("a\\\"\\u00e9"));
    ck_assert_int_eq(strncmp(request.id.raw, "a\\\"\\u00e9", request.id.size), 0);
    oip_infer_request_release(&request);
}
END_TEST

START_TEST(test_the_output_is_binary_when_asked) {
    static const struct {
        const char *rest;
        bool binary;
    } cases[] = {
        {"", false},
        {",\"parameters\":{\"binary_data_output\":true}", true},
        {",\"outputs\":[{\"name\":\"reconstructions\",\"parameters\":{\"binary_data\":true}}]", true},
        {",\"parameters\":{\"binary_data_output\":true},\"outputs\":[{\"name\":\"reconstructions\","
         "\"parameters\":{\"binary_data\":false,\"classification\":0}}]",
         false},
        {",\"outputs\":[]", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[512];
        oip_infer_request request;
        snprintf(body, sizeof body,
                 "{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[1,6],\"data\":"
                 "[0,0,0,0,0,0]}]%s}",
                 cases[i].rest);
        ra_ok(parse(body, strlen(body), ALL, &request, &err));
        ck_assert_int_eq(request.binary, cases[i].binary);
        oip_infer_request_release(&request);
    }
}
END_TEST

/* ---- bytes --------------------------------------------------------------------------------------------- */

/* A body of JSON followed by bytes; returns its size, *json_size <- that of the JSON. */
static size_t join(char *body, int *json_size, const char *json, const void *bytes, size_t size) {
    *json_size = (int)strlen(json);
    memcpy(body, json, (size_t)*json_size);
    memcpy(body + *json_size, bytes, size);
    return (size_t)*json_size + size;
}

static const char *dense_json(const char *datatype, size_t size) {
    static char json[256];
    snprintf(json, sizeof json,
             "{\"inputs\":[{\"name\":\"latents\",\"datatype\":\"%s\",\"shape\":[2,6],\"parameters\":{"
             "\"binary_data_size\":%zu}}]}",
             datatype, size);
    return json;
}

START_TEST(test_bytes_of_every_float_type) {
    static const float values[12] = {0, 1.5f, 0, 0, -2, 0, 0, 0, 0, 0, 0, 4};
    static const struct {
        const char *name;
        ra_dtype dtype;
    } types[] = {{"FP32", RA_F32}, {"FP16", RA_F16}, {"BF16", RA_BF16}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (size_t shift = 0; shift < 8; shift++) { /* at every alignment */
            char body[1024], raw[64], json[512] = "";
            int json_size;
            size_t size = 12 * ra_dtype_size(types[i].dtype);
            ra_convert_from_f32(types[i].dtype, values, raw, 12);
            snprintf(json, sizeof json, "%*s%s", (int)shift, "", dense_json(types[i].name, size));
            size_t whole = join(body, &json_size, json, raw, size);
            oip_infer_request request;
            ra_ok(parse(body, whole, json_size, &request, &err));
            ck_assert_str_eq(show(&request.codes), "1:1.5 4:-2 | 5:4");
            oip_infer_request_release(&request);
        }
    double wide[12] = {[3] = 0.25, [6] = 1e300};
    char body[512];
    int json_size;
    oip_infer_request request;
    size_t whole = join(body, &json_size, dense_json("FP64", sizeof wide), wide, sizeof wide);
    ra_fails(parse(body, whole, json_size, &request, &err), RA_ERR_NOT_FINITE, "latents[1][0]");
    wide[6] = 8;
    whole = join(body, &json_size, dense_json("FP64", sizeof wide), wide, sizeof wide);
    ra_ok(parse(body, whole, json_size, &request, &err));
    ck_assert_str_eq(show(&request.codes), "3:0.25 | 0:8");
    oip_infer_request_release(&request);
}
END_TEST

START_TEST(test_bytes_come_in_the_order_of_the_inputs) {
    struct {
        float values[4];
        int64_t indices[4];
    } bytes = {{1, 2, 3, NAN}, {5, 0, 2, -1}};
    static const char json[] =
        "{\"inputs\":[{\"name\":\"values\",\"datatype\":\"FP32\",\"shape\":[2,2],\"parameters\":{"
        "\"binary_data_size\":16}},{\"name\":\"indices\",\"datatype\":\"INT64\",\"shape\":[2,2],"
        "\"parameters\":{"
        "\"binary_data_size\":32}}]}";
    char body[512];
    int json_size;
    oip_infer_request request;
    size_t whole = join(body, &json_size, json, &bytes, sizeof bytes);
    ra_fails(parse(body, whole, json_size, &request, &err), RA_ERR_NOT_FINITE, "values[1][1]");
    bytes.values[3] = 9; /* padding */
    whole = join(body, &json_size, json, &bytes, sizeof bytes);
    ra_ok(parse(body, whole, json_size, &request, &err));
    ck_assert_str_eq(show(&request.codes), "0:2 5:1 | 2:3");
    oip_infer_request_release(&request);
    bytes.indices[1] = 6;
    whole = join(body, &json_size, json, &bytes, sizeof bytes);
    ra_fails(parse(body, whole, json_size, &request, &err), RA_ERR_ARGUMENT, "indices[0][1] is 6");
}
END_TEST

START_TEST(test_byte_counts_have_to_fit) {
    float values[13] = {0};
    char body[512];
    int json_size;
    oip_infer_request request;
    size_t whole = join(body, &json_size, dense_json("FP32", 48), values, 44);
    ra_fails(parse(body, whole, json_size, &request, &err), RA_ERR_SHAPE, "44 bytes are left");
    whole = join(body, &json_size, dense_json("FP32", 48), values, 52);
    ra_fails(parse(body, whole, json_size, &request, &err), RA_ERR_SHAPE, "4 bytes after");
    whole = join(body, &json_size, dense_json("FP32", 44), values, 44);
    ra_fails(parse(body, whole, json_size, &request, &err), RA_ERR_SHAPE, "44 bytes of data");
    whole = join(body, &json_size, dense_json("FP16", 48), values, 48);
    ra_fails(parse(body, whole, json_size, &request, &err), RA_ERR_SHAPE, "say 24");
    values[7] = INFINITY;
    whole = join(body, &json_size, dense_json("FP32", 48), values, 48);
    ra_fails(parse(body, whole, json_size, &request, &err), RA_ERR_NOT_FINITE, "latents[1][1]");
}
END_TEST

START_TEST(test_a_raw_body_is_latents) {
    float values[31] = {[1] = 1.5f, [11] = 4};
    oip_infer_request request;
    ra_ok(parse((const char *)values, 48, 0, &request, &err));
    ck_assert_str_eq(show(&request.codes), "1:1.5 | 5:4");
    ck_assert(request.binary);
    oip_infer_request_release(&request);
    ra_fails(parse((const char *)values, 47, 0, &request, &err), RA_ERR_SHAPE, "47 bytes");
    ra_fails(parse((const char *)values, 120, 0, &request, &err), RA_ERR_TOO_LARGE, "5 rows");
}
END_TEST

static ra_status parse_inputs(const char *body, oip_encode_request *out, ra_error *err) {
    return oip_encode_parse(body, strlen(body), strlen(body), 3, MAX_ROWS, out, err);
}

#define ROWS(shape, data)                                                                                    \
    "{\"inputs\":[{\"name\":\"inputs\",\"datatype\":\"FP32\",\"shape\":" shape ",\"data\":" data "}]"

START_TEST(test_the_model_that_encodes_takes_inputs) {
    static const struct {
        const char *body;
        ra_status code;
        const char *message;
    } refused[] = {
        {ROWS("[1,2]", "[1,2]") "}", RA_ERR_SHAPE,
         "has the shape [1, 2], but the dictionary has 3 dimensions"},
        {ROWS("[5,3]", "[1,2,3,1,2,3,1,2,3,1,2,3,1,2,3]") "}", RA_ERR_TOO_LARGE,
         "the input inputs has 5 rows"},
        {"{\"inputs\":[]}", RA_ERR_ARGUMENT, "the input inputs is missing"},
        {"{\"inputs\":[{\"name\":\"latents\"}]}", RA_ERR_ARGUMENT,
         "there is no input \"latents\"; expected inputs"},
        {ROWS("[1,3]", "[1,2,3]") ",\"outputs\":[{\"name\":\"codes\"}]}", RA_ERR_ARGUMENT,
         "there is no output \"codes\"; expected indices or values"},
        {ROWS("[1,3]", "[1,2,3]") ",\"outputs\":[{\"name\":\"values\"},{\"name\":\"values\"}]}",
         RA_ERR_ARGUMENT, "the output values is requested twice"},
        {ROWS("[1,3]", "[1,2,3]") ",\"outputs\":[{\"parameters\":{\"binary_data\":true}}]}", RA_ERR_FORMAT,
         "an output has no member \"name\""},
    };
    static const float expected[] = {1, 2, 3, 4, 5, 6};
    oip_encode_request request;
    ra_ok(parse_inputs(ROWS("[2,3]", "[[1,2,3],[4,5,6]]") ",\"id\":\"x\"}", &request, &err));
    ck_assert_uint_eq(request.inputs.rows, 2);
    ck_assert_mem_eq(request.inputs.data, expected, sizeof expected);
    ck_assert(request.wanted[0] && request.wanted[1] && !request.binary[0] && !request.binary[1]);
    ck_assert_uint_eq(request.id.size, 1);
    oip_encode_request_release(&request);
    ra_ok(parse_inputs(
        ROWS("[1,3]", "[1,2,3]") ",\"parameters\":{\"binary_data_output\":true},\"outputs\":[{\"parameters\":"
                                 "{\"binary_data\":false},\"name\":\"values\"}]}",
        &request, &err));
    ck_assert(!request.wanted[0] && request.wanted[1] && request.binary[0] && !request.binary[1]);
    oip_encode_request_release(&request);
    ra_ok(
        oip_encode_parse((const char *)expected, sizeof expected, 0, 3, MAX_ROWS, &request, &err)); /* raw */
    ck_assert_uint_eq(request.inputs.rows, 2);
    ck_assert(request.binary[0] && request.binary[1]);
    oip_encode_request_release(&request);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        ra_fails(parse_inputs(refused[i].body, &request, &err), refused[i].code, refused[i].message);
    oip_infer_request other;
    ra_fails(parse(ROWS("[1,3]", "[1,2,3]") "}", strlen(ROWS("[1,3]", "[1,2,3]") "}"), ALL, &other, &err),
             RA_ERR_ARGUMENT, "there is no input \"inputs\"; expected latents, or indices and values");
}
END_TEST

START_TEST(test_the_length_of_the_json) {
    static const char *const wrong[] = {"", "x", "-1", "11", "1.0", "1 ", "99999999999999999999"};
    size_t size;
    ra_ok(oip_json_size(NULL, 10, &size, &err));
    ck_assert_uint_eq(size, 10);
    ra_ok(oip_json_size("10", 10, &size, &err));
    ra_ok(oip_json_size("0", 10, &size, &err));
    ck_assert_uint_eq(size, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ra_fails(oip_json_size(wrong[i], 10, &size, &err), RA_ERR_FORMAT, "Inference-Header-Content-Length");
    ra_fails(oip_json_size(NULL, 0, &size, &err), RA_ERR_FORMAT, "empty");
}
END_TEST

/* ---- the repository, memory, mutations ----------------------------------------------------------------- */

START_TEST(test_repository_bodies) {
    bool ready = true;
    ra_ok(oip_index_parse("", 0, &ready, &err));
    ck_assert(!ready);
    ra_ok(oip_index_parse("{\"ready\":true}", 14, &ready, &err));
    ck_assert(ready);
    ra_fails(oip_index_parse("{\"ready\":1}", 11, &ready, &err), RA_ERR_FORMAT, "ready is a number");
    ra_fails(oip_index_parse("[", 1, &ready, &err), RA_ERR_FORMAT, "not JSON");
    static const char *const fine[] = {"", "{}", "{\"parameters\":{\"unload_dependents\":false}}",
                                       "{\"parameters\":{}}"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        ra_ok(oip_control_check(fine[i], strlen(fine[i]), &err));
    static const char *const refused[] = {"{\"parameters\":{\"config\":\"{}\"}}",
                                          "{\"parameters\":{\"file:1/m.onnx\":\"AA==\"}}"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        ra_fails(oip_control_check(refused[i], strlen(refused[i]), &err), RA_ERR_UNSUPPORTED, "not offered");
}
END_TEST

START_TEST(test_any_allocation_may_fail) {
    for (size_t body = 0; body < sizeof good / sizeof *good; body++)
        for (size_t n = 1;; n++) {
            oip_infer_request request;
            ra_error err = {0};
            ra_memory_fail_at(n);
            ra_status status = parse(good[body].body, strlen(good[body].body), ALL, &request, &err);
            size_t asked = ra_memory_fail_at(0);
            oip_infer_request_release(&request);
            if (asked < n) {
                ck_assert_int_eq(status, RA_OK);
                break;
            }
            ck_assert_msg(status == RA_ERR_MEMORY, "%s, allocation %zu: %s", good[body].body, n, err.message);
        }
}
END_TEST

/* Changing or cutting any byte leads to an answer, never to a crash; the sanitizers watch. */
START_TEST(test_mutations_are_answered) {
    static const char letters[] = "0123456789-.,:[]{}\"eE \\ntf\xff";
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        for (int round = 0; round < 400; round++) {
            char body[512];
            size_t size = strlen(good[i].body);
            memcpy(body, good[i].body, size);
            for (int change = 0; change < 3; change++) {
                state = state * 1664525u + 1013904223u;
                body[(state >> 8) % size] = letters[(state >> 24) % (sizeof letters - 1)];
            }
            if (round % 4 == 0) size = (state >> 4) % size;
            oip_infer_request request;
            ra_error err = {0};
            ra_status status = parse(body, size, round % 5 ? ALL : (int)(size / 2), &request, &err);
            ck_assert(status == RA_OK || err.message[0]);
            oip_infer_request_release(&request);
        }
}
END_TEST

TEST_CASES(oip_request, test_the_id_is_kept_as_it_is_written, test_the_output_is_binary_when_asked,
           test_bytes_of_every_float_type, test_bytes_come_in_the_order_of_the_inputs,
           test_byte_counts_have_to_fit, test_a_raw_body_is_latents, test_the_model_that_encodes_takes_inputs,
           test_the_length_of_the_json, test_repository_bodies, test_any_allocation_may_fail,
           test_mutations_are_answered)
TEST_CASES_LOOP(oip_request_good, 0, sizeof good / sizeof *good, test_json_becomes_codes)
TEST_CASES_LOOP(oip_request_bad, 0, sizeof bad / sizeof *bad, test_bad_json_is_refused)
