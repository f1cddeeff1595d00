#include "harness.h"
#include "model_files.h"
#include "codec/json/replies.h"

#include <math.h>
#include <string.h>

static void check(text *out, const char *expected) {
    ck_assert(!out->failed);
    text_append(out, "", 1);
    ck_assert_str_eq(out->data, expected);
    text_release(out);
}

START_TEST(test_atoms_matches_and_concepts) {
    model_file file = {0};
    ra_model *model = NULL;
    text out = {0};
    model_file_artifact(&file);
    ra_ok(ra_model_open(model_file_write(&file, "atoms.safetensors"), NULL, &model, &err));
    json_match(&out, model, 1, 0.93f, ATOM_LABEL, NULL);
    check(&out, "{\"atom\":1,\"score\":0.93,\"label\":\"dog\",\"label_source\":\"archetypes\"}");
    json_atom(&out, model, 1, ATOM_RELAXATION, NULL);
    check(&out, "{\"atom\":1,\"relaxation\":{\"norm\":0.5,\"share\":null}}");
    json_concept(&out, model, &(ra_contribution){1, 1.5f, NAN}, ATOM_PROVENANCE, NULL);
    check(&out, "{\"atom\":1,\"code\":1.5,\"contribution\":null,\"label\":\"dog\",\"label_source\":"
                "\"archetypes\",\"archetypes\":[{\"point\":1,\"label\":\"dog, cow\",\"weight\":1,"
                "\"contribution\":null}],\"coverage\":1,\"hull_share\":null,\"relaxation\":{\"norm\":0.5,"
                "\"share\":null},\"trace\":null}");
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_a_dictionary_never_names_its_file) {
    ra_model_info info = {.path = "/secret/words.safetensors",
                          .concepts = 4000,
                          .dimensions = 384,
                          .dtype = RA_BF16,
                          .has_encoder = true,
                          .coverage = NAN,
                          .hull_share = 0.5f,
                          .trace_cosine = NAN,
                          .bytes = 123,
                          .device = "cpu"};
    info.settings = (ra_sae_settings){.known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K | 1u << RA_SET_DELTA |
                                               1u << RA_SET_USE_MULTIPLIER,
                                      .sae = RA_SAE_TOPK,
                                      .top_k = 32,
                                      .delta = 0.1,
                                      .use_multiplier = true};
    text out = {0};
    dictionary_reply reply = {.name = "words",
                              .loaded_at = 1763885702,
                              .revision = "d1",
                              .generation = 2,
                              .requests = 7,
                              .info = &info};
    json_dictionary(&out, &reply);
    check(
        &out,
        "{\"name\":\"words\",\"state\":\"loaded\",\"reason\":null,\"loaded_at\":\"2025-11-23T08:15:02Z\","
        "\"atom_count\":4000,\"point_count\":null,\"archetype_count\":null,"
        "\"concepts\":4000,\"dimensions\":384,\"points\":null,\"archetypes\":null,"
        "\"dtype\":\"bf16\",\"sae\":\"topk\",\"encoder\":null,\"has_encoder\":true,"
        "\"standardized\":false,\"has_relaxation\":false,\"has_atom_labels\":false,"
        "\"has_explanations\":false,\"has_point_labels\":"
        "false,\"has_point_vectors\":false,\"has_trace\":false,\"coverage\":null,\"hull_share\":0.5,"
        "\"trace_cosine\":null,\"agreement\":null,\"has_statistics\":false,\"has_cofiring\":false,"
        "\"has_quantiles\":false,\"has_contrasts\":false,\"has_layout\":false,\"has_training\":false,"
        "\"model\":"
        "null,\"hook\":null,\"shape\":null,"
        "\"source\":\"artifact\",\"device\":\"cpu\",\"digest\":\"\",\"bytes\":"
        "123,\"item_shape\":null,\"item_count\":0,\"has_tokens\":false,\"media_url\":null,\"row_count\":null,"
        "\"revision\":\"d1\",\"generation\":2,\"requests\":7}");
    reply.with_settings = true;
    json_dictionary(&out, &reply);
    text_append(&out, "", 1);
    ck_assert_ptr_nonnull(strstr(out.data,
                                 "\"settings\":{\"sae\":\"topk\",\"encoder\":null,\"top_k\":32,"
                                 "\"delta\":0.1,\"use_multiplier\":true,\"running_threshold\":null,"));
    ck_assert_ptr_null(strstr(out.data, "secret"));
    text_release(&out);
}
END_TEST

START_TEST(test_fits_and_metrics) {
    text out = {0};
    json_fit(&out, 0.5f, 2, -INFINITY);
    check(&out, "\"residual_norm\":0.5,\"input_norm\":2,\"residual\":{\"norm\":0.5},\"input\":{\"norm\":2},"
                "\"r2\":null");
    ck_assert_str_eq(metric_name(RA_SIMILARITY_COSINE), "cosine");
    ck_assert_str_eq(metric_name(RA_SIMILARITY_DOT), "dot");
}
END_TEST

START_TEST(test_what_is_not_loaded) {
    text out = {0};
    json_unavailable(&out, &(unavailable_reply){.name = "words", .state = "failed", .reason = "no file"});
    check(&out, "{\"name\":\"words\",\"state\":\"failed\",\"reason\":\"no "
                "file\",\"loaded_at\":null,\"generation\":null}");
    json_unavailable(
        &out,
        &(unavailable_reply){.name = "words", .state = "unloaded", .loaded_at = 1763885702, .generation = 3});
    check(&out, "{\"name\":\"words\",\"state\":\"unloaded\",\"reason\":null,"
                "\"loaded_at\":\"2025-11-23T08:15:02Z\",\"generation\":3}");
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
                         .places = &(row_places){.items = {.rows = 10}},
                         .vector = (float[]){1, 2},
                         .location = (float[]){3, 5},
                         .dimensions = 2};
    json_point(&out, &point);
    check(&out,
          "{\"point\":4,\"label\":\"p\",\"atoms\":[{\"atom\":1,\"weight\":0.5},{\"atom\":2,\"weight\":0.25}],"
          "\"rows\":[{\"row\":99,\"distance\":0.125,\"label\":\"row\",\"item\":9,\"position\":9,"
          "\"media\":null}],\"vector\":[1,2],\"location\":[3,5]}");
    json_point(&out, &(point_reply){.point = 0});
    check(&out,
          "{\"point\":0,\"label\":null,\"atoms\":null,\"rows\":null,\"vector\":null,\"location\":null}");
}
END_TEST

TEST_CASES(json_replies, test_atoms_matches_and_concepts, test_a_dictionary_never_names_its_file,
           test_what_is_not_loaded, test_fits_and_metrics, test_a_point_with_and_without_its_vector)
