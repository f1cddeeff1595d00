/* Bodies in JSON, good and malformed (server/codec/json/requests/, server/codec/json/{filter,object,string}.c,
 * server/codec/sort_row.c). */
#include "harness.h"
#include "codec/json/requests.h"
#include "app/numbers.h"
#include "ra_memory.h"
#include "ra_model.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

enum { K = 8, D = 3, ROWS = 4 };

/* ---- the three requests, from text; a failure must leave nothing allocated ----------------------------- */

static ra_status parse_latents(const char *body, latents_request *out, ra_error *err) {
    return json_latents_parse(body, strlen(body), K, ROWS, out, err);
}

static ra_status latents(const char *body, ra_error *err) {
    latents_request out;
    ra_status status = parse_latents(body, &out, err);
    if (status != RA_OK) ck_assert(!out.codes.start && !out.codes.index && !out.codes.value && !out.rows);
    latents_request_release(&out);
    return status;
}

static ra_status inputs(const char *body, ra_error *err) {
    ra_matrix out;
    ra_status status = json_inputs_parse(body, strlen(body), D, ROWS, &out, err);
    if (status != RA_OK) ck_assert(!out.data && !out.rows);
    ra_matrix_release(&out);
    return status;
}

static ra_status search(const char *body, ra_error *err) {
    search_request out;
    ra_status status = json_search_parse(body, strlen(body), D, ROWS, &out, err);
    if (status != RA_OK) ck_assert(!out.vectors.data && !out.k);
    search_request_release(&out);
    return status;
}

/* ---- good bodies --------------------------------------------------------------------------------------- */

static void check_codes(const latents_request *request, const float *dense /* [rows, K] */) {
    float got[ROWS * K];
    ck_assert_uint_le(request->rows, ROWS);
    ck_assert_uint_eq(request->codes.rows, request->rows);
    ck_assert_uint_eq(request->codes.latents, K);
    ck_assert_uint_ge(request->codes.row_capacity, request->rows + 1);
    ck_assert_uint_ge(request->codes.entry_capacity, ra_codes_entries(&request->codes));
    for (size_t e = 0; e < ra_codes_entries(&request->codes); e++) ck_assert(request->codes.value[e] != 0);
    for (size_t row = 0; row < request->rows; row++)
        for (size_t e = request->codes.start[row] + 1; e < request->codes.start[row + 1]; e++)
            ck_assert_int_lt(request->codes.index[e - 1], request->codes.index[e]);
    ra_codes_to_dense(&request->codes, got);
    ck_assert_mem_eq(got, dense, request->rows * K * sizeof *got);
}

