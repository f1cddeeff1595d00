/* Provenance of the atoms (lib/model/{provenance,labels}.c): archetypes, points, the atoms of a point, and
 * derived labels. */
#include "model_files.h"

#include "ra_memory.h"

#include <math.h>
#include <string.h>

static void check_label(const char *label, const char *expected) {
    if (!expected)
        ck_assert_ptr_null(label);
    else {
        ck_assert_ptr_nonnull(label);
        ck_assert_str_eq(label, expected);
    }
}

START_TEST(test_labels_are_made_up_by_the_documented_rules) {
    static const char *const points[] = {"cat", "dog, cow", "owl", "fox", NULL};
    static const char *const atoms[] = {"cat + dog + owl", "dog", "fox + cat", NULL, "owl + fox", "cat"};
    model_file file = {0};
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "labels.safetensors"));
    for (size_t j = 0; j < FILE_N; j++) check_label(ra_model_point_label(model, j), points[j]);
    for (size_t k = 0; k < FILE_K; k++) check_label(ra_model_atom_label(model, k), atoms[k]);
    ra_model_release(model);

    /* a label in the file goes first */
    model_file_put_text(&file, "points.labels", "p0\n\np2\np3\np4\n");
    model_file_put_text(&file, "atoms.labels", "a0\na1\n\na3\na4\na5");
    model = model_open(model_file_write(&file, "given.safetensors"));
    check_label(ra_model_point_label(model, 0), "p0");
    check_label(ra_model_point_label(model, 1), NULL);
    check_label(ra_model_atom_label(model, 1), "a1");
    check_label(ra_model_atom_label(model, 2), NULL);
    ra_model_release(model);

    model_file_drop(&file, "atoms.labels"); /* labels in the file also name atoms */
    model = model_open(model_file_write(&file, "half-given.safetensors"));
    check_label(ra_model_atom_label(model, 0), "p0 + p2");
    check_label(ra_model_atom_label(model, 3), "p4");
    ra_model_release(model);

    model_file_drop(&file, "points.labels");
    model_file_drop(&file, "points.row_labels");
    model = model_open(model_file_write(&file, "none.safetensors"));
    ck_assert(!ra_model_get_info(model)->has_atom_labels && !ra_model_get_info(model)->has_point_labels);
    check_label(ra_model_point_label(model, 0), NULL);
    check_label(ra_model_atom_label(model, 0), NULL);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_a_point_label_names_at_most_three_different_rows) {
    static const int32_t rows[5] = {0, 1, 2, 3, 4};
    static const float zeros[5] = {0};
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, 1, 1, (const float[]){1});
    model_file_put(&file, "points.rows", RA_I32, 2, 1, 5, rows);
    model_file_put(&file, "points.row_distance", RA_F32, 2, 1, 5, zeros);
    model_file_put_text(&file, "points.row_labels", "a\tb\ta\tc\td");
    ra_model *model = model_open(model_file_write(&file, "three.safetensors"));
    check_label(ra_model_point_label(model, 0), "a, b, c");
    ra_point_row row[8];
    ck_assert_uint_eq(ra_model_point_rows(model, 0, row, 8), 5);
    check_label(row[4].label, "d");
    ra_model_release(model);
    model_file_drop(&file, "points.rows");
    model_file_drop(&file, "points.row_distance");
    model_file_text(&file, "points", "1");
    ra_fails(ra_model_open(model_file_write(&file, "no-rows.safetensors"), NULL, &model, &err), RA_ERR_FORMAT,
             "points.row_labels without points.rows");
    model_file_release(&file);
}
END_TEST

