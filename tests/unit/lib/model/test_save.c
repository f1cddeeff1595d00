/* The artifact that a model writes (lib/model/save.c, lib/model/open/tensors.c): the same model again, and the same bytes each
 * time. */
#include "model_files.h"

#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 32 };

/* All answers of a model for the first B rows of the golden data, in one array. */
typedef struct answers {
    float x_hat[B * 16], found[B * 5], norm[48];
    size_t ids[B * 5];
    ra_codes codes;
} answers;

static answers *ask(const ra_model *model, const float *x) {
    answers *a = ra_calloc(1, sizeof *a);
    ra_workspace *workspace = NULL;
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_encode(model, workspace, x, B, &a->codes, &err));
    ra_ok(ra_model_reconstruct(model, workspace, &a->codes, a->x_hat, &err));
    ra_ok(ra_model_search(model, workspace, x, B, 5, RA_SIMILARITY_COSINE, a->ids, a->found, &err));
    for (size_t k = 0; k < 48; k++) a->norm[k] = ra_model_atom_norm(model, k);
    ra_workspace_free(workspace);
    return a;
}

static void forget(answers *a) {
    ra_codes_release(&a->codes);
    ra_free(a);
}

static const char *const runs[] = {"relu-mse_l1", "topk-mse", "jumprelu-mse_l1", "topk-mse-mlp_ln_1",
                                   "topk-mse-mlp_bn_1"};
static const ra_dtype dtypes[] = {RA_F32, RA_F16, RA_BF16};
static const double precision[] = {0, 1e-3, 8e-3};

START_TEST(test_a_saved_model_answers_as_its_checkpoint) {
    char checkpoint[64], data[64], name[64];
    snprintf(checkpoint, sizeof checkpoint, "%s.final.safetensors", runs[_i]);
    snprintf(data, sizeof data, "%s.x.npy", runs[_i]);
    ra_npy *npy = NULL;
    ra_ok(ra_npy_open(test_golden(data), &npy, &err));
    const float *x = ra_npy_tensor(npy)->data;
    ra_model *fused = model_open(test_golden(checkpoint));
    answers *first = ask(fused, x);
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "fused-%s.safetensors", ra_dtype_name(dtypes[i]));
        ra_ok(ra_model_save(fused, test_path(name), dtypes[i], &err));
        ra_model *saved = model_open(test_path(name));
        ck_assert_int_eq(ra_model_get_info(saved)->dtype, dtypes[i]);
        ck_assert(!ra_model_get_info(saved)->from_checkpoint);
        answers *second = ask(saved, x);
        ck_assert_uint_eq(ra_codes_entries(&first->codes), ra_codes_entries(&second->codes));
        ck_assert_mem_eq(first->codes.value, second->codes.value,
                         ra_codes_entries(&first->codes) * sizeof(float));
        if (dtypes[i] == RA_F32) {
            ck_assert_mem_eq(first->x_hat, second->x_hat, sizeof first->x_hat);
            ck_assert_mem_eq(first->found, second->found, sizeof first->found);
            ck_assert_mem_eq(first->ids, second->ids, sizeof first->ids);
            ck_assert_mem_eq(first->norm, second->norm, sizeof first->norm);
        } else {
            assert_close(second->x_hat, first->x_hat, B * 16, precision[i]);
            assert_close(second->norm, first->norm, 48, precision[i]);
        }
        for (size_t k = 0; k < 48; k++) {
            for (size_t t = 0; t <= RA_ARCHETYPES_DEFAULT; t++) {
                ra_archetype a = {0}, b = {0};
                ck_assert(ra_model_atom_archetype(fused, k, t, &a) ==
                          ra_model_atom_archetype(saved, k, t, &b));
                ck_assert(a.point == b.point && a.weight == b.weight && a.contribution == b.contribution);
            }
            ck_assert(ra_model_atom_relaxation(fused, k) == ra_model_atom_relaxation(saved, k));
        }
        forget(second);
        ra_model_release(saved);
    }
    forget(first);
    ra_model_release(fused);
    ra_npy_free(npy);
}
END_TEST