START_TEST(test_latents_of_both_forms_become_the_same_codes) {
    static const float expected[2][K] = {{0, 0, 1.5f, 0, 0, -2e-3f, 0, 0}, {7, 0, 0, 0, 0, 0, 0, 3}};
    static const struct {
        const char *body;
        size_t dense_entries;
    } cases[] = {
        {"{\"latents\":[[0,0,1.5,0,0,-2e-3,0,0],[7,0,0,0,0,0,0,3]]}", 2 * K},
        {"{\"latents\":[[0.0, 0.0, 1.5, 0.0, 0.0, -0.002, 0.0, 0.0], [7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "
         "3.0]]}",
         2 * K},
        {" { \"latents\" : [ [ 0 , -0.0 , 15e-1 , 0e5 , 0 , -2e-3 , 1e-99 , 0 ] , [ 7 , 0 , 0 , 0 , 0 , 0 , "
         "0 , 3 ] ] } ",
         2 * K},
        {"{\"latents\":{\"indices\":[[2,5],[0,7]],\"values\":[[1.5,-2e-3],[7,3]]}}", 0},
        {"{\"latents\":{\"values\":[[-2e-3,1.5],[3,7]],\"indices\":[[5,2],[7,0]]}}", 0},
        {"{\"latents\":{\"indices\":[[7,5,3,2,1,0],[0,1,7]],\"values\":[[0,-2e-3,0.0,1.5,-0.0,0],[7,1e-99,3]]"
         "}}",
         0},
        {"{\"\\u006catents\":{\"indices\":[[2,5],[0,7]],\"values\":[[1.5,-2e-3],[7,3]]}}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        latents_request request;
        ra_ok(parse_latents(cases[i].body, &request, &err));
        ck_assert_uint_eq(request.rows, 2);
        ck_assert_uint_eq(request.dense_entries, cases[i].dense_entries);
        check_codes(&request, expected[0]);
        latents_request_release(&request);
        ck_assert_ptr_null(request.codes.start);
    }
}
END_TEST

START_TEST(test_a_row_without_latents_is_a_row) {
    static const float zeros[2 * K];
    latents_request request;
    ra_ok(parse_latents("{\"latents\":{\"indices\":[[],[]],\"values\":[[],[]]}}", &request, &err));
    ck_assert_uint_eq(request.rows, 2);
    check_codes(&request, zeros);
    latents_request_release(&request);
    ra_ok(parse_latents("{\"latents\":[[0,0,0,0,0,0,0,0]]}", &request, &err));
    ck_assert_uint_eq(request.rows, 1);
    check_codes(&request, zeros);
    latents_request_release(&request);
}
END_TEST

START_TEST(test_large_random_latents_survive_in_any_order) {
    enum { LATENTS = 3000, ACTIVE = 400, BATCH = 5 };
    static float dense[BATCH * LATENTS];
    ra_random random;
    ra_random_seed(&random, 5);
    text sparse = {0}, full = {0}, values = {0};
    text_string(&sparse, "{\"latents\":{\"indices\":[");
    text_string(&full, "{\"latents\":[");
    for (size_t row = 0; row < BATCH; row++) {
        uint64_t order[LATENTS];
        float *z = dense + row * LATENTS;
        ra_random_permutation(&random, order, LATENTS);
        int32_t index[ACTIVE];
        float value[ACTIVE];
        for (size_t i = 0; i < ACTIVE; i++) {
            index[i] = (int32_t)order[i];
            z[index[i]] = value[i] = (float)ra_random_unit(&random) + 1;
        }
        text_string(&sparse, row ? "," : "");
        text_string(&full, row ? "," : "");
        text_string(&values, row ? "," : "");
        text_i32_array(&sparse, index, ACTIVE);
        text_f32_array(&values, value, ACTIVE);
        text_f32_array(&full, z, LATENTS);
    }
    text_format(&sparse, "],\"values\":[%.*s]}}", (int)values.size, values.data);
    text_string(&full, "]}");
    for (int form = 0; form < 2; form++) {
        const text *body = form ? &sparse : &full;
        latents_request request;
        static float got[BATCH * LATENTS];
        ra_ok(json_latents_parse(body->data, body->size, LATENTS, BATCH, &request, &err));
        ck_assert_uint_eq(ra_codes_entries(&request.codes), BATCH * ACTIVE);
        ra_codes_to_dense(&request.codes, got);
        ck_assert_mem_eq(got, dense, sizeof dense);
        latents_request_release(&request);
    }
    text_release(&sparse);
    text_release(&full);
    text_release(&values);
}
END_TEST

START_TEST(test_inputs_become_a_matrix) {
    ra_matrix matrix;
    static const char body[] = "{\"inputs\": [[1, -2.5, 3e2], [0.1, 0, -0.0]]}";
    static const float expected[] = {1, -2.5f, 300, 0.1f, 0, -0.0f};
    ra_ok(json_inputs_parse(body, sizeof body - 1, D, ROWS, &matrix, &err));
    ck_assert_uint_eq(matrix.rows, 2);
    ck_assert_uint_eq(matrix.cols, D);
    ck_assert_mem_eq(matrix.data, expected, sizeof expected);
    ra_matrix_release(&matrix);
}
END_TEST

START_TEST(test_search_says_what_was_not_given) {
    static const struct {
        const char *body;
        size_t k;
        int metric;
    } cases[] = {
        {"{\"vectors\":[[1,2,3]]}", 0, SEARCH_NOT_GIVEN},
        {"{\"k\":3,\"metric\":\"dot\",\"vectors\":[[1,2,3]]}", 3, RA_SIMILARITY_DOT},
        {"{\"vectors\":[[1,2,3]],\"metric\":\"cos\\u0069ne\",\"k\":1}", 1, RA_SIMILARITY_COSINE},
    };
    static const float vector[] = {1, 2, 3};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        search_request request;
        ra_ok(json_search_parse(cases[i].body, strlen(cases[i].body), D, ROWS, &request, &err));
        ck_assert_uint_eq(request.k, cases[i].k);
        ck_assert_int_eq(request.metric, cases[i].metric);
        ck_assert_uint_eq(request.vectors.rows, 1);
        ck_assert_mem_eq(request.vectors.data, vector, sizeof vector);
        search_request_release(&request);
        ck_assert_ptr_null(request.vectors.data);
    }
}
END_TEST