START_TEST(test_atoms_tell_what_they_are_made_of) {
    model_file file = {0};
    model_file_artifact(&file);
    model_file_set(&file, "archetypes.weight", 8, 0); /* a weight of 0 ends the list, like a -1 */
    ra_model *model = model_open(model_file_write(&file, "atoms.safetensors"));
    ra_archetype archetypes[FILE_T];
    static const size_t counts[] = {3, 1, 2, 2, 3, 1};
    for (size_t k = 0; k < FILE_K; k++)
        ck_assert_uint_eq(ra_model_atom_archetypes(model, k, archetypes, FILE_T), counts[k]);
    ck_assert_uint_eq(ra_model_atom_archetypes(model, 4, archetypes, FILE_T), 3);
    ck_assert_uint_eq(archetypes[1].point, 3);
    ck_assert(archetypes[1].weight == 0.25f);
    check_label(archetypes[1].label, "fox");
    ck_assert_uint_eq(ra_model_atom_archetypes(model, 4, archetypes, 1), 1);
    ck_assert_uint_eq(ra_model_atom_archetypes(model, 4, archetypes, 0), 0);
    ck_assert(ra_model_atom_relaxation(model, 1) == 0.5f);

    float vector[FILE_D], sum = 0;
    ra_ok(ra_model_atom(model, 5, vector, &err));
    ck_assert_mem_eq(vector, (const float *)ra_model_dictionary(model)->data + 5 * FILE_D, sizeof vector);
    for (size_t i = 0; i < FILE_D; i++) sum += vector[i] * vector[i];
    ck_assert_float_eq_tol(ra_model_atom_norm(model, 5), sqrtf(sum), 1e-6f);
    ra_fails(ra_model_atom(model, 6, vector, &err), RA_ERR_NOT_FOUND, "no atom 6");
    ra_fails(ra_model_atom(model, 6, vector, &err), RA_ERR_NOT_FOUND, "6 atoms");
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_points_tell_what_they_are_used_for) {
    static const struct {
        size_t count;
        ra_point_use uses[3];
    } expected[FILE_N] = {{3, {{5, 0.75f}, {0, 0.5f}, {2, 0.3f}}},
                          {3, {{1, 1}, {0, 0.25f}, {4, 0.04f}}},
                          {3, {{4, 0.5f}, {0, 0.125f}, {3, 0.05f}}},
                          {2, {{2, 0.4f}, {4, 0.25f}}},
                          {2, {{3, 0.9f}, {2, 0.2f}}}};
    model_file file = {0};
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "points.safetensors"));
    for (size_t j = 0; j < FILE_N; j++) {
        ra_point_use uses[8];
        ck_assert_uint_eq(ra_model_point_atoms(model, j, uses, 8), expected[j].count);
        for (size_t i = 0; i < expected[j].count; i++) {
            ck_assert_uint_eq(uses[i].atom, expected[j].uses[i].atom);
            ck_assert(uses[i].weight == expected[j].uses[i].weight);
        }
        uses[1].atom = 99; /* returns how many, writes those that fit */
        ck_assert_uint_eq(ra_model_point_atoms(model, j, uses, 1), expected[j].count);
        ck_assert_uint_eq(uses[1].atom, 99);
    }
    ra_point_row rows[FILE_R];
    ck_assert_uint_eq(ra_model_point_rows(model, 1, rows, FILE_R), 2);
    ck_assert_uint_eq(rows[1].row, 1);
    ck_assert(rows[1].distance == 0.25f);
    check_label(rows[1].label, "cow");
    ck_assert_uint_eq(ra_model_point_rows(model, 2, rows, FILE_R), 1);
    ck_assert_uint_eq(ra_model_point_rows(model, 1, rows, 1), 1);
    float vector[FILE_D];
    ra_ok(ra_model_point(model, 4, vector, &err));
    ra_fails(ra_model_point(model, 5, vector, &err), RA_ERR_NOT_FOUND, "5 points");
    ra_model_release(model);

    model_file_drop(&file, "points.vectors");
    model = model_open(model_file_write(&file, "no-vectors.safetensors"));
    ra_fails(ra_model_point(model, 4, vector, &err), RA_ERR_STATE, "does not hold the vectors");
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* The index of points has every (atom, archetype) pair, sorted by point, for any number of pairs. */
START_TEST(test_the_index_of_points_mirrors_the_archetypes) {
    enum { K = 300, N = 40, T = 7 };
    static int32_t index[K * T];
    static float weight[K * T], random[K * T], zeros[K];
    test_fill(random, K * T, 11);
    for (size_t k = 0; k < K; k++)
        for (size_t t = 0; t < T; t++) {
            bool there = t < k % (T + 1);
            index[k * T + t] = there ? (int32_t)((random[k * T + t] + 1) / 2 * N) : -1;
            weight[k * T + t] = there ? 1.0f / (float)(t + 2) : 0;
        }
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, K, 1, zeros);
    model_file_put(&file, "archetypes.index", RA_I32, 2, K, T, index);
    model_file_put(&file, "archetypes.weight", RA_F32, 2, K, T, weight);
    model_file_text(&file, "points", "40");
    ra_model *model = model_open(model_file_write(&file, "mirror.safetensors"));
    size_t total = 0, expected = 0;
    for (size_t i = 0; i < K * T; i++) expected += index[i] >= 0;
    for (size_t j = 0; j < N; j++) {
        static ra_point_use uses[K * T];
        size_t count = ra_model_point_atoms(model, j, uses, K * T);
        total += count;
        for (size_t i = 0; i < count; i++) {
            bool found = false;
            for (size_t t = 0; t < T; t++)
                found |= index[uses[i].atom * T + t] == (int32_t)j &&
                         weight[uses[i].atom * T + t] == uses[i].weight;
            ck_assert(found);
            if (i == 0) continue;
            ck_assert(uses[i - 1].weight > uses[i].weight ||
                      (uses[i - 1].weight == uses[i].weight && uses[i - 1].atom <= uses[i].atom));
        }
    }
    ck_assert_uint_eq(total, expected);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* Through the fuse: the weights of the projected W, the norms of the projected Relax, and C itself. */