static char *content(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    char *bytes = ra_malloc(1 << 20, 1);
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void check_same_file(const char *a, const char *b) {
    size_t size_a, size_b;
    char *bytes_a = content(a, &size_a), *bytes_b = content(b, &size_b);
    ck_assert_uint_gt(size_a, 0);
    ck_assert_uint_eq(size_a, size_b);
    ck_assert(memcmp(bytes_a, bytes_b, size_a) == 0);
    ra_free(bytes_a);
    ra_free(bytes_b);
}

/* The file in memory is the one that is written, and its digest says whether two models are the same. */
START_TEST(test_an_artifact_in_memory_is_the_file) {
    void (*const make[])(model_file *) = {model_file_artifact, model_file_measured, model_file_checkpoint};
    for (size_t i = 0; i < 3; i++) {
        model_file file = {0};
        make[i](&file);
        ra_model *model = model_open(model_file_write(&file, "from.safetensors"));
        ra_artifact *made = NULL, *again = NULL;
        ra_ok(ra_artifact_new(model, &made, &err));
        size_t count, size, at = 0;
        const ra_bytes *parts = ra_artifact_parts(made, &count);
        const char *path = test_path("saved.safetensors");
        ra_ok(ra_model_save(model, path, ra_model_get_info(model)->dtype, &err));
        char *bytes = content(path, &size);
        for (size_t part = 0; part < count; at += parts[part++].size) {
            ck_assert_uint_gt(parts[part].size, 0);
            ck_assert_uint_le(at + parts[part].size, size);
            ck_assert(memcmp(bytes + at, parts[part].data, parts[part].size) == 0);
        }
        ck_assert_uint_eq(at, size);
        ra_model *same = model_open(path);
        ra_ok(ra_artifact_new(same, &again, &err));
        ck_assert_str_eq(ra_artifact_digest(again), ra_artifact_digest(made));
        ra_artifact_free(again);
        ra_model_release(same);
        model_file_text(&file, "model", "another");
        ra_model *other = model_open(model_file_write(&file, "other.safetensors"));
        ra_ok(ra_artifact_new(other, &again, &err));
        ck_assert_str_ne(ra_artifact_digest(again), ra_artifact_digest(made));
        ra_artifact_free(again);
        ra_model_release(other);
        ra_artifact_free(made);
        ra_artifact_free(NULL);
        ra_model_release(model);
        ra_free(bytes);
        model_file_release(&file);
    }
}
END_TEST

/* Saving twice, or saving what was opened from the saved file, gives the same bytes. */
START_TEST(test_the_same_model_gives_the_same_bytes) {
    void (*const make[])(model_file *) = {model_file_artifact, model_file_checkpoint};
    for (size_t i = 0; i < 2; i++) {
        model_file file = {0};
        make[i](&file);
        model_file_put_text(&file, "points.labels", "a\r\n\r\nc\r\nd\r\ne");
        model_file_put_text(&file, "atoms.labels", "a\n\nc\nd\n\nf");
        ra_model *model = model_open(model_file_write(&file, "from.safetensors"));
        ra_ok(ra_model_save(model, test_path("1.safetensors"), RA_F32, &err));
        ra_ok(ra_model_save(model, test_path("2.safetensors"), RA_F32, &err));
        ra_model *again = model_open(test_path("1.safetensors"));
        ra_ok(ra_model_save(again, test_path("3.safetensors"), RA_F32, &err));
        check_same_file(test_path("1.safetensors"), test_path("2.safetensors"));
        check_same_file(test_path("1.safetensors"), test_path("3.safetensors"));
        ra_ok(
            ra_model_save(again, test_path("1.safetensors"), RA_F32, &err)); /* over the file that it maps */
        check_same_file(test_path("1.safetensors"), test_path("2.safetensors"));
        ck_assert_str_eq(ra_model_atom_label(again, 5), "f");
        ra_model_release(again);
        ra_model_release(model);
        model_file_release(&file);
    }
}
END_TEST

START_TEST(test_what_a_checkpoint_knows_of_its_points_passes_through) {
    model_file file = {0};
    model_file_checkpoint(&file);
    model_file_put_text(&file, "atoms.labels", "a\nb\nc\nd\ne\nf");
    ra_model *model = model_open(model_file_write(&file, "checkpoint.safetensors"));
    ra_ok(ra_model_save(model, test_path("fused.safetensors"), RA_F16, &err));
    ra_model_release(model);
    model = model_open(test_path("fused.safetensors"));
    const ra_model_info *info = ra_model_get_info(model);
    ck_assert_uint_eq(info->points, FILE_N);
    ck_assert(info->has_point_vectors && info->has_point_labels && info->has_atom_labels &&
              info->has_encoder);
    ck_assert_str_eq(ra_model_atom_label(model, 5), "f");
    ck_assert_str_eq(ra_model_point_label(model, 1), "dog, cow");
    ra_point_row rows[FILE_R];
    ck_assert_uint_eq(ra_model_point_rows(model, 3, rows, FILE_R), 2);
    ck_assert_uint_eq(rows[0].row, 4);
    ck_assert_ptr_null(rows[0].label);
    ck_assert_str_eq(rows[1].label, "fox");
    float vector[FILE_D], expected[FILE_N * FILE_D];
    test_fill(expected, FILE_N * FILE_D, 7); /* C of the checkpoint */
    ra_ok(ra_model_point(model, 2, vector, &err));
    ck_assert_mem_eq(vector, expected + 2 * FILE_D, sizeof vector);
    ra_model_release(model);

    ra_safetensors *saved = NULL; /* derived labels are not written */
    ra_ok(ra_safetensors_open(test_path("fused.safetensors"), &saved, &err));
    ck_assert_ptr_null(ra_safetensors_find(saved, "points.labels"));
    ck_assert_ptr_nonnull(ra_safetensors_find(saved, "points.row_labels"));
    ck_assert_ptr_null(ra_safetensors_find(saved, "dictionary.W"));
    ck_assert_str_eq(ra_safetensors_metadata(saved, "format"), "rasae.fused.v1");
    ck_assert_str_eq(ra_safetensors_metadata(saved, "points"), "5");
    ck_assert_str_eq(ra_safetensors_metadata(saved, "sae"), "jumprelu");
    ck_assert_str_eq(ra_safetensors_metadata(saved, "encoder"), "linear");
    ck_assert_str_eq(ra_safetensors_metadata(saved, "dictionary"), "archetypal");
    ck_assert_str_eq(ra_safetensors_metadata(saved, "delta"), "0.5");
    ck_assert_ptr_null(ra_safetensors_metadata(saved, "top_k"));
    ra_safetensors_free(saved);
    model_file_release(&file);
}
END_TEST

/* Labels that are given stand beside those of the file; an empty one takes that of the file away. */
START_TEST(test_labels_are_added) {
    static const char csv[] = "atom,label\n0,\n1,\"x, y\"\n5,z\n";
    static const char *const expected[] = {NULL, "x, y", "c", "d", NULL, "z"};
    model_file file = {0};
    ra_atom_labels *labels = NULL;
    model_file_artifact(&file);
    model_file_put_text(&file, "atoms.labels", "a\n\nc\nd\n\nf");
    ra_model *model = model_open(model_file_write(&file, "from.safetensors"));
    const char *path = test_write("labels.csv", csv, sizeof csv - 1);
    ra_ok(ra_atom_labels_open(path, FILE_K, &labels, &err));
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.atom_labels = labels},
                             test_path("labeled.safetensors"), RA_F32, &err));
    ra_atom_labels_free(labels);
    ra_model *labeled = model_open(test_path("labeled.safetensors"));
    for (size_t k = 0; k < FILE_K; k++) {
        bool own = ra_model_atom_label_source(labeled, k) == RA_LABEL_FILE;
        ck_assert_int_eq(own, expected[k] != NULL);
        if (own) ck_assert_str_eq(ra_model_atom_label(labeled, k), expected[k]);
    }
    ra_model_release(labeled);
    ra_ok(ra_atom_labels_open(path, FILE_K + 1, &labels, &err));
    ra_fails(ra_model_save_with(model, &(ra_model_additions){.atom_labels = labels},
                                test_path("refused.safetensors"), RA_F32, &err),
             RA_ERR_SHAPE, "labels of 7 cannot be saved");
    ra_atom_labels_free(labels);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