START_TEST(test_search_takes_examples_and_a_filter) {
    static const char body[] =
        "{\"positive\":[5,0],\"negative\":[2],\"exclude\":[],\"min_score\":-0.5,"
        "\"filter\":{\"q\":\"caf\\u00e9\",\"min_frequency\":0.1,\"dead\":true,\"point\":7}}",
                      open[] = "{\"positive\":[5],\"filter\":{}}";
    search_request request;
    ra_ok(json_search_parse(body, sizeof body - 1, D, ROWS, &request, &err));
    ck_assert_int_eq(request.kind, SEARCH_EXAMPLES);
    ck_assert_uint_eq(request.positive.count, 2);
    ck_assert_uint_eq(request.negative.ids[0], 2);
    ck_assert_uint_eq(request.exclude.count, 0);
    ck_assert(request.min_score == -0.5f);
    ck_assert_str_eq(request.filter.q.data, "caf\303\251");
    ck_assert(request.filter.min_frequency == 0.1); /* not the nearest float */
    ck_assert_int_eq(request.filter.dead, 1);
    ck_assert(request.filter.has_point && request.filter.point == 7);
    search_request_release(&request);
    ra_ok(json_search_parse(open, sizeof open - 1, D, ROWS, &request, &err));
    ck_assert(request.filter.given && request.filter.dead == -1 && !request.filter.has_point);
    ck_assert(request.min_score == -INFINITY);
    search_request_release(&request);
}
END_TEST

START_TEST(test_search_takes_inputs_and_atoms) {
    static const char by_inputs[] = "{\"inputs\":[[1,2,3]]}",
                      by_atoms[] = "{\"exclude_self\":true,\"atoms\":[5,0]}";
    search_request request;
    ra_ok(json_search_parse(by_inputs, sizeof by_inputs - 1, D, ROWS, &request, &err));
    ck_assert_int_eq(request.kind, SEARCH_INPUTS);
    ck_assert_int_eq(request.exclude_self, SEARCH_NOT_GIVEN);
    ck_assert_uint_eq(request.vectors.rows, 1);
    search_request_release(&request);
    ra_ok(json_search_parse(by_atoms, sizeof by_atoms - 1, D, ROWS, &request, &err));
    ck_assert_int_eq(request.kind, SEARCH_ATOMS);
    ck_assert_int_eq(request.exclude_self, 1);
    ck_assert_uint_eq(request.atoms.count, 2);
    ck_assert_uint_eq(request.atoms.ids[0], 5);
    search_request_release(&request);
    ck_assert_ptr_null(request.atoms.ids);
}
END_TEST

