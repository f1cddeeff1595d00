/* An atom in JSON, as inspect and the daemon show it (lib/app/{atom,latent,row}_json.c). */
#include "app/atom_json.h"
#include "model_files.h"

#include <math.h>
#include <string.h>

static void check(text *out, const char *expected) {
    ck_assert(!out->failed);
    text_append(out, "", 1);
    ck_assert_str_eq(out->data, expected);
    text_release(out);
}

static void write_atom(text *out, const ra_model *model, size_t atom, unsigned parts,
                       const atom_numbers *numbers) {
    json_object(out, NULL);
    json_atom_parts(out, model, atom, parts, numbers);
    json_object_end(out);
}

static ra_model *open_file(model_file *file) {
    ra_model *model = NULL;
    ra_ok(ra_model_open(model_file_write(file, "atoms.safetensors"), NULL, &model, &err));
    model_file_release(file);
    return model;
}

START_TEST(test_what_explains_an_atom) {
    static const int64_t row[FILE_K * 2] = {7, 3, 2, -1, 0, -1, 0, -1, 0, -1, 0, -1};
    static const float weight[FILE_K * 2] = {0.75f, 0.25f, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0},
                                       part[FILE_K * 2] = {0.5f, 0.25f, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0},
                                       cosine[FILE_K] = {0.5f, 1, 1, 1, 1, 1}, share[FILE_K] = {0.125f},
                                       contribution[FILE_K * FILE_T] = {0.5f, 0.25f, -0.125f};
    model_file file = {0};
    model_file_artifact(&file);
    model_file_put(&file, "archetypes.contribution", RA_F32, 2, FILE_K, FILE_T, contribution);
    model_file_put(&file, "relaxation.share", RA_F32, 1, FILE_K, 0, share);
    model_file_put(&file, "hull.share", RA_F32, 1, FILE_K, 0, cosine);
    model_file_put(&file, "trace.row", RA_I64, 2, FILE_K, 2, row);
    model_file_put(&file, "trace.weight", RA_F32, 2, FILE_K, 2, weight);
    model_file_put(&file, "trace.contribution", RA_F32, 2, FILE_K, 2, part);
    model_file_put(&file, "trace.cosine", RA_F32, 1, FILE_K, 0, cosine);
    model_file_put_text(&file, "trace.labels", "cat\tpurr\nx\t\nx\t\nx\t\nx\t\nx\t\n");
    ra_model *model = open_file(&file);
    text out = {0};
    write_atom(&out, model, 0, ATOM_PROVENANCE, NULL);
    check(&out, "{\"label\":\"cat + purr\",\"label_source\":\"trace\",\"archetypes\":[{\"point\":0,"
                "\"label\":\"cat\",\"weight\":0.5,\"contribution\":0.5},{\"point\":1,\"label\":\"dog,"
                " cow\",\"weight\":0.25,\"contribution\":0.25},{\"point\":2,\"label\":\"owl\","
                "\"weight\":0.125,\"contribution\":-0.125}],\"coverage\":0.875,\"hull_share\":0.5,"
                "\"relaxation\":{\"norm\":0,\"share\":0.125},\"trace\":{\"rows\":[{\"row\":7,"
                "\"label\":\"cat\",\"weight\":0.75,\"contribution\":0.5},{\"row\":3,\"label\":\"purr\","
                "\"weight\":0.25,\"contribution\":0.25}],"
                "\"cosine\":0.5}}");
    write_atom(&out, model, 1, ATOM_TRACE, NULL);
    check(
        &out,
        "{\"trace\":{\"rows\":[{\"row\":2,\"label\":\"x\",\"weight\":1,\"contribution\":1}],\"cosine\":1}}");
    ra_model_release(model);
}
END_TEST

START_TEST(test_what_is_measured_about_an_atom) {
    model_file file = {0};
    model_file_measured(&file);
    ra_model *model = open_file(&file);
    text out = {0};
    const float vector[FILE_D] = {1, -2, 1e-7f, 0}, direction[FILE_D] = {3, -6, 0.5f, 0};
    write_atom(&out, model, 0, ATOM_STATISTICS | ATOM_LAYOUT | ATOM_VECTOR | ATOM_DIRECTION,
               &(atom_numbers){.vector = vector, .direction = direction});
    check(&out, "{\"statistics\":{\"rows\":10,\"count\":3,\"frequency\":0.3,\"mean\":1.5,\"max\":2.5,"
                "\"energy\":0.5,\"histogram\":{\"low\":0,\"high\":4,\"counts\":[1,1,1,0]},"
                "\"top\":[{\"row\":9,\"item\":null,\"position\":null,\"value\":2.5,\"label\":\"cat\","
                "\"token\":null},{\"row\":0,"
                "\"item\":null,"
                "\"position\":null,\"value\":1,"
                "\"label\":\"dog\",\"token\":null}]},\"layout\":[0,0.5],\"vector\":[1,-2,1e-7,0],"
                "\"direction\":[3,-6,0.5,0]}");
    ra_model_release(model);
}
END_TEST

