/* A model in JSON, as inspect and the daemon show it. */
#include "harness.h"
#include "app/model_json.h"

#include <math.h>
#include <string.h>

static void check(text *out, const char *expected) {
    ck_assert(!out->failed);
    text_append(out, "", 1);
    ck_assert_str_eq(out->data, expected);
    text_release(out);
}

START_TEST(test_what_is_not_known_is_null) {
    const ra_model_info info = {.concepts = 4000,
                                .dimensions = 384,
                                .dtype = RA_BF16,
                                .coverage = NAN,
                                .hull_share = NAN,
                                .trace_cosine = NAN,
                                .bytes = 123,
                                .device = "cpu"};
    text out = {0};
    json_object(&out, NULL);
    json_model_info(&out, &info);
    json_object_end(&out);
    check(
        &out,
        "{\"concepts\":4000,\"dimensions\":384,\"points\":null,\"archetypes\":null,\"dtype\":"
        "\"bf16\",\"sae\":null,"
        "\"encoder\":null,\"has_encoder\":false,\"standardized\":false,\"has_relaxation\":false,"
        "\"has_atom_labels\":false,\"has_explanations\":false,\"has_point_labels\":false,\"has_point_"
        "vectors\":false,"
        "\"has_trace\":false,\"coverage\":null,\"hull_share\":null,\"trace_cosine\":null,\"agreement\":null,"
        "\"has_statistics\":false,\"has_cofiring\":false,"
        "\"has_quantiles\":false,\"has_contrasts\":false,\"has_layout\":false,\"has_training\":false,"
        "\"model\":null,\"hook\":null,\"shape\":null,"
        "\"source\":\"artifact\","
        "\"device\":\"cpu\","
        "\"digest\":\"\","
        "\"bytes\":123}");
}
END_TEST

START_TEST(test_what_is_known) {
    ra_model_info info = {.concepts = 2,
                          .dimensions = 3,
                          .points = 7,
                          .archetypes = 4,
                          .from_checkpoint = true,
                          .has_encoder = true,
                          .model = "gpt2",
                          .hook = "blocks.6",
                          .device = "cuda",
                          .digest = "9a98"};
    info.settings = (ra_sae_settings){
        .known = 1u << RA_SET_SAE | 1u << RA_SET_ENCODER, .sae = RA_SAE_TOPK, .encoder = RA_ENCODER_LINEAR};
    text out = {0};
    json_model_info(&out, &info);
    text_append(&out, "", 1);
    static const char *const parts[] = {
        "\"points\":7,\"archetypes\":4,\"dtype\":\"f32\",\"sae\":\"topk\",\"encoder\":\"linear\"",
        "\"has_encoder\":true", "\"model\":\"gpt2\",\"hook\":\"blocks.6\"",
        "\"source\":\"checkpoint\",\"device\":\"cuda\"", "\"digest\":\"9a98\""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(out.data, parts[i]), "%s is not in %s", parts[i], out.data);
    text_release(&out);
}
END_TEST

START_TEST(test_settings_have_the_types_of_json) {
    const ra_sae_settings settings = {.known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K | 1u << RA_SET_DELTA |
                                               1u << RA_SET_USE_MULTIPLIER,
                                      .sae = RA_SAE_JUMPRELU,
                                      .top_k = 32,
                                      .delta = 0.1,
                                      .use_multiplier = true};
    text out = {0};
    json_object(&out, NULL);
    json_model_settings(&out, &settings);
    json_object_end(&out);
    check(&out, "{\"settings\":{\"sae\":\"jumprelu\",\"encoder\":null,\"top_k\":32,\"delta\":0.1,\"use_"
                "multiplier\":true,"
                "\"running_threshold\":null,\"threshold_momentum\":null,\"bandwidth\":null,\"kernel\":null,"
                "\"dictionary\":null,\"mixture\":null,\"hull_share\":null,\"center_input\":null,\"hidden_"
                "activation\":null,"
                "\"hidden_residual\":null}}");
}
END_TEST

TEST_CASES(model_json, test_what_is_not_known_is_null, test_what_is_known,
           test_settings_have_the_types_of_json)