START_TEST(test_a_reply_of_encode_is_latents_as_it_is) {
    static const char body[] = "{\"values\":[[2,1],[]],\"indices\":[[3,1],[]]}";
    latents_request request;
    ra_ok(json_latents_parse(body, sizeof body - 1, K, ROWS, &request, &err));
    ck_assert_uint_eq(request.rows, 2);
    ck_assert_uint_eq(request.dense_entries, 0);
    ck_assert_int_eq(request.codes.index[0], 1);
    ck_assert(request.codes.value[0] == 1 && request.codes.value[1] == 2);
    latents_request_release(&request);
}
END_TEST

/* ---- bad bodies ---------------------------------------------------------------------------------------- */

typedef struct refusal {
    const char *body;
    ra_status code;
    const char *message;
} refusal;

#define SPARSE(indices, values) "{\"latents\":{\"indices\":" indices ",\"values\":" values "}}"

static const refusal latents_refused[] = {
    {"", RA_ERR_FORMAT, "the body is empty, expected {\"latents\": [[...], ...]} or"},
    {"hello", RA_ERR_FORMAT, "not JSON: expected a value at byte 0, found 'h'"},
    {"\x93NUMPY", RA_ERR_FORMAT, "found the byte 0x93; a NumPy array has the Content-Type application/x-npy"},
    {"[[1,2]]", RA_ERR_FORMAT, "the body is an array, expected {\"latents\": "},
    {"{}", RA_ERR_FORMAT, "the body has no member \"latents\"; expected {\"latents\": "},
    {"{\"latent\":[]}", RA_ERR_FORMAT, "the body has an unknown member \"latent\"; expected \"latents\""},
    {"{\"latent\":[1}", RA_ERR_FORMAT, "not JSON: expected ',' or ']' at byte 12, found '}'"},
    {"{\"latents\":[[0,0,0,0,0,0,0,0]],\"latents\":1}", RA_ERR_FORMAT, "\"latents\" at byte 31 is twice"},
    {"{\"latents\":[[0,0,0,0,0,0,0,0]]} {}", RA_ERR_FORMAT,
     "not JSON: expected the end of the body at byte 32"},
    {"{\"latents\":[[0,0,0,0,0,0,0,0]]", RA_ERR_FORMAT, "not JSON: expected ',' or '}' at byte 30"},
    {"{\"latents\":\"x\"}", RA_ERR_FORMAT, "latents is a string, expected {\"latents\": "},
    {"{\"latents\":5}", RA_ERR_FORMAT, "latents is a number, expected"},
    {"{\"latents\":[]}", RA_ERR_SHAPE, "latents is empty, expected at least one row"},
    {"{\"latents\":[1,2]}", RA_ERR_SHAPE,
     "latents is a flat list of numbers, expected a list of rows: write [["},
    {"{\"latents\":[[0,0,0,0,0,0,0,0],1]}", RA_ERR_FORMAT, "latents[1] is a number, expected a row"},
    {"{\"latents\":[\"x\"]}", RA_ERR_FORMAT, "latents[0] is a string, expected a row, an array of numbers"},
    {"{\"latents\":[[]]}", RA_ERR_SHAPE, "latents[0] has 0 numbers, but the dictionary has 8 latents"},
    {"{\"latents\":[[0,0,0,0,0,0,0,0],[1,2,3]]}", RA_ERR_SHAPE,
     "latents[1] has 3 numbers, but the dictionary has 8 latents"},
    {"{\"latents\":[[1,2,3,4,5,6,7,8,9,0,0,0]]}", RA_ERR_SHAPE,
     "latents[0] has 12 numbers, but the dictionary has 8 latents"},
    {"{\"latents\":[[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]]}", RA_ERR_SHAPE, "latents[0] has 15 numbers"},
    {"{\"latents\":[[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0],[1],[2]]}",
     RA_ERR_TOO_LARGE, "latents has 6 rows, but a request may have at most 4"},
    {"{\"latents\":[[0,\"1\"]]}", RA_ERR_FORMAT, "latents[0][1] is a string, expected a number"},
    {"{\"latents\":[[0,null]]}", RA_ERR_FORMAT, "latents[0][1] is null, expected a number (JavaScript"},
    {"{\"latents\":[[0,[1]]]}", RA_ERR_FORMAT, "latents[0][1] is an array, expected a number"},
    {"{\"latents\":[[0,0,0,NaN]]}", RA_ERR_NOT_FINITE,
     "NaN at byte 19 (latents[0][3]): numbers must be finite"},
    {"{\"latents\":[[-Infinity]]}", RA_ERR_NOT_FINITE, "-Infinity at byte 13 (latents[0][0])"},
    {"{\"latents\":[[0,1e999]]}", RA_ERR_NOT_FINITE, "1e999 at byte 15 (latents[0][1]) is beyond float32"},
    {"{\"latents\":[[0,01]]}", RA_ERR_FORMAT, "not JSON: malformed number at byte 15"},
    {"{\"latents\":[[0,1.]]}", RA_ERR_FORMAT, "not JSON: malformed number at byte 15"},
    {"{\"latents\":[[0,]]}", RA_ERR_FORMAT, "not JSON: expected a value at byte 15, found ']'"},
    {"{\"latents\":{\"indices\":[[1]]}}", RA_ERR_FORMAT, "latents has no member \"values\""},
    {"{\"latents\":{\"values\":[[1]]}}", RA_ERR_FORMAT, "latents has no member \"indices\""},
    {"{\"latents\":{\"index\":[[1]]}}", RA_ERR_FORMAT,
     "latents has an unknown member \"index\"; expected \"indices\", \"values\""},
    {SPARSE("[1]", "[[1]]"), RA_ERR_SHAPE, "latents.indices is a flat list of numbers"},
    {SPARSE("[[1]]", "[1]"), RA_ERR_SHAPE, "latents.values is a flat list of numbers"},
    {SPARSE("[]", "[]"), RA_ERR_SHAPE, "latents.indices is empty"},
    {SPARSE("1", "[]"), RA_ERR_FORMAT, "latents.indices is a number, expected a list of rows, [[...], ...]"},
    {SPARSE("[[1],[2]]", "[[1]]"), RA_ERR_SHAPE, "latents.indices has 2 rows, but latents.values has 1"},
    {SPARSE("[[1],[2,3]]", "[[1],[2]]"), RA_ERR_SHAPE,
     "latents.indices[1] has 2 numbers, but latents.values[1] has 1"},
    {SPARSE("[[0],[1,8]]", "[[1],[2,2]]"), RA_ERR_ARGUMENT,
     "latents.indices[1][1] is 8, but the dictionary has 8 latents, numbered from 0"},
    {SPARSE("[[-1]]", "[[1]]"), RA_ERR_ARGUMENT,
     "latents.indices[0][0] is -1, but the dictionary has 8 latents"},
    {SPARSE("[[1.5]]", "[[1]]"), RA_ERR_ARGUMENT, "latents.indices[0][0] is 1.5, expected a whole number"},
    {SPARSE("[[1e20]]", "[[1]]"), RA_ERR_ARGUMENT, "latents.indices[0][0] is 1e20, expected a whole number"},
    {SPARSE("[[4294967297]]", "[[1]]"), RA_ERR_ARGUMENT, "latents.indices[0][0] is 4294967297, but"},
    {SPARSE("[[99999999999999999999]]", "[[1]]"), RA_ERR_ARGUMENT,
     "latents.indices[0][0] is 99999999999999999999"},
    {SPARSE("[[\"1\"]]", "[[1]]"), RA_ERR_FORMAT,
     "latents.indices[0][0] is a string, expected a whole number"},
    {SPARSE("[[0],[5,2,5]]", "[[1],[1,2,3]]"), RA_ERR_ARGUMENT, "latents.indices[1] has the index 5 twice"},
    {SPARSE("[[5,5]]", "[[0,0]]"), RA_ERR_ARGUMENT, "latents.indices[0] has the index 5 twice"},
    {SPARSE("[[0]]", "[[Infinity]]"), RA_ERR_NOT_FINITE, "(latents.values[0][0]): numbers must be finite"},
    {"{}", RA_ERR_FORMAT, "the body has no member \"latents\""},
    {"{\"indices\":[[1]]}", RA_ERR_FORMAT, "the body has no member \"values\""},
    {"{\"values\":[[1]]}", RA_ERR_FORMAT, "the body has no member \"indices\""},
    {"{\"indices\":[[1]],\"values\":[[1],[2]]}", RA_ERR_SHAPE, "indices has 1 rows, but values has 2"},
    {"{\"indices\":[[8]],\"values\":[[1]]}", RA_ERR_ARGUMENT, "indices[0][0] is 8, but the dictionary has 8"},
    {"{\"indices\":[[1]],\"latents\":[[0,0,0,0,0,0,0,0]]}", RA_ERR_FORMAT, "\"latents\" beside \"indices\""},
    {"{\"latents\":[[0,0,0,0,0,0,0,0]],\"values\":[[1]]}", RA_ERR_FORMAT, "\"latents\" beside \"indices\""},
    {SPARSE("[[0],[0],[0],[0],[0]]", "[[1]]"), RA_ERR_TOO_LARGE,
     "latents.indices has 5 rows, but a request may have"},
};

