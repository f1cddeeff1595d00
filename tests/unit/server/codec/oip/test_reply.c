/* The replies under /v2, compared with literal texts. */
#include "harness.h"
#include "codec/oip/reply.h"

#include <string.h>

static void expect(text *out, const char *expected) {
    text_append(out, "", 1);
    ck_assert(!out->failed);
    ck_assert_str_eq(out->data, expected);
    text_release(out);
}

START_TEST(test_errors_and_index) {
    text out = {0};
    oip_put_error(&out, "a \"b\"");
    expect(&out, "{\"error\":\"a \\\"b\\\"\"}");
    json_array(&out, NULL);
    oip_put_index_entry(&out, "words", 12, true, "");
    oip_put_index_entry(&out, "late", 0, false, "late.safetensors is \xff junk");
    json_array_end(&out);
    expect(&out, "[{\"name\":\"words\",\"version\":\"12\",\"state\":\"READY\",\"reason\":\"\"},"
                 "{\"name\":\"late\",\"version\":\"\",\"state\":\"UNAVAILABLE\",\"reason\":"
                 "\"late.safetensors is \xEF\xBF\xBD junk\"}]");
}
END_TEST

START_TEST(test_models) {
    text out = {0};
    ra_model_info info = {.concepts = 4000, .dimensions = 384, .device = "cpu"};
    oip_model model = {"words", 3, &info, 64};
    oip_put_model(&out, &model);
    expect(&out, "{\"name\":\"words\",\"versions\":[\"3\"],\"platform\":\"rasae\",\"inputs\":["
                 "{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[-1,4000]},"
                 "{\"name\":\"indices\",\"datatype\":\"INT64\",\"shape\":[-1,-1]},"
                 "{\"name\":\"values\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}],"
                 "\"outputs\":[{\"name\":\"reconstructions\",\"datatype\":\"FP32\",\"shape\":[-1,384]}]}");
    oip_put_config(&out, &model);
    expect(&out, "{\"name\":\"words\",\"platform\":\"rasae\",\"backend\":\"rasae\","
                 "\"version_policy\":{\"latest\":{\"num_versions\":1}},\"max_batch_size\":64,\"input\":["
                 "{\"name\":\"latents\",\"data_type\":\"TYPE_FP32\",\"dims\":[4000]},"
                 "{\"name\":\"indices\",\"data_type\":\"TYPE_INT64\",\"dims\":[-1],\"optional\":true},"
                 "{\"name\":\"values\",\"data_type\":\"TYPE_FP32\",\"dims\":[-1],\"optional\":true}],"
                 "\"output\":[{\"name\":\"reconstructions\",\"data_type\":\"TYPE_FP32\",\"dims\":[384]}],"
                 "\"instance_group\":[{\"name\":\"words\",\"kind\":\"KIND_CPU\",\"count\":1}],"
                 "\"parameters\":{}}");
}
END_TEST

START_TEST(test_statistics) {
    static const oip_stage stages[] = {{"success", 2, 8642}, {"fail", 1, 7}, {"cache_hit", 0, 0}};
    text out = {0};
    oip_put_statistics(&out, &(oip_statistics){.name = "words",
                                               .generation = 3,
                                               .last_ms = 9,
                                               .inferences = 7,
                                               .executions = 2,
                                               .stages = stages,
                                               .stage_count = 3});
    expect(&out, "{\"name\":\"words\",\"version\":\"3\",\"last_inference\":9,\"inference_count\":7,"
                 "\"execution_count\":2,\"inference_stats\":{\"success\":{\"count\":2,\"ns\":8642},"
                 "\"fail\":{\"count\":1,\"ns\":7},\"cache_hit\":{\"count\":0,\"ns\":0}},\"batch_stats\":[]}");
}
END_TEST

START_TEST(test_infer) {
    static const float x_hat[4] = {1, -2.5f, 0, 1e-7f};
    text out = {0};
    oip_infer_reply reply = {.name = "words", .generation = 3, .x_hat = x_hat, .rows = 2, .dimensions = 2};
    size_t json = oip_put_infer(&out, &reply);
    ck_assert_uint_eq(json, out.size);
    expect(&out,
           "{\"model_name\":\"words\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"reconstructions\","
           "\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[1,-2.5,0,1e-7]}]}");
    reply.id = (json_string){"a\\n", 3};
    reply.binary = true;
    json = oip_put_infer(&out, &reply);
    ck_assert_uint_eq(out.size, json + sizeof x_hat);
    ck_assert_mem_eq(out.data + json, x_hat, sizeof x_hat);
    out.size = json;
    expect(&out, "{\"model_name\":\"words\",\"model_version\":\"3\",\"id\":\"a\\n\",\"outputs\":[{\"name\":"
                 "\"reconstructions\",\"datatype\":\"FP32\",\"shape\":[2,2],\"parameters\":{"
                 "\"binary_data_size\":16}}]}");
}
END_TEST

TEST_CASES(oip_reply, test_errors_and_index, test_models, test_statistics, test_infer)
