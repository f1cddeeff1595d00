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
    static const char *const atoms[] = {"cat + dog", "dog", "fox + cat", NULL, "owl + fox", "cat"};
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
    ck_assert_int_eq(ra_model_atom_label_source(model, 1), RA_LABEL_FILE);
    check_label(ra_model_atom_label(model, 2),
                "p3 + p0 + p4"); /* an empty line leaves the atom to its archetypes */
    ck_assert_int_eq(ra_model_atom_label_source(model, 2), RA_LABEL_ARCHETYPES);
    ra_model_release(model);

    model_file_drop(&file, "atoms.labels"); /* labels in the file also name atoms */
    model = model_open(model_file_write(&file, "half-given.safetensors"));
    check_label(ra_model_atom_label(model, 0), "p0"); /* p2 has less than half as much */
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

static size_t archetypes_of(const ra_model *model, size_t atom, ra_archetype *archetypes) {
    size_t count = 0;
    while (ra_model_atom_archetype(model, atom, count, &archetypes[count])) count++;
    return count;
}

START_TEST(test_atoms_tell_what_they_are_made_of) {
    model_file file = {0};
    model_file_artifact(&file);
    model_file_set(&file, "archetypes.weight", 8, 0); /* a weight of 0 ends the list, like a -1 */
    ra_model *model = model_open(model_file_write(&file, "atoms.safetensors"));
    ra_archetype archetypes[FILE_T + 1];
    static const size_t counts[] = {3, 1, 2, 2, 3, 1};
    for (size_t k = 0; k < FILE_K; k++) ck_assert_uint_eq(archetypes_of(model, k, archetypes), counts[k]);
    ck_assert_uint_eq(archetypes_of(model, 4, archetypes), 3);
    ck_assert_uint_eq(archetypes[1].point, 3);
    ck_assert(archetypes[1].weight == 0.25f);
    check_label(archetypes[1].label, "fox");
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

/* A number in a small file asks for no memory: one point far away, in the index or in the metadata. */
START_TEST(test_a_point_of_a_large_number_costs_nothing) {
    enum { K = 2, T = 1 };
    static const float zeros[K], weight[K] = {1, 1};
    static const int32_t index[K] = {3, INT32_MAX - 1};
    for (int said = 0; said < 2; said++) {
        model_file file = {0};
        model_file_put(&file, "dictionary", RA_F32, 2, K, 1, zeros);
        model_file_put(&file, "archetypes.index", RA_I32, 2, K, T, index);
        model_file_put(&file, "archetypes.weight", RA_F32, 2, K, T, weight);
        if (said) model_file_text(&file, "points", "2147483647");
        ra_model *model = model_open(model_file_write(&file, "far.safetensors"));
        ra_point_use use[2];
        ck_assert_uint_eq(ra_model_get_info(model)->points, INT32_MAX);
        ck_assert_uint_lt(ra_model_get_info(model)->bytes, 1 << 20);
        ck_assert_uint_eq(ra_model_point_atoms(model, INT32_MAX - 1, use, 2), 1);
        ck_assert(use[0].atom == 1 && use[0].weight == 1);
        ck_assert_uint_eq(ra_model_point_atoms(model, 3, use, 2), 1);
        ck_assert_uint_eq(ra_model_point_atoms(model, 4, use, 2), 0);
        ra_model_release(model);
        model_file_release(&file);
    }
}
END_TEST

/* Labels come from the rows on which a latent is strongest, then from the trace, then from the archetypes; equal
 * labels count together, and what counts less than a tenth of the first, or half of it, is left out. */
START_TEST(test_labels_say_where_they_are_from) {
    static const int64_t row[FILE_K * 2] = {9, 0, 4, 2, 3, -1, 7, 8, -1, -1, 1, 5};
    static const float weight[FILE_K * 2] = {0.5f, 0.5f, 0.3f, 0.7f, 1, 0, 0.6f, 0.4f, 0, 0, 0.75f, 0.25f},
                                       contribution[FILE_K * 2] = {0.25f, 0.25f, 0.5f, 0.2f, 0.06f, 0,
                                                                   0.6f,  0.4f,  0,    0,    0.01f, 0};
    static const float cosine[FILE_K] = {0.5f, 0.75f, 0.25f, 1, 0, 0.125f};
    static const struct {
        const char *label;
        ra_label_source source;
    } expected[FILE_K] = {{"cat, dog", RA_LABEL_ROWS}, {"ant", RA_LABEL_TRACE}, {"bee", RA_LABEL_TRACE},
                          {"owl, fox", RA_LABEL_ROWS}, {"cow", RA_LABEL_ROWS},  {"hen", RA_LABEL_ROWS}};
    model_file file = {0};
    model_file_measured(&file);
    model_file_put(&file, "trace.row", RA_I64, 2, FILE_K, 2, row);
    model_file_put(&file, "trace.weight", RA_F32, 2, FILE_K, 2, weight);
    model_file_put(&file, "trace.contribution", RA_F32, 2, FILE_K, 2, contribution);
    model_file_put(&file, "trace.cosine", RA_F32, 1, FILE_K, 0, cosine);
    model_file_put_text(&file, "trace.labels", "x\ty\nant\tfly\nbee\t\nx\ty\n\t\ngnat\tgnat\n");
    ra_model *model = model_open(model_file_write(&file, "sources.safetensors"));
    ck_assert_uint_eq(ra_model_get_info(model)->trace_rows, 2);
    for (size_t k = 0; k < FILE_K; k++) {
        check_label(ra_model_atom_label(model, k), expected[k].label);
        ck_assert_int_eq(ra_model_atom_label_source(model, k), expected[k].source);
    }
    ra_trace_row first, second;
    ck_assert(ra_model_atom_trace_row(model, 1, 0, &first) && ra_model_atom_trace_row(model, 1, 1, &second));
    ck_assert(first.row == 4 && first.contribution == 0.5f && first.weight == 0.3f);
    ck_assert(second.row == 2 && second.contribution == 0.2f);
    ck_assert(ra_model_atom_trace_cosine(model, 1) == 0.75f);
    check_label(second.label, "fly");
    ck_assert(!ra_model_atom_trace_row(model, 1, 2, &first) && !ra_model_atom_trace_row(model, 4, 0, &first));
    ck_assert(ra_model_atom_trace_cosine(model, 4) == 0);
    const char *again = test_path("again.safetensors");
    ra_ok(ra_model_save(model, again, RA_F32, &err));
    ra_model_release(model);
    model = model_open(again);
    ck_assert(ra_model_atom_trace_row(model, 5, 1, &second));
    check_label(second.label, "gnat");
    ra_model_release(model);

    model_file_put_text(&file, "latents.top_labels", "\t\n\t\n\t\n\t\n\t\n\t\n");
    model = model_open(model_file_write(&file, "trace.safetensors"));
    check_label(ra_model_atom_label(model, 5), "gnat");
    check_label(ra_model_atom_label(model, 4), "owl + fox"); /* no rows: its archetypes */
    ck_assert_int_eq(ra_model_atom_label_source(model, 4), RA_LABEL_ARCHETYPES);
    ck_assert_str_eq(ra_label_source_name(RA_LABEL_ARCHETYPES), "archetypes");
    ck_assert_ptr_null(ra_label_source_name(RA_LABEL_NONE));
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

static const struct {
    const char *tensor;
    size_t place;
    double value;
    const char *message;
} spoilt_traces[] = {{"trace.contribution", 1, 0.75, "largest of an atom first"},
                     {"trace.contribution", 0, INFINITY, "finite"},
                     {"trace.weight", 0, 1.5, "from 0 to 1"},
                     {"trace.row", 0, -1, "then only -1"},
                     {"trace.row", 1, -2, "then only -1"},
                     {"trace.cosine", 3, NAN, "finite"}};

START_TEST(test_a_trace_that_cannot_be_is_refused) {
    int64_t row[FILE_K * 2] = {0};
    float weight[FILE_K * 2], contribution[FILE_K * 2], cosine[FILE_K] = {0};
    for (size_t i = 0; i < FILE_K * 2; i++) weight[i] = contribution[i] = 0.5f;
    model_file file = {0};
    model_file_artifact(&file);
    if (strcmp(spoilt_traces[_i].tensor, "trace.row") == 0)
        row[spoilt_traces[_i].place] = (int64_t)spoilt_traces[_i].value;
    if (strcmp(spoilt_traces[_i].tensor, "trace.weight") == 0)
        weight[spoilt_traces[_i].place] = (float)spoilt_traces[_i].value;
    if (strcmp(spoilt_traces[_i].tensor, "trace.contribution") == 0)
        contribution[spoilt_traces[_i].place] = (float)spoilt_traces[_i].value;
    if (strcmp(spoilt_traces[_i].tensor, "trace.cosine") == 0)
        cosine[spoilt_traces[_i].place] = (float)spoilt_traces[_i].value;
    model_file_put(&file, "trace.row", RA_I64, 2, FILE_K, 2, row);
    model_file_put(&file, "trace.weight", RA_F32, 2, FILE_K, 2, weight);
    model_file_put(&file, "trace.contribution", RA_F32, 2, FILE_K, 2, contribution);
    model_file_put(&file, "trace.cosine", RA_F32, 1, FILE_K, 0, cosine);
    ra_model *model = NULL;
    const char *path = model_file_write(&file, "spoilt.safetensors");
    ra_error err = {0};
    ck_assert(ra_model_open(path, NULL, &model, &err) != RA_OK);
    ck_assert_msg(strstr(err.message, spoilt_traces[_i].message), "%s", err.message);
    model_file_release(&file);
}
END_TEST

/* Ranked by contribution, where a file has it; what is listed sums to the coverage. */
START_TEST(test_contributions_rank_the_archetypes) {
    static const float contribution[FILE_K * FILE_T] = {0.2f, 0.6f, 0.1f};
    float sorted[FILE_K * FILE_T] = {0}, share[FILE_K] = {0.5f, 0.25f, -0.125f, 0, 0, 0};
    static const int32_t index[FILE_K * FILE_T] = {0, 1, 2, 1, -1, -1, 3, 0, 4, 4, 2, -1, 2, 3, 1, 0, -1, -1};
    model_file file = {0};
    model_file_artifact(&file);
    model_file_put(&file, "archetypes.index", RA_I32, 2, FILE_K, FILE_T, index);
    model_file_put(&file, "archetypes.contribution", RA_F32, 2, FILE_K, FILE_T, contribution);
    ra_model *model = NULL;
    ra_fails(ra_model_open(model_file_write(&file, "unsorted.safetensors"), NULL, &model, &err),
             RA_ERR_FORMAT, "archetypes.contribution holds 0.6 at [0, 1]");
    sorted[0] = 0.6f, sorted[1] = 0.2f, sorted[2] = -0.1f;
    model_file_put(&file, "archetypes.contribution", RA_F32, 2, FILE_K, FILE_T, sorted);
    model_file_put(&file, "relaxation.share", RA_F32, 1, FILE_K, 0, share);
    model_file_put(&file, "hull.share", RA_F32, 1, FILE_K, 0, share);
    model = model_open(model_file_write(&file, "sorted.safetensors"));
    ra_archetype archetypes[FILE_T + 1];
    ck_assert_uint_eq(archetypes_of(model, 0, archetypes), 3);
    ck_assert(archetypes[2].contribution == -0.1f && archetypes[2].weight == 0.125f);
    ck_assert_float_eq_tol(ra_model_atom_coverage(model, 0), 0.875f, 1e-6f);
    ck_assert(ra_model_atom_relaxation_share(model, 2) == -0.125f &&
              ra_model_atom_hull_share(model, 1) == 0.25f);
    ra_model_release(model);
    model_file_drop(&file, "archetypes.contribution");
    model_file_drop(&file, "hull.share");
    model = model_open(model_file_write(&file, "unknown.safetensors"));
    archetypes_of(model, 0, archetypes);
    ck_assert(isnan(archetypes[0].contribution) && isnan(ra_model_atom_hull_share(model, 0)));
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* Through the fuse: weights of the projected W with their shares of the atom, norms of the projected Relax. */
START_TEST(test_a_fused_checkpoint_keeps_its_provenance) {
    size_t K, N, d;
    float *W = golden_tensor("dict-tight.expected.safetensors", "W_projected", &K, &N);
    float *Relax = golden_tensor("dict-tight.expected.safetensors", "Relax_projected", NULL, &d);
    float *C = golden_tensor("dict-tight.checkpoint.safetensors", "dictionary.C", NULL, NULL);
    float *multiplier =
        golden_tensor("dict-tight.checkpoint.safetensors", "dictionary.multiplier", NULL, NULL);
    ra_model *model = model_open(test_golden("dict-tight.checkpoint.safetensors"));
    ck_assert_uint_eq(ra_model_get_info(model)->archetypes, RA_ARCHETYPES_DEFAULT);
    for (size_t k = 0; k < K; k++) {
        ra_archetype archetypes[RA_ARCHETYPES_DEFAULT + 1];
        size_t count = archetypes_of(model, k, archetypes), positive = 0;
        const float *atom = (const float *)ra_model_dictionary(model)->data + k * d;
        double norm = 0, square = 0;
        for (size_t j = 0; j < N; j++) positive += W[k * N + j] > 0;
        for (size_t i = 0; i < d; i++) {
            norm += (double)Relax[k * d + i] * Relax[k * d + i];
            square += (double)atom[i] * atom[i];
        }
        ck_assert_uint_eq(count, positive < RA_ARCHETYPES_DEFAULT ? positive : RA_ARCHETYPES_DEFAULT);
        for (size_t t = 0; t < count; t++) {
            size_t point = archetypes[t].point;
            double along = 0;
            for (size_t i = 0; i < d; i++) along += (double)C[point * d + i] * atom[i];
            along *= exp(*multiplier) * W[k * N + point] / square;
            ck_assert_float_eq_tol(archetypes[t].weight, W[k * N + point], 1e-6f);
            ck_assert_float_eq_tol(archetypes[t].contribution, (float)along, 1e-4f);
            ck_assert(t == 0 || archetypes[t].contribution <= archetypes[t - 1].contribution);
        }
        ck_assert_float_eq_tol(ra_model_atom_relaxation(model, k), (float)sqrt(norm), 1e-5f);
    }
    for (size_t j = 0; j < N; j++) {
        float vector[64];
        ra_ok(ra_model_point(model, j, vector, &err));
        ck_assert_mem_eq(vector, C + j * d, d * sizeof *C);
    }
    ra_model_release(model);
    ra_free(W), ra_free(Relax), ra_free(C), ra_free(multiplier);
}
END_TEST

TEST_CASES_LOOP(model_spoilt_traces, 0, sizeof spoilt_traces / sizeof *spoilt_traces,
                test_a_trace_that_cannot_be_is_refused)
TEST_CASES(model_provenance, test_labels_say_where_they_are_from, test_contributions_rank_the_archetypes,
           test_labels_are_made_up_by_the_documented_rules,
           test_a_point_label_names_at_most_three_different_rows, test_atoms_tell_what_they_are_made_of,
           test_points_tell_what_they_are_used_for, test_the_index_of_points_mirrors_the_archetypes,
           test_a_point_of_a_large_number_costs_nothing, test_a_fused_checkpoint_keeps_its_provenance)