static const refusal inputs_refused[] = {
    {"{\"inputs\":[[1,2,3],[1,2]]}", RA_ERR_SHAPE,
     "inputs[1] has 2 numbers, but the dictionary has 3 dimensions"},
    {"{\"inputs\":[1,2,3]}", RA_ERR_SHAPE, "inputs is a flat list of numbers"},
    {"{\"inputs\":{}}", RA_ERR_FORMAT, "inputs is an object, expected a list of rows, [[...], ...]"},
    {"{\"inputs\":[]}", RA_ERR_SHAPE, "inputs is empty"},
    {"{\"inputs\":[[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3]]}", RA_ERR_TOO_LARGE, "inputs has 5 rows"},
    {"{\"inputs\":[[1,2,3.5e38]]}", RA_ERR_NOT_FINITE, "3.5e38 at byte 16 (inputs[0][2]) is beyond float32"},
    {"{\"inputs\":[[1,2,3,4,5]]}", RA_ERR_SHAPE, "inputs[0] has 5 numbers"},
    {"{\"inputs\":[[1,2,3]],\"k\":1}", RA_ERR_FORMAT, "unknown member \"k\"; expected \"inputs\""},
    {"null", RA_ERR_FORMAT, "the body is null, expected {\"inputs\": [[...], ...]}"},
};