START_TEST(test_a_fused_checkpoint_keeps_its_provenance) {
    size_t K, N, d;
    float *W = golden_tensor("dict-tight.expected.safetensors", "W_projected", &K, &N);
    float *Relax = golden_tensor("dict-tight.expected.safetensors", "Relax_projected", NULL, &d);
    float *C = golden_tensor("dict-tight.checkpoint.safetensors", "dictionary.C", NULL, NULL);
    ra_model *model = model_open(test_golden("dict-tight.checkpoint.safetensors"));
    ck_assert_uint_eq(ra_model_get_info(model)->archetypes, RA_ARCHETYPES_DEFAULT);
    for (size_t k = 0; k < K; k++) {
        ra_archetype archetypes[RA_ARCHETYPES_DEFAULT];
        size_t count = ra_model_atom_archetypes(model, k, archetypes, RA_ARCHETYPES_DEFAULT), positive = 0,
               larger;
        double norm = 0;
        for (size_t j = 0; j < N; j++) positive += W[k * N + j] > 0;
        for (size_t i = 0; i < d; i++) norm += (double)Relax[k * d + i] * Relax[k * d + i];
        ck_assert_uint_eq(count, positive < RA_ARCHETYPES_DEFAULT ? positive : RA_ARCHETYPES_DEFAULT);
        for (size_t t = 0; t < count; t++) {
            float value = W[k * N + archetypes[t].point];
            ck_assert_float_eq_tol(archetypes[t].weight, value, 1e-6f);
            larger = 0;
            for (size_t j = 0; j < N; j++) larger += W[k * N + j] > value;
            ck_assert_uint_eq(larger, t);
        }
        ck_assert_float_eq_tol(ra_model_atom_relaxation(model, k), (float)sqrt(norm), 1e-5f);
    }
    for (size_t j = 0; j < N; j++) {
        float vector[64];
        ra_ok(ra_model_point(model, j, vector, &err));
        ck_assert_mem_eq(vector, C + j * d, d * sizeof *C);
    }
    ra_model_release(model);
    ra_free(W), ra_free(Relax), ra_free(C);
}
END_TEST

TEST_CASES(model_provenance, test_labels_are_made_up_by_the_documented_rules,
           test_a_point_label_names_at_most_three_different_rows, test_atoms_tell_what_they_are_made_of,
           test_points_tell_what_they_are_used_for, test_the_index_of_points_mirrors_the_archetypes,
           test_a_fused_checkpoint_keeps_its_provenance)
