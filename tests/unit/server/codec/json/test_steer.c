/* The bodies of steer and of Neuronpedia's two calls (server/codec/json/requests/steer.c, server/codec/json/neuronpedia.c). */
#include "codec/json/neuronpedia.h"
#include "codec/json/requests.h"
#include "harness.h"

#include <string.h>

static ra_status steer(const char *body, steer_request *out, ra_error *err) {
    return json_steer_parse(body, strlen(body), 2, 3, out, err);
}

START_TEST(test_steer_is_read) {
    steer_request request;
    ra_ok(steer("{\"steer\":[{\"scale\":-2.5,\"atom\":5},{\"atom\":0,\"scale\":1}],\"inputs\":[[1,2],[3,4]],"
                "\"on\":\"reconstruction\"}",
                &request, &err));
    ck_assert_uint_eq(request.inputs.rows, 2);
    ck_assert_uint_eq(request.count, 2);
    ck_assert_uint_eq(request.pushes[0].atom, 5);
    ck_assert(request.pushes[0].scale == -2.5f && request.pushes[1].scale == 1);
    ck_assert_int_eq(request.base, RA_STEER_RECONSTRUCTION);
    steer_request_release(&request);
    ra_ok(steer("{\"inputs\":[[1,2]]}", &request, &err));
    ck_assert_uint_eq(request.count, 0);
    ck_assert_int_eq(request.base, STEER_BASE_NOT_GIVEN);
    steer_request_release(&request);
}
END_TEST

START_TEST(test_steer_is_refused) {
    static const struct {
        const char *body;
        ra_status code;
        const char *says;
    } cases[] = {
        {"", RA_ERR_FORMAT, "empty"},
        {"{\"steer\":[]}", RA_ERR_FORMAT, "no member \"inputs\""},
        {"{\"inputs\":[[1,2]],\"steer\":{}}", RA_ERR_FORMAT, "steer is an object"},
        {"{\"inputs\":[[1,2]],\"steer\":[5]}", RA_ERR_FORMAT, "an entry of steer is a number"},
        {"{\"inputs\":[[1,2]],\"steer\":[{\"atom\":1}]}", RA_ERR_FORMAT, "no member \"scale\""},
        {"{\"inputs\":[[1,2]],\"steer\":[{\"atom\":-1,\"scale\":1}]}", RA_ERR_ARGUMENT, "-1"},
        {"{\"inputs\":[[1,2]],\"steer\":[{\"atom\":1.5,\"scale\":1}]}", RA_ERR_ARGUMENT, "atom is 1.5"},
        {"{\"inputs\":[[1,2]],\"steer\":[{\"atom\":1,\"scale\":\"2\"}]}", RA_ERR_FORMAT, "scale"},
        {"{\"inputs\":[[1,2]],\"steer\":[{\"atom\":1,\"scale\":1e99}]}", RA_ERR_NOT_FINITE, "scale"},
        {"{\"inputs\":[[1,2]],\"steer\":[{\"atom\":1,\"scale\":1,\"x\":1}]}", RA_ERR_FORMAT,
         "unknown member"},
        {"{\"inputs\":[[1,2]],\"on\":\"output\"}", RA_ERR_ARGUMENT, "on is \"output\""},
        {"{\"inputs\":[[1,2]],\"method\":\"turn\"}", RA_ERR_ARGUMENT, "method is \"turn\""},
        {"{\"inputs\":[[1,2]],\"on\":1}", RA_ERR_FORMAT, "on is a number"},
        {"{\"inputs\":[[1,2]],\"steer\":[{\"atom\":1,\"scale\":1}", RA_ERR_FORMAT, "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        steer_request request;
        ra_fails(steer(cases[i].body, &request, &err), cases[i].code, cases[i].says);
        ck_assert_ptr_null(request.pushes);
        ck_assert_ptr_null(request.inputs.data);
    }
}
END_TEST

static ra_status topk(const char *body, neuronpedia_request *out, ra_error *err) {
    return json_sae_topk_parse(body, strlen(body), out, err);
}

START_TEST(test_neuronpedia_is_read) {
    neuronpedia_request request;
    ra_ok(topk(
        "{\"feature\":{\"model\":\"g\",\"source\":\"w\\u00e9\",\"index\":7},\"vector\":null,\"model\":\"h\","
        "\"source\":\"s\",\"num_results\":3}",
        &request, &err));
    ck_assert(request.has_feature && !request.has_vector && !request.camel_case);
    ck_assert_str_eq(request.feature.source, "w\xc3\xa9");
    ck_assert_uint_eq(request.feature.index, 7);
    ck_assert_str_eq(request.of.source, "s");
    ck_assert_uint_eq(request.results, 3);
    neuronpedia_request_release(&request);
    ra_ok(topk("{\"vector\":[1,2.5],\"model\":\"h\",\"source\":\"s\",\"numResults\":3}", &request, &err));
    ck_assert(request.has_vector && request.camel_case);
    ck_assert_uint_eq(request.dimensions, 2);
    ck_assert(request.vector[1] == 2.5f);
    neuronpedia_request_release(&request);
    const char *vector = "{\"model\":\"h\",\"source\":\"s\",\"index\":9}";
    ra_ok(json_sae_vector_parse(vector, strlen(vector), &request, &err));
    ck_assert_uint_eq(request.of.index, 9);
}
END_TEST

START_TEST(test_neuronpedia_is_refused) {
    static const struct {
        const char *body;
        ra_status code;
        const char *says;
    } cases[] = {
        {"{\"model\":\"h\",\"source\":\"s\",\"num_results\":3}", RA_ERR_ARGUMENT,
         "exactly one of feature or vector"},
        {"{\"vector\":[1],\"model\":\"h\",\"source\":\"s\"}", RA_ERR_FORMAT, "num_results"},
        {"{\"vector\":[1],\"model\":\"h\",\"num_results\":1}", RA_ERR_FORMAT, "no member \"source\""},
        {"{\"vector\":[1],\"model\":\"h\",\"source\":\"s\",\"num_results\":0}", RA_ERR_ARGUMENT,
         "at least 1"},
        {"{\"vector\":[[1]],\"model\":\"h\",\"source\":\"s\",\"num_results\":1}", RA_ERR_FORMAT, "vector"},
        {"{\"vector\":[1],\"model\":\"h\",\"source\":\"a\\u0000b\",\"num_results\":1}", RA_ERR_ARGUMENT,
         "source"},
        {"{\"feature\":{\"index\":1},\"model\":\"h\",\"source\":\"s\",\"num_results\":1}", RA_ERR_FORMAT,
         "feature"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        neuronpedia_request request;
        ra_fails(topk(cases[i].body, &request, &err), cases[i].code, cases[i].says);
        ck_assert_ptr_null(request.vector);
    }
}
END_TEST

TEST_CASES(json_steer, test_steer_is_read, test_steer_is_refused, test_neuronpedia_is_read,
           test_neuronpedia_is_refused)