static const refusal search_refused[] = {
    {"{\"vectors\":[[1,2]]}", RA_ERR_SHAPE, "vectors[0] has 2 numbers, but the dictionary has 3 dimensions"},
    {"{\"k\":5}", RA_ERR_FORMAT, "the body has no member \"vectors\", \"inputs\" or \"atoms\"; expected {"},
    {"{\"vectors\":[[1,2,3]],\"inputs\":[[1,2,3]]}", RA_ERR_FORMAT,
     "the body has both \"vectors\" and \"inputs\"; expected one of them"},
    {"{\"atoms\":[1],\"vectors\":[[1,2,3]]}", RA_ERR_FORMAT, "both \"atoms\" and \"vectors\""},
    {"{\"inputs\":[[1,2]]}", RA_ERR_SHAPE, "inputs[0] has 2 numbers, but the dictionary has 3 dimensions"},
    {"{\"atoms\":[-1]}", RA_ERR_ARGUMENT, "atoms[0] is -1, but atoms are numbered from 0"},
    {"{\"atoms\":[]}", RA_ERR_SHAPE, "atoms is empty, expected at least one atom"},
    {"{\"atoms\":[0,1,2,3,4]}", RA_ERR_TOO_LARGE, "atoms has more than 4 numbers"},
    {"{\"atoms\":[0],\"exclude_self\":1}", RA_ERR_FORMAT, "exclude_self is a number, expected true or false"},
    {"{\"vectors\":[[1,2,3]],\"k\":0}", RA_ERR_ARGUMENT, "k is 0, expected at least 1"},
    {"{\"vectors\":[[1,2,3]],\"k\":-3}", RA_ERR_ARGUMENT, "k is -3, expected at least 1"},
    {"{\"vectors\":[[1,2,3]],\"k\":2.5}", RA_ERR_ARGUMENT, "k is 2.5, expected a whole number"},
    {"{\"vectors\":[[1,2,3]],\"k\":\"5\"}", RA_ERR_FORMAT, "k is a string, expected a whole number"},
    {"{\"vectors\":[[1,2,3]],\"metric\":\"l2\"}", RA_ERR_ARGUMENT,
     "metric is \"l2\", expected \"cosine\" or \"dot\""},
    {"{\"vectors\":[[1,2,3]],\"metric\":2}", RA_ERR_FORMAT, "metric is a number, expected a string"},
    {"{\"vectors\":[[1,2,3]],\"top\":2}", RA_ERR_FORMAT,
     "unknown member \"top\"; expected \"vectors\", \"inputs\", \"atoms\", \"positive\", \"negative\", "
     "\"k\", \"metric\", \"exclude_self\", \"exclude\", \"min_score\", \"filter\""},
};