static void check_words(const ra_model *model, size_t atom, const char *explanation, const char *source,
                        float score) {
    ra_label_words words;
    bool any = ra_model_atom_words(model, atom, &words);
    ck_assert(any == (explanation || source || !isnan(score)));
    ck_assert(!words.explanation == !explanation && !words.source == !source);
    if (explanation) ck_assert_str_eq(words.explanation, explanation);
    if (source) ck_assert_str_eq(words.source, source);
    ck_assert(words.score == score || (isnan(words.score) && isnan(score)));
}

/* What is said with a label comes and goes with it; saved again it is the same, and it is part of the digest. */
START_TEST(test_what_is_said_with_labels_is_kept) {
    static const char first[] =
        "{\"atom\":1,\"label\":\"b\",\"explanation\":\"a\\\\n\\tb\\nc\",\"score\":0.5}\n"
        "{\"atom\":2,\"label\":\"c\",\"source\":\"me\"}\n"
        "{\"atom\":3,\"label\":\"d\",\"explanation\":\"e\",\"source\":\"f\",\"score\":-2}\n";
    static const char second[] = "atom,label\n2,\n3,other\n";
    model_file file = {0};
    ra_atom_labels *labels = NULL;
    ra_artifact *digests[2];
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "from.safetensors"));
    ck_assert(!ra_model_get_info(model)->has_explanations);
    ra_ok(ra_atom_labels_open(test_write("1.jsonl", first, sizeof first - 1), FILE_K, &labels, &err));
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.atom_labels = labels}, test_path("1.safetensors"),
                             RA_F32, &err));
    ra_atom_labels_free(labels);
    ra_model_release(model);
    model = model_open(test_path("1.safetensors"));
    ck_assert(ra_model_get_info(model)->has_explanations);
    for (size_t turn = 0; turn < 2; turn++) {
        check_words(model, 0, NULL, NULL, NAN);
        check_words(model, 1, "a\\n\tb\nc", NULL, 0.5f);
        check_words(model, 2, NULL, "me", NAN);
        check_words(model, 3, "e", "f", -2);
        if (turn) break;
        ra_ok(ra_model_save(model, test_path("2.safetensors"), RA_F32, &err));
        check_same_file(test_path("1.safetensors"), test_path("2.safetensors"));
        ra_model_release(model);
        model = model_open(test_path("2.safetensors"));
    }
    ra_ok(ra_artifact_new(model, &digests[0], &err));
    ra_ok(ra_atom_labels_open(test_write("2.csv", second, sizeof second - 1), FILE_K, &labels, &err));
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.atom_labels = labels}, test_path("3.safetensors"),
                             RA_F32, &err));
    ra_atom_labels_free(labels);
    ra_model *after = model_open(test_path("3.safetensors"));
    check_words(after, 1, "a\\n\tb\nc", NULL, 0.5f);
    check_words(after, 2, NULL, NULL, NAN);
    check_words(after, 3, NULL, NULL, NAN);
    ra_ok(ra_artifact_new(after, &digests[1], &err));
    ck_assert_str_ne(ra_artifact_digest(digests[0]), ra_artifact_digest(digests[1]));
    for (size_t i = 0; i < 2; i++) ra_artifact_free(digests[i]);
    ra_model_release(after);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* The artifact of a checkpoint holds the settings that were given to open it, and needs none. */
