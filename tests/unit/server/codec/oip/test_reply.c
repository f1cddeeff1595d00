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
    oip_model model = {.name = "words", .generation = 3, .info = &info, .max_rows = 64};
    oip_put_model(&out, &model);
    expect(&out, "{\"name\":\"words\",\"versions\":[\"3\"],\"platform\":\"rasae\",\"inputs\":["
                 "{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[-1,4000]},"
                 "{\"name\":\"indices\",\"datatype\":\"INT64\",\"shape\":[-1,-1],\"optional\":true},"
                 "{\"name\":\"values\",\"datatype\":\"FP32\",\"shape\":[-1,-1],\"optional\":true}],"
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
    model.name = "words.encode";
    model.encodes = true;
    oip_put_model(&out, &model);
    expect(&out, "{\"name\":\"words.encode\",\"versions\":[\"3\"],\"platform\":\"rasae\",\"inputs\":["
                 "{\"name\":\"inputs\",\"datatype\":\"FP32\",\"shape\":[-1,384]}],"
                 "\"outputs\":[{\"name\":\"indices\",\"datatype\":\"INT64\",\"shape\":[-1,-1]},"
                 "{\"name\":\"values\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}]}");
}
END_TEST

START_TEST(test_codes) {
    static const int64_t indices[4] = {3, -1, 0, 3999};
    static const float values[4] = {0.5f, 0, 1, -2};
    text out = {0};
    bool wanted[2] = {true, true}, binary[2] = {false, true};
    oip_encode_reply reply = {.name = "words.encode",
                              .generation = 3,
                              .wanted = wanted,
                              .binary = binary,
                              .indices = indices,
                              .values = values,
                              .rows = 2,
                              .width = 2};
    size_t json = oip_put_encode(&out, &reply);
    ck_assert_uint_eq(out.size, json + sizeof values);
    ck_assert_mem_eq(out.data + json, values, sizeof values);
    out.size = json;
    expect(&out,
           "{\"model_name\":\"words.encode\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"indices\","
           "\"datatype\":\"INT64\",\"shape\":[2,2],\"data\":[3,-1,0,3999]},{\"name\":\"values\","
           "\"datatype\":\"FP32\",\"shape\":[2,2],\"parameters\":{\"binary_data_size\":16}}]}");
    wanted[0] = binary[1] = false;
    ck_assert_uint_eq(oip_put_encode(&out, &reply), out.size);
    expect(&out, "{\"model_name\":\"words.encode\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"values\","
                 "\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[0.5,0,1,-2]}]}");
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

TEST_CASES(oip_reply, test_errors_and_index, test_models, test_statistics, test_infer, test_codes)