#define CHECK_REFUSALS(list, parse)                                                                          \
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)                                                  \
    ra_fails(parse(list[i].body, &err), list[i].code, list[i].message)

START_TEST(test_every_refusal_says_what_is_wrong) {
    CHECK_REFUSALS(latents_refused, latents);
    CHECK_REFUSALS(inputs_refused, inputs);
    CHECK_REFUSALS(search_refused, search);
}
END_TEST

START_TEST(test_the_error_may_be_left_out) {
    ck_assert_int_eq(latents("{\"latents\":[[1,2]]}", NULL), RA_ERR_SHAPE);
    ck_assert_int_eq(inputs("[", NULL), RA_ERR_FORMAT);
    ck_assert_int_eq(search("{}", NULL), RA_ERR_FORMAT);
}
END_TEST

/* ---- hardening ----------------------------------------------------------------------------------------- */

static const char *const good_latents[] = {
    "{\"latents\":[[0,0,1.5,0,0,-2e-3,0,0],[7,0,0,0,0,0,0,3]]}",
    "{\"latents\": {\"indices\": [[5, 2, 7], []], \"values\": [[-0.25, 1.5e-3, 12345678901234567890], []]}}",
};
static const char good_inputs[] =
    "{\"inputs\":[[1,-2.5,3e2],[0.1,0,-0.0],[123456789.123456789123456789,2,3]]}";
static const char good_search[] = "{\"vectors\":[[1,2,3]],\"k\":3,\"metric\":\"d\\u006ft\"}";

/* The request number `which` in memory of exactly its size, so that a sanitizer sees a read beyond its end. */
static ra_status parse_exactly(int which, const char *bytes, size_t size, ra_error *err) {
    latents_request codes;
    ra_matrix matrix;
    search_request query;
    char *exact = malloc(size ? size : 1);
    if (!exact) ck_abort();
    memcpy(exact, bytes, size);
    ra_status status = RA_OK;
    if (which < 2) {
        status = json_latents_parse(exact, size, K, ROWS, &codes, err);
        latents_request_release(&codes);
    } else if (which == 2) {
        status = json_inputs_parse(exact, size, D, ROWS, &matrix, err);
        ra_matrix_release(&matrix);
    } else {
        status = json_search_parse(exact, size, D, ROWS, &query, err);
        search_request_release(&query);
    }
    free(exact);
    return status;
}

