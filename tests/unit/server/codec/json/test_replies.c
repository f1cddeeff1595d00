#include "harness.h"
#include "codec/json/replies.h"

#include <math.h>
#include <string.h>

static void check(text *out, const char *expected) {
    ck_assert(!out->failed);
    text_append(out, "", 1);
    ck_assert_str_eq(out->data, expected);
    text_release(out);
}

START_TEST(test_an_atom_with_everything) {
    static const ra_archetype archetypes[] = {{12, 0.75f, "dog; puppy"}, {3, 0.25f, NULL}};
    /* of latents 0 to 5; the test looks at the last one */
    const ra_latent_statistics latents = {
        .rows = 8,
        .concepts = 6,
        .bins = 2,
        .examples = 3,
        .count = (const int64_t[]){0, 0, 0, 0, 0, 2},
        .mean = (const float[]){0, 0, 0, 0, 0, 1.5f},
        .max = (const float[]){0, 0, 0, 0, 0, 2},
        .energy = (const float[]){0, 0, 0, 0, 0, 0.375f},
        .histogram_top = (const float[]){0, 0, 0, 0, 0, 4},
        .histogram = (const int64_t[]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1},
        .top_row = (const int64_t[]){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 7, 3, -1},
        .top_value = (const float[]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0},
    };
    text out = {0};
    json_atom(&out, &(atom_reply){.atom = 5,
                                  .fields = ATOM_ALL_FIELDS,
                                  .norm = 2,
                                  .label = "a \"dog\"",
                                  .archetypes = archetypes,
                                  .archetype_count = 2,
                                  .relaxation = 0.5f,
                                  .latents = &latents,
                                  .layout = (float[]){0.5f, -1},
                                  .vector = (float[]){1, -2, 1e-7f},
                                  .dimensions = 3});
    check(&out,
          "{\"atom\":5,\"norm\":2,\"label\":\"a \\\"dog\\\"\",\"archetypes\":["
          "{\"point\":12,\"label\":\"dog; puppy\",\"weight\":0.75},"
          "{\"point\":3,\"label\":null,\"weight\":0.25}],"
          "\"relaxation\":{\"norm\":0.5},\"statistics\":{\"rows\":8,\"count\":2,\"frequency\":0.25,"
          "\"mean\":1.5,\"max\":2,\"energy\":0.375,\"histogram\":{\"low\":0,\"high\":4,\"counts\":[1,1]},"
          "\"top\":[{\"row\":7,\"value\":2,\"label\":null},{\"row\":3,\"value\":1,\"label\":null}]},"
          "\"layout\":[0.5,-1],\"vector\":[1,-2,1e-7]}");
}
END_TEST

START_TEST(test_an_atom_of_which_little_is_known_or_asked) {
    text out = {0};
    json_atom(&out, &(atom_reply){.atom = 1,
                                  .fields = ATOM_LABEL | ATOM_ARCHETYPES | ATOM_RELAXATION,
                                  .relaxation = NAN});
    check(&out, "{\"atom\":1,\"label\":null,\"archetypes\":[],\"relaxation\":{\"norm\":null}}");
    json_atom(&out, &(atom_reply){.atom = 1, .fields = ATOM_STATISTICS | ATOM_LAYOUT});
    check(&out, "{\"atom\":1,\"statistics\":null,\"layout\":null}");
    json_atom(&out, &(atom_reply){.atom = 2});
    check(&out, "{\"atom\":2}");
}
END_TEST

START_TEST(test_a_dictionary_never_names_its_file) {
    ra_model_info info = {.path = "/secret/words.safetensors",
                          .concepts = 4000,
                          .dimensions = 384,
                          .dtype = RA_BF16,
                          .has_encoder = true,
                          .bytes = 123,
                          .device = "cpu"};
    info.settings = (ra_sae_settings){.known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K | 1u << RA_SET_DELTA |
                                               1u << RA_SET_USE_MULTIPLIER,
                                      .sae = RA_SAE_TOPK,
                                      .top_k = 32,
                                      .delta = 0.1,
                                      .use_multiplier = true};
    text out = {0};
    dictionary_reply reply = {.name = "words", .generation = 2, .requests = 7, .info = &info};
    json_dictionary(&out, &reply);
    check(&out,
          "{\"name\":\"words\",\"concepts\":4000,\"dimensions\":384,\"points\":null,\"archetypes\":null,"
          "\"dtype\":\"bf16\",\"sae\":\"topk\",\"encoder\":null,\"has_encoder\":true,"
          "\"standardized\":false,\"has_relaxation\":false,\"has_atom_labels\":false,\"has_point_labels\":"
          "false,\"has_point_vectors\":false,\"has_statistics\":false,\"has_layout\":false,"
          "\"source\":\"artifact\",\"device\":\"cpu\",\"digest\":\"\",\"bytes\":"
          "123,"
          "\"generation\":2,\"requests\":7}");
    reply.with_settings = true;
    json_dictionary(&out, &reply);
    text_append(&out, "", 1);
    ck_assert_ptr_nonnull(strstr(out.data, "\"settings\":{\"sae\":\"topk\",\"top_k\":32,\"delta\":0.1,"
                                           "\"use_multiplier\":true}}"));
    ck_assert_ptr_null(strstr(out.data, "secret"));
    text_release(&out);
}
END_TEST

START_TEST(test_matches_concepts_and_fits) {
    text out = {0};
    json_match(&out, 7, 0.93f, "cat");
    check(&out, "{\"atom\":7,\"score\":0.93,\"label\":\"cat\"}");
    json_concept(&out, &(ra_contribution){3, 1.5f, NAN}, NULL, &(ra_archetype){1, 1, "x"}, 1);
    check(&out, "{\"atom\":3,\"code\":1.5,\"contribution\":null,\"label\":null,"
                "\"archetypes\":[{\"point\":1,\"label\":\"x\",\"weight\":1}]}");
    json_fit(&out, 0.5f, 2, -INFINITY);
    check(&out, "\"residual\":{\"norm\":0.5},\"input\":{\"norm\":2},\"r2\":null");
    ck_assert_str_eq(metric_name(RA_SIMILARITY_COSINE), "cosine");
    ck_assert_str_eq(metric_name(RA_SIMILARITY_DOT), "dot");
}
END_TEST

START_TEST(test_a_point_with_and_without_its_vector) {
    text out = {0};
    point_reply point = {.point = 4,
                         .label = "p",
                         .uses = (ra_point_use[]){{1, 0.5f}, {2, 0.25f}},
                         .use_count = 2,
                         .rows = (ra_point_row[]){{99, 0.125f, "row"}},
                         .row_count = 1,
                         .vector = (float[]){1, 2},
                         .dimensions = 2};
    json_point(&out, &point);
    check(&out,
          "{\"point\":4,\"label\":\"p\",\"atoms\":[{\"atom\":1,\"weight\":0.5},{\"atom\":2,\"weight\":0.25}],"
          "\"rows\":[{\"row\":99,\"distance\":0.125,\"label\":\"row\"}],\"vector\":[1,2]}");
    json_point(&out, &(point_reply){.point = 0});
    check(&out, "{\"point\":0,\"label\":null,\"atoms\":[],\"rows\":[]}");
}
END_TEST

TEST_CASES(json_replies, test_an_atom_with_everything, test_an_atom_of_which_little_is_known_or_asked,
           test_a_dictionary_never_names_its_file, test_matches_concepts_and_fits,
           test_a_point_with_and_without_its_vector)