START_TEST(test_given_settings_are_saved) {
    ra_model_options options = {.settings =
                                    model_settings("running_threshold=0.8125 threshold_momentum=0.75")};
    ra_model *model = NULL;
    ra_ok(ra_model_open(test_golden("batchtopk-mse.final.safetensors"), &options, &model, &err));
    ra_ok(ra_model_save(model, test_path("fused.safetensors"), RA_F32, &err));
    ra_model_release(model);
    model = model_open(test_path("fused.safetensors"));
    ck_assert_double_eq(ra_model_get_info(model)->settings.running_threshold, 0.8125);
    ck_assert_double_eq(ra_model_get_info(model)->settings.threshold_momentum, 0.75);
    ck_assert_uint_eq(ra_model_get_info(model)->settings.top_k, 6);
    ra_model_release(model);
}
END_TEST

/* Points are kept if they are no larger than D, or small: the first are kept, the second are not. */
START_TEST(test_large_points_are_left_out) {
    enum { D = 1024, FEW = 4096, MANY = 4097 }; /* 16 MiB, and one row more */
    for (size_t points = FEW; points <= MANY; points++) {
        model_file file = {0};
        model_file_put(&file, "dictionary.W", RA_F32, 2, 2, points, NULL);
        model_file_put(&file, "dictionary.C", RA_F32, 2, points, D, NULL);
        model_file_put(&file, "dictionary.Relax", RA_F32, 2, 2, D, NULL);
        model_file_put(&file, "dictionary.multiplier", RA_F32, 0, 1, 1, NULL);
        model_file_text(&file, "delta", "1");
        ra_model *model = model_open(model_file_write(&file, "large.safetensors"));
        ck_assert_int_eq(ra_model_get_info(model)->has_point_vectors, points == FEW);
        ck_assert_uint_eq(ra_model_get_info(model)->points, points);
        ra_model_release(model);
        model_file_release(&file);
    }
}
END_TEST

START_TEST(test_refuses_types_that_cannot_hold_it) {
    model_file file = {0};
    model_file_artifact(&file);
    model_file_set(&file, "dictionary", 9, 70000);
    ra_model *model = model_open(model_file_write(&file, "big.safetensors"));
    const char *path = test_path("refused.safetensors");
    ra_fails(ra_model_save(model, path, RA_F16, &err), RA_ERR_ARGUMENT,
             "atom 2 has a number at position 1 that is too large for F16");
    ra_fails(ra_model_save(model, path, RA_I32, &err), RA_ERR_DTYPE, "I32");
    ra_fails(ra_model_save(model, "/nowhere/at/all", RA_F32, &err), RA_ERR_NOT_FOUND, "/nowhere/at/all");
    ck_assert_ptr_null(fopen(path, "rb"));
    ra_ok(ra_model_save(model, path, RA_BF16, &err));
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

TEST_CASES_LOOP(model_save_runs, 0, sizeof runs / sizeof *runs, test_a_saved_model_answers_as_its_checkpoint)
TEST_CASES(model_save, test_an_artifact_in_memory_is_the_file, test_the_same_model_gives_the_same_bytes,
           test_what_a_checkpoint_knows_of_its_points_passes_through, test_given_settings_are_saved,
           test_labels_are_added, test_what_is_said_with_labels_is_kept, test_large_points_are_left_out,
           test_refuses_types_that_cannot_hold_it)