static const char *good(int which) {
    return which < 2 ? good_latents[which] : which == 2 ? good_inputs : good_search;
}

static void check_outcome(ra_status status, const ra_error *err, const char *bytes, size_t size) {
    bool sensible = status == RA_OK ? !err->message[0] : err->message[0] && err->code == status;
    if (!sensible)
        ck_abort_msg("\"%.*s\": %s, \"%s\"", (int)size, bytes, ra_status_name(status), err->message);
}

START_TEST(test_bodies_cut_off_anywhere_are_refused) {
    for (int which = 0; which < 4; which++) {
        const char *body = good(which);
        ra_ok(parse_exactly(which, body, strlen(body), &err));
        for (size_t n = 0; n < strlen(body); n++) {
            ra_error err = {0};
            ra_status status = parse_exactly(which, body, n, &err);
            if (status != RA_ERR_FORMAT) ck_abort_msg("%.*s: %s", (int)n, body, err.message);
            check_outcome(status, &err, body, n);
        }
    }
}
END_TEST

START_TEST(test_mutated_bodies_never_crash) {
    static const char alphabet[] = "[]{}:,\"\\0123456789.-+eEuNnaI tf/\x01\x80\xff\xc3";
    ra_random random;
    ra_random_seed(&random, 6);
    size_t accepted = 0;
    for (int round = 0; round < 20000; round++) {
        int which = round % 4;
        char body[256];
        size_t size = strlen(good(which));
        memcpy(body, good(which), size);
        for (uint64_t edits = 1 + ra_random_below(&random, 4); edits; edits--) {
            size_t at = (size_t)ra_random_below(&random, size),
                   other = (size_t)ra_random_below(&random, size);
            char c = alphabet[ra_random_below(&random, sizeof alphabet - 1)];
            switch (ra_random_below(&random, 4)) {
            case 0:
                body[at] = c;
                break;
            case 1: /* insert */
                memmove(body + at + 1, body + at, size++ - at);
                body[at] = c;
                break;
            case 2: /* delete */
                memmove(body + at, body + at + 1, --size - at);
                break;
            default: /* copy a piece over another */
                memmove(body + at, body + other, (size - (at > other ? at : other)) / 2);
            }
        }
        ra_error err = {0};
        ra_status status = parse_exactly(which, body, size, &err);
        check_outcome(status, &err, body, size);
        accepted += status == RA_OK;
    }
    ck_assert_uint_gt(accepted, 100); /* the mutations stay close enough to reach all of the code */
}
END_TEST

START_TEST(test_every_failed_allocation_is_reported_and_cleaned_up) {
    for (int which = 0; which < 4; which++) {
        const char *body = good(which);
        bool succeeded = false;
        for (size_t n = 1; !succeeded; n++) {
            ck_assert_uint_lt(n, 100);
            ra_error err = {0};
            ra_memory_fail_at(n);
            ra_status status = parse_exactly(which, body, strlen(body), &err);
            ra_memory_fail_at(0);
            succeeded = status == RA_OK;
            if (!succeeded) ck_assert_int_eq(status, RA_ERR_MEMORY);
            check_outcome(status, &err, body, strlen(body));
        }
    }
}
END_TEST

TEST_CASES(json_requests, test_latents_of_both_forms_become_the_same_codes,
           test_a_row_without_latents_is_a_row, test_large_random_latents_survive_in_any_order,
           test_inputs_become_a_matrix, test_search_says_what_was_not_given,
           test_search_takes_inputs_and_atoms, test_search_takes_examples_and_a_filter,
           test_a_reply_of_encode_is_latents_as_it_is, test_every_refusal_says_what_is_wrong,
           test_the_error_may_be_left_out, test_bodies_cut_off_anywhere_are_refused,
           test_mutated_bodies_never_crash, test_every_failed_allocation_is_reported_and_cleaned_up)