START_TEST(test_what_is_not_known_is_null_and_what_is_not_asked_is_absent) {
    model_file file = {0};
    model_file_artifact(&file);
    static const char *const away[] = {"relaxation.norm", "points.row_labels"};
    for (size_t i = 0; i < sizeof away / sizeof *away; i++) model_file_drop(&file, away[i]);
    ra_model *model = open_file(&file);
    text out = {0};
    write_atom(&out, model, 1,
               ATOM_ALL_PARTS & ~(unsigned)(ATOM_NORM | ATOM_VECTOR | ATOM_DIRECTION | ATOM_ENCODER), NULL);
    check(&out,
          "{\"label\":null,\"label_source\":null,\"explanation\":null,\"archetypes\":[{\"point\":1,\"label\":"
          "null,\"weight\":1,"
          "\"contribution\":null}],\"coverage\":1,\"hull_share\":null,\"relaxation\":{\"norm\":null,"
          "\"share\":null},\"trace\":null,\"agreement\":null,\"statistics\":null,\"quantiles\":null,"
          "\"layout\":null,\"units\":"
          "\"data\"}");
    write_atom(&out, model, 1, 0, NULL);
    check(&out, "{}");
    atom_words words = {.label = "a", .score = NAN};
    write_atom(&out, model, 1, ATOM_LABEL | ATOM_EXPLANATION, &(atom_numbers){.words = &words});
    check(&out, "{\"label\":\"a\",\"label_source\":\"set\",\"explanation\":null}");
    words.source = "me";
    write_atom(&out, model, 1, ATOM_EXPLANATION, &(atom_numbers){.words = &words});
    check(&out, "{\"explanation\":{\"text\":null,\"source\":\"me\",\"score\":null}}");
    ck_assert_str_eq(atom_part_names[ATOM_INDEX_ARCHETYPES], "archetypes");
    ra_model_release(model);
}
END_TEST

START_TEST(test_archetypes_can_name_the_rows_of_their_points) {
    model_file file = {0};
    model_file_artifact(&file);
    ra_model *model = open_file(&file);
    text out = {0};
    write_atom(&out, model, 1, ATOM_ARCHETYPES | ATOM_POINT_ROWS, NULL);
    check(&out, "{\"archetypes\":[{\"point\":1,\"label\":\"dog, cow\",\"weight\":1,\"contribution\":null,"
                "\"rows\":[{\"row\":0,\"distance\":0,\"label\":\"dog\"},{\"row\":1,\"distance\":0.25,"
                "\"label\":\"cow\"}]}],\"coverage\":1,\"hull_share\":null}");
    ra_model_release(model);
}
END_TEST

/* "BASE/LABEL/ITEM/ROW", of labeled rows alone. */
static bool name_media(const void *source, const char *base, const media_row *row, text *out) {
    ck_assert_str_eq(source, "source");
    if (!row->label) return false;
    text_format(out, "%s/%s/%zu/%zu", base, row->label, row->has_item ? row->item : 77, row->row);
    return true;
}

START_TEST(test_rows_tell_where_they_are_from) {
    static const int64_t row[FILE_K * 2] = {7, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    static const float weight[FILE_K * 2] = {0.75f, 0.25f}, cosine[FILE_K] = {0.5f};
    model_file file = {0};
    model_file_measured(&file);
    model_file_put(&file, "trace.row", RA_I64, 2, FILE_K, 2, row);
    model_file_put(&file, "trace.weight", RA_F32, 2, FILE_K, 2, weight);
    model_file_put(&file, "trace.contribution", RA_F32, 2, FILE_K, 2, weight);
    model_file_put(&file, "trace.cosine", RA_F32, 1, FILE_K, 0, cosine);
    model_file_put_text(&file, "trace.labels", "cat\tpurr\n\t\n\t\n\t\n\t\n\t\n");
    model_file_text(&file, "latents.item_shape", "4");
    ra_model *model = open_file(&file);
    text out = {0};
    row_places places = row_places_of(model);
    ck_assert_uint_eq(places.rows, FILE_ROWS);
    places.media = name_media;
    places.source = "source";
    places.base = "/m";
    const atom_numbers numbers = {.places = &places};
    write_atom(&out, model, 0, ATOM_TRACE,
               &numbers); /* the statistics have 10 rows, so row 12 is of other data */
    check(&out,
          "{\"trace\":{\"rows\":[{\"row\":7,\"item\":1,\"position\":3,\"label\":\"cat\",\"weight\":0.75,"
          "\"contribution\":0.75,\"media\":\"/m/cat/1/7\"},{\"row\":12,\"item\":null,\"position\":null,"
          "\"label\":\"purr\",\"weight\":0.25,\"contribution\":0.25,\"media\":\"/m/purr/77/12\"}],"
          "\"cosine\":0.5}}");
    write_atom(&out, model, 0, ATOM_ARCHETYPES, &numbers);
    text_append(&out, "", 1);
    ck_assert_ptr_nonnull(strstr(out.data,
                                 "\"point\":0,\"label\":\"cat\",\"weight\":0.5,\"contribution\":null,"
                                 "\"row\":7,\"item\":1,\"position\":3,\"media\":\"/m/cat/1/7\"}"));
    text_release(&out);
    write_atom(&out, model, 0, ATOM_STATISTICS, &numbers);
    text_append(&out, "", 1);
    ck_assert_ptr_nonnull(strstr(out.data,
                                 "{\"row\":9,\"item\":2,\"position\":1,\"value\":2.5,\"label\":\"cat\","
                                 "\"token\":null,\"media\":\"/m/cat/2/9\"}"));
    text_release(&out);
    ra_model_release(model);
}
END_TEST

TEST_CASES(atom_json, test_rows_tell_where_they_are_from, test_what_explains_an_atom,
           test_what_is_measured_about_an_atom,
           test_what_is_not_known_is_null_and_what_is_not_asked_is_absent,
           test_archetypes_can_name_the_rows_of_their_points)
