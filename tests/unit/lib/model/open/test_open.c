/* What ra_model_open() accepts and refuses (lib/model/open): each row is a way to break a file, and each
 * error names the file, the tensor or setting, and what was expected. */
#include "spoilt_model.h"

#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- artifacts ----------------------------------------------------------------------------------------- */

static const spoilt_model artifacts[] = {
    {TYPE,
     "dictionary",
     NULL,
     RA_I32,
     0,
     0,
     RA_ERR_DTYPE,
     {"dictionary has the type I32", "F32, F16 or BF16"}},
    {TYPE, "dictionary", NULL, RA_I64, 0, 0, RA_ERR_DTYPE, {"I64", NULL}},
    {SHAPE, "dictionary", NULL, 24, 0, 0, RA_ERR_SHAPE, {"dictionary has the shape [24]", "[any, any]"}},
    {SHAPE, "dictionary", NULL, 0, 4, 0, RA_ERR_SHAPE, {"[0, 4]", "sizes from 1"}},
    {SET, "dictionary", NULL, 7, 0, NAN, RA_ERR_NOT_FINITE, {"dictionary holds", "[1, 3]"}},
    {SET, "dictionary", NULL, 8, 0, INFINITY, RA_ERR_NOT_FINITE, {"dictionary", "[2, 0]"}},
    {META, "format", "rasae.fused.v2", 0, 0, 0, RA_ERR_UNSUPPORTED, {"rasae.fused.v2", "rasae.fused.v1"}},
    {META, "points", "-5", 0, 0, 0, RA_ERR_FORMAT, {"\"-5\"", "1 to"}},
    {META, "points", "5x", 0, 0, 0, RA_ERR_FORMAT, {"\"5x\"", NULL}},
    {META, "points", "0", 0, 0, 0, RA_ERR_FORMAT, {"\"0\"", NULL}},
    {META, "points", "99999999999999999999", 0, 0, 0, RA_ERR_FORMAT, {"999999", NULL}},
    {META, "points", "4", 0, 0, 0, RA_ERR_FORMAT, {"archetypes.index holds 4 at [2, 2]", "below 4"}},
    {META, "sae", "sparse", 0, 0, 0, RA_ERR_ARGUMENT, {"sae", "sparse"}},
    {META, "encoder", "mlp_ln_1", 0, 0, 0, RA_ERR_FORMAT, {"mlp_ln_1", "linear"}},
    {META, "sae", NULL, 0, 0, 0, RA_ERR_SETTING, {"the setting sae is missing", "--sae"}},
    {DROP, "thresholds", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"thresholds", NULL}},
    {SHAPE, "thresholds", NULL, 5, 0, 0, RA_ERR_SHAPE, {"thresholds has the shape [5]", "[6]"}},
    {SET, "thresholds", NULL, 2, 0, NAN, RA_ERR_NOT_FINITE, {"thresholds", "[2]"}},
    {DROP,
     "encoder.final_block.0.bias",
     NULL,
     0,
     0,
     0,
     RA_ERR_NOT_FOUND,
     {"encoder.final_block.0.bias", NULL}},
    {SHAPE, "encoder.final_block.0.weight", NULL, 6, 5, 0, RA_ERR_SHAPE, {"[6, 5]", "[6, 4]"}},
    {SET, "encoder.final_block.0.weight", NULL, 5, 0, NAN, RA_ERR_NOT_FINITE, {"0.weight", "[1, 1]"}},
    {SET, "encoder.final_block.0.bias", NULL, 5, 0, INFINITY, RA_ERR_NOT_FINITE, {"0.bias", "[5]"}},
    {SHAPE,
     "encoder.mlp_blocks.0.weight",
     NULL,
     4,
     4,
     0,
     RA_ERR_UNSUPPORTED,
     {"encoder.mlp_blocks", "mlp_bn_1"}},
    {DROP, "archetypes.weight", NULL, 0, 0, 0, RA_ERR_FORMAT, {"archetypes.index without archetypes.weight"}},
    {DROP, "archetypes.index", NULL, 0, 0, 0, RA_ERR_FORMAT, {"archetypes.weight without archetypes.index"}},
    {SHAPE,
     "archetypes.index",
     NULL,
     5,
     3,
     0,
     RA_ERR_SHAPE,
     {"archetypes.index has the shape [5, 3]", "[6, any]"}},
    {SHAPE,
     "archetypes.weight",
     NULL,
     6,
     2,
     0,
     RA_ERR_SHAPE,
     {"archetypes.weight has the shape [6, 2]", "[6, 3]"}},
    {TYPE,
     "archetypes.index",
     NULL,
     RA_I64,
     0,
     0,
     RA_ERR_DTYPE,
     {"archetypes.index has the type I64", "I32"}},
    {SET, "archetypes.index", NULL, 1, 0, 5, RA_ERR_FORMAT, {"holds 5 at [0, 1]", "below 5"}},
    {SET, "archetypes.index", NULL, 1, 0, -2, RA_ERR_FORMAT, {"holds -2 at [0, 1]", NULL}},
    {SET, "archetypes.index", NULL, 5, 0, 3, RA_ERR_FORMAT, {"holds 3 at [1, 2]", "after a -1"}},
    {SET, "archetypes.weight", NULL, 2, 0, NAN, RA_ERR_NOT_FINITE, {"archetypes.weight", "[0, 2]"}},
    {SET,
     "archetypes.weight",
     NULL,
     2,
     0,
     0.3,
     RA_ERR_FORMAT,
     {"holds 0.3 at [0, 2]", "largest of an atom first"}},
    {SET, "archetypes.weight", NULL, 2, 0, -0.5, RA_ERR_FORMAT, {"holds -0.5 at [0, 2]", "from 0 to 1"}},
    {SET, "archetypes.weight", NULL, 0, 0, 1.5, RA_ERR_FORMAT, {"holds 1.5 at [0, 0]", NULL}},
    {SHAPE, "relaxation.norm", NULL, 7, 0, 0, RA_ERR_SHAPE, {"relaxation.norm has the shape [7]", "[6]"}},
    {SET, "relaxation.norm", NULL, 3, 0, NAN, RA_ERR_NOT_FINITE, {"relaxation.norm", "[3]"}},
    {SHAPE, "points.vectors", NULL, 4, 4, 0, RA_ERR_SHAPE, {"points.vectors has the shape [4, 4]", "[5, 4]"}},
    {SET, "points.vectors", NULL, 19, 0, NAN, RA_ERR_NOT_FINITE, {"points.vectors", "[4, 3]"}},
    {SHAPE,
     "points.rows",
     NULL,
     5,
     3,
     0,
     RA_ERR_SHAPE,
     {"points.row_distance has the shape [5, 2]", "[5, 3]"}},
    {SET, "points.rows", NULL, 0, 0, -7, RA_ERR_FORMAT, {"points.rows holds -7 at [0, 0]", NULL}},
    {SET, "points.rows", NULL, 0, 0, -1, RA_ERR_FORMAT, {"points.rows holds 2 at [0, 1]", "only -1"}},
    {SET, "points.row_distance", NULL, 1, 0, NAN, RA_ERR_NOT_FINITE, {"points.row_distance", "[0, 1]"}},
    {DROP, "points.rows", NULL, 0, 0, 0, RA_ERR_FORMAT, {"points.row_distance without points.rows", NULL}},
    {DROP,
     "points.row_distance",
     NULL,
     0,
     0,
     0,
     RA_ERR_FORMAT,
     {"points.rows without points.row_distance", NULL}},
    {LINES,
     "points.labels",
     "a\nb\n",
     0,
     0,
     0,
     RA_ERR_SHAPE,
     {"points.labels has 2 lines", "5, one for each point"}},
    {LINES, "points.labels", "a\nb\nc\nd\n\xff\n", 0, 0, 0, RA_ERR_FORMAT, {"points.labels", "UTF-8"}},
    {LINES, "points.row_labels", "a\tb\n", 0, 0, 0, RA_ERR_SHAPE, {"points.row_labels has 1 lines", NULL}},
    {LINES,
     "points.row_labels",
     "a\tb\na\tb\na\tb\na\na\tb\n",
     0,
     0,
     0,
     RA_ERR_SHAPE,
     {"line 4", "expected 2"}},
    {LINES, "atoms.labels", "a\nb\nc\nd\ne\nf\ng", 0, 0, 0, RA_ERR_SHAPE, {"atoms.labels has 7 lines", "6"}},
    {SHAPE, "atoms.labels", NULL, 6, 0, 0, RA_ERR_DTYPE, {"atoms.labels has the type F32", "U8"}},
    {LINES, "atoms.explanations", "a\n\n\n\n\n\n", 0, 0, 0, RA_ERR_FORMAT, {"without atoms.labels", NULL}},
};

START_TEST(test_refuses_artifacts_that_break_the_format) {
    spoilt_model_is_refused(model_file_artifact, &artifacts[_i]);
}
END_TEST

START_TEST(test_the_artifact_as_it_is_opens) {
    model_file file = {0};
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "good.safetensors"));
    const ra_model_info *info = ra_model_get_info(model);
    ck_assert_uint_eq(info->concepts, FILE_K);
    ck_assert_uint_eq(info->dimensions, FILE_D);
    ck_assert_uint_eq(info->points, FILE_N);
    ck_assert_uint_eq(info->archetypes, FILE_T);
    ck_assert_int_eq(info->dtype, RA_F32);
    ck_assert(info->has_encoder && info->has_relaxation && info->has_atom_labels && info->has_point_labels &&
              info->has_point_vectors && !info->from_checkpoint);
    ck_assert_int_eq(info->settings.sae, RA_SAE_JUMPRELU);
    ck_assert_str_eq(info->device, "cpu");
    ck_assert_str_eq(strrchr(info->path, '/'), "/good.safetensors");
    ck_assert_uint_gt(info->bytes, FILE_K * FILE_D * sizeof(float) * 2);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

static void labeled_artifact(model_file *file) {
    model_file_artifact(file);
    model_file_put_text(file, "atoms.labels", "a\nb\nc\nd\ne\nf");
}

/* Words with labels are of the labels in the file. */
START_TEST(test_refuses_words_that_break_the_format) {
    static const spoilt_model words[] = {
        {LINES,
         "atoms.explanations",
         "a\n\n\n",
         0,
         0,
         0,
         RA_ERR_SHAPE,
         {"atoms.explanations has 3 lines", "6"}},
        {LINES,
         "atoms.explanations",
         "\n\na\\tb\\\\n\n\\r\n\n\n",
         0,
         0,
         0,
         RA_ERR_FORMAT,
         {"atoms.explanations: line 4 has a backslash before another character", NULL}},
        {LINES,
         "atoms.label_sources",
         "\n\n\n\n\nx\\\n",
         0,
         0,
         0,
         RA_ERR_FORMAT,
         {"line 6 has a backslash", NULL}},
        {SHAPE,
         "atoms.label_sources",
         NULL,
         6,
         0,
         0,
         RA_ERR_DTYPE,
         {"atoms.label_sources has the type F32", "U8"}},
        {SHAPE,
         "atoms.label_scores",
         NULL,
         7,
         0,
         0,
         RA_ERR_SHAPE,
         {"atoms.label_scores has the shape [7]", "[6]"}},
        {LINES,
         "atoms.label_scores",
         "123456",
         0,
         0,
         0,
         RA_ERR_DTYPE,
         {"atoms.label_scores has the type U8", "F32"}},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        spoilt_model_is_refused(labeled_artifact, &words[i]);
}
END_TEST

/* Only D is needed; any tensor of the points tells how many there are. */
START_TEST(test_the_file_of_a_steady_artifact_is_kept) {
    model_file file = {0};
    model_file_artifact(&file);
    const char *path = model_file_write(&file, "kept.safetensors");
    ra_mapping mapping;
    ra_ok(ra_mapping_open(path, &mapping, &err));
    char digest[RA_DIGEST_SIZE];
    ra_digest(mapping.data, mapping.size, digest);
    for (size_t most = 0; most <= mapping.size; most += mapping.size) {
        ra_model *model = NULL;
        ra_model_file kept;
        ra_ok(ra_model_open(path, &(ra_model_options){.steady = true, .private_below = most}, &model, &err));
        ck_assert(ra_model_get_file(model, &kept));
        ck_assert_str_eq(kept.path, path);
        ck_assert_str_eq(kept.digest, digest);
        ck_assert(kept.safetensors);
        ck_assert_uint_eq(kept.bytes.size, mapping.size);
        ck_assert_mem_eq(kept.bytes.data, mapping.data, mapping.size);
        ra_model_release(model);
    }
    ra_mapping_close(&mapping);
    ra_model_file none;
    ra_model *model = NULL;
    ra_ok(ra_model_open(path, NULL, &model, &err));
    ck_assert(!ra_model_get_file(model, &none)); /* it may change at any time */
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_artifacts_made_by_hand_open) {
    static const struct {
        const char *drop[4];
        size_t points;
    } steps[] = {
        {{"encoder.final_block.0.weight", "encoder.final_block.0.bias", "thresholds"}, 5},
        {{"points.row_labels", "points.vectors"}, 5},
        {{"points.rows", "points.row_distance"}, 5},
        {{"archetypes.index", "archetypes.weight"}, 0},
        {{"relaxation.norm"}, 0},
    };
    static const char *const keys[] = {"format", "points", "sae", "delta", "encoder"};
    model_file file = {0};
    model_file_artifact(&file);
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) model_file_text(&file, keys[k], NULL);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (size_t t = 0; steps[i].drop[t]; t++) model_file_drop(&file, steps[i].drop[t]);
        ra_model *model = model_open(model_file_write(&file, "by-hand.safetensors"));
        ck_assert(!ra_model_get_info(model)->has_encoder);
        ck_assert_uint_eq(ra_model_get_info(model)->points, steps[i].points);
        ra_model_release(model);
    }
    model_file_put_text(&file, "points.labels", "a\nb\nc\nd\ne\nf\ng");
    ra_model *model = model_open(model_file_write(&file, "labeled.safetensors"));
    ck_assert_uint_eq(ra_model_get_info(model)->points, 7);
    ck_assert_str_eq(ra_model_point_label(model, 6), "g");
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_encoder_tensors_of_any_float_type_open) {
    static const char *const names[] = {"dictionary", "encoder.final_block.0.weight",
                                        "encoder.final_block.0.bias", "thresholds", "points.vectors"};
    model_file file = {0};
    model_file_artifact(&file);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        model_file_convert(&file, names[i], i % 2 ? RA_F16 : RA_BF16);
    ra_model *model = model_open(model_file_write(&file, "half.safetensors"));
    ck_assert_int_eq(ra_model_get_info(model)->dtype, RA_BF16);
    ck_assert(ra_model_get_info(model)->has_encoder && ra_model_get_info(model)->has_point_vectors);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_refuses_negative_variances) {
    static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
    static const float ones[FILE_K] = {1, 1, 1, 1, 1, 1};
    static char full[4][64];
    model_file file = {0};
    ra_model *model = NULL;
    model_file_artifact(&file);
    model_file_text(&file, "encoder", NULL);
    for (size_t i = 0; i < 4; i++) {
        snprintf(full[i], sizeof full[i], "encoder.final_block.1.%s", names[i]);
        model_file_put(&file, full[i], RA_F32, 1, FILE_K, 0, ones);
    }
    model = model_open(model_file_write(&file, "bn.safetensors"));
    ck_assert_int_eq(ra_model_get_info(model)->settings.encoder,
                     RA_ENCODER_MLP_BN_1); /* the tensors tell it */
    ra_model_release(model);
    model_file_set(&file, full[3], 4, -0.5);
    ra_fails(ra_model_open(model_file_write(&file, "bn.safetensors"), NULL, &model, &err), RA_ERR_FORMAT,
             "running_var holds -0.5 at [4]");
    model_file_release(&file);
}
END_TEST

/* ---- checkpoints --------------------------------------------------------------------------------------- */

static const spoilt_model checkpoints[] = {
    {META, "delta", NULL, 0, 0, 0, RA_ERR_SETTING, {"setting delta is missing from its metadata", "--delta"}},
    {META, "sae", NULL, 0, 0, 0, RA_ERR_SETTING, {"setting sae is missing", "--sae"}},
    {META,
     "sae",
     "topk",
     0,
     0,
     0,
     RA_ERR_UNSUPPORTED,
     {"thresholds belongs to jumprelu", "--ignore-tensor thresholds"}},
    {SHAPE,
     "b_dec",
     NULL,
     4,
     0,
     0,
     RA_ERR_UNSUPPORTED,
     {"b_dec is added to the reconstructions", "--ignore-tensor b_dec"}},
    {SHAPE,
     "what",
     NULL,
     4,
     0,
     0,
     RA_ERR_UNSUPPORTED,
     {"the tensor what is not part", "--ignore-tensor what"}},
    {META, "dictionary", "l2", 0, 0, 0, RA_ERR_FORMAT, {"dictionary is l2", "dictionary.W"}},
    {META, "delta", "wide", 0, 0, 0, RA_ERR_ARGUMENT, {"delta", "wide"}},
    {META, "delta", "-1", 0, 0, 0, RA_ERR_ARGUMENT, {"delta", "-1"}},
    {DROP, "thresholds", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"thresholds", NULL}},
    {DROP, "dictionary.C", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"dictionary.C", NULL}},
    {DROP, "dictionary.Relax", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"dictionary.Relax", NULL}},
    {DROP, "dictionary.multiplier", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"dictionary.multiplier", NULL}},
    {SHAPE, "dictionary.C", NULL, 6, 4, 0, RA_ERR_SHAPE, {"dictionary.C has the shape [6, 4]", "[5, any]"}},
    {SHAPE,
     "dictionary.Relax",
     NULL,
     6,
     3,
     0,
     RA_ERR_SHAPE,
     {"dictionary.Relax has the shape [6, 3]", "[6, 4]"}},
    {SHAPE, "dictionary.W", NULL, 6, 0, 0, RA_ERR_SHAPE, {"dictionary.W has the shape [6]", "[any, any]"}},
    {SHAPE,
     "dictionary.multiplier",
     NULL,
     2,
     0,
     0,
     RA_ERR_SHAPE,
     {"dictionary.multiplier has the shape [2]", "[]"}},
    {TYPE, "dictionary.multiplier", NULL, RA_I32, 0, 0, RA_ERR_DTYPE, {"dictionary.multiplier", "I32"}},
    {TYPE, "dictionary.W", NULL, RA_I64, 0, 0, RA_ERR_DTYPE, {"dictionary.W has the type I64", NULL}},
    {SET, "dictionary.W", NULL, 11, 0, NAN, RA_ERR_NOT_FINITE, {"dictionary.W", "[2, 1]"}},
    {SET, "dictionary.C", NULL, 6, 0, INFINITY, RA_ERR_NOT_FINITE, {"dictionary.C", "[1, 2]"}},
    {SET, "dictionary.Relax", NULL, 23, 0, -INFINITY, RA_ERR_NOT_FINITE, {"dictionary.Relax", "[5, 3]"}},
    {SET, "dictionary.multiplier", NULL, 0, 0, NAN, RA_ERR_NOT_FINITE, {"dictionary.multiplier", NULL}},
    {SET, "dictionary.multiplier", NULL, 0, 0, 200, RA_ERR_NOT_FINITE, {"dictionary holds", NULL}},
    {LINES, "points.labels", "a\nb\n", 0, 0, 0, RA_ERR_SHAPE, {"points.labels has 2 lines", "5"}},
};

START_TEST(test_refuses_checkpoints_that_cannot_be_fused) {
    spoilt_model_is_refused(model_file_checkpoint, &checkpoints[_i]);
}
END_TEST

/* The caller can give a setting that a file lacks; what the caller gives replaces the file's. */
START_TEST(test_a_setting_that_an_activation_needs_is_asked_for) {
    static const char *const needs[][2] = {{"topk", "--top-k"}, {"batchtopk", "--running-threshold"}};
    for (size_t i = 0; i < 2; i++) {
        model_file file = {0};
        ra_model *model = NULL;
        model_file_checkpoint(&file);
        model_file_drop(&file, "thresholds");
        model_file_text(&file, "sae", needs[i][0]);
        const char *path = model_file_write(&file, "lacking.safetensors");
        ra_fails(ra_model_open(path, NULL, &model, &err), RA_ERR_SETTING, needs[i][1]);
        model_file_release(&file);
    }
}
END_TEST

START_TEST(test_float64_parameters_are_narrowed) {
    for (int artifact = 0; artifact < 2; artifact++) {
        static const char *const names[] = {
            "dictionary", "dictionary.W", "dictionary.C", "dictionary.Relax", "encoder.final_block.0.weight",
            "thresholds"};
        model_file file = {0};
        ra_model *wide = NULL, *narrow = NULL;
        artifact ? model_file_artifact(&file) : model_file_checkpoint(&file);
        ra_ok(ra_model_open(model_file_write(&file, "narrow"), NULL, &narrow, &err));
        for (size_t i = artifact ? 0 : 1; i < (artifact ? 1 : 6); i++)
            model_file_convert(&file, names[i], RA_F64);
        ra_ok(ra_model_open(model_file_write(&file, "wide"), NULL, &wide, &err));
        ck_assert_str_eq(ra_model_get_info(wide)->digest, ra_model_get_info(narrow)->digest);
        ra_model_release(wide);
        ra_model_release(narrow);
        model_file_release(&file);
    }
}
END_TEST

START_TEST(test_settings_given_stand_in_for_missing_ones) {
    static const struct {
        const char *sae, *given;
        ra_status status;
    } rows[] = {
        {"topk", "top_k=3", RA_OK},
        {"topk", "top_k=7", RA_ERR_ARGUMENT}, /* more than the number of atoms */
        {"batchtopk", "running_threshold=0.5", RA_OK},
        {NULL, "sae=relu", RA_OK},
        {NULL, "sae=topk top_k=6", RA_OK},
        {"nonsense", "sae=relu", RA_ERR_ARGUMENT}, /* a file that is wrong stays wrong */
        {"topk", "sae=relu", RA_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        model_file file = {0};
        model_file_checkpoint(&file);
        model_file_text(&file, "sae", rows[i].sae);
        model_file_text(&file, "delta", NULL);
        char given[64];
        snprintf(given, sizeof given, "delta=0.5 %s", rows[i].given);
        model_file_drop(&file, "thresholds");
        ra_model_options options = {.settings = model_settings(given), .archetypes = 2};
        ra_model *model = NULL;
        ra_error err = {0};
        ra_status status =
            ra_model_open(model_file_write(&file, "lacking.safetensors"), &options, &model, &err);
        ck_assert_msg(status == rows[i].status, "row %zu: %s", i, err.message);
        if (status == RA_OK) {
            ck_assert(fabs(ra_model_get_info(model)->settings.delta - 0.5) < 1e-12);
            ck_assert_uint_eq(ra_model_get_info(model)->archetypes, 2);
        }
        ra_model_release(model);
        model_file_release(&file);
    }
}
END_TEST

START_TEST(test_a_bare_dictionary_serves_all_but_encode_and_explain) {
    model_file file = {0};
    model_file_checkpoint(&file);
    static const char *const encoder[] = {"encoder.final_block.0.weight", "encoder.final_block.0.bias",
                                          "thresholds"};
    for (size_t i = 0; i < 3; i++) model_file_drop(&file, encoder[i]);
    model_file_text(&file, "sae", NULL);
    model_file_text(&file, "encoder", NULL);
    ra_model *model = model_open(model_file_write(&file, "bare.safetensors"));
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_explanation explanation;
    float x[FILE_D] = {1, 2, 3, 4}, z[FILE_K] = {0, 1}, atom[FILE_D], scores[2];
    size_t ids[2];
    ra_ok(ra_workspace_new(&workspace, &err));
    ck_assert(!ra_model_get_info(model)->has_encoder);
    ra_fails(ra_model_encode(model, workspace, x, 1, &codes, &err), RA_ERR_STATE, "has no encoder");
    ra_fails(ra_model_explain(model, workspace, x, 1, &explanation, &err), RA_ERR_STATE, "has no encoder");
    ra_explanation_release(&explanation);
    ra_ok(ra_codes_from_dense(&codes, z, 1, FILE_K, &err));
    ra_ok(ra_model_reconstruct(model, workspace, &codes, x, &err));
    ra_ok(ra_model_atom(model, 1, atom, &err));
    ck_assert_mem_eq(x, atom, sizeof x);
    ra_ok(ra_model_search(model, workspace, atom, 1, 2, RA_SIMILARITY_COSINE, ids, scores, &err));
    ck_assert_uint_eq(ids[0], 1);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_parameters_of_any_float_type_fuse) {
    static const char *const names[] = {"dictionary.W", "dictionary.C", "dictionary.Relax",
                                        "dictionary.multiplier"};
    model_file file = {0};
    model_file_checkpoint(&file);
    ra_model *whole = model_open(model_file_write(&file, "whole.safetensors"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) model_file_convert(&file, names[i], RA_F16);
    ra_model *half = model_open(model_file_write(&file, "half.safetensors"));
    assert_close((const float *)ra_model_dictionary(half)->data,
                 (const float *)ra_model_dictionary(whole)->data, FILE_K * FILE_D, 2e-3);
    ra_model_release(whole);
    ra_model_release(half);
    model_file_release(&file);
}
END_TEST

START_TEST(test_plain_dictionaries_are_normalized_and_scaled) {
    static const float weights[] = {3, 4, 0, 0, 0, 2}, multiplier[] = {0.5f};
    static const struct {
        const char *kind;
        float expected[6];
    } rows[] = {
        {"l2", {0.6f, 0.8f, 0, 0, 0, 1}},         {"max_l2", {0.6f, 0.8f, 0, 0, 0, 0.4f}},
        {"l1", {3 / 7.0f, 4 / 7.0f, 0, 0, 0, 1}}, {"max_l1", {3 / 7.0f, 4 / 7.0f, 0, 0, 0, 2 / 7.0f}},
        {"identity", {3, 4, 0, 0, 0, 2}},
    };
    ra_model *model = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int scaled = 0; scaled < 2; scaled++) {
            model_file file = {0};
            float expected[6];
            model_file_put(&file, "dictionary._weights", RA_F32, 2, 3, 2, weights);
            if (scaled) model_file_put(&file, "dictionary.multiplier", RA_F32, 0, 1, 1, multiplier);
            model_file_text(&file, "dictionary", rows[i].kind);
            model = model_open(model_file_write(&file, "plain.safetensors"));
            for (size_t e = 0; e < 6; e++) expected[e] = rows[i].expected[e] * (scaled ? expf(0.5f) : 1);
            assert_close((const float *)ra_model_dictionary(model)->data, expected, 6, 1e-6);
            ck_assert_uint_eq(ra_model_get_info(model)->archetypes, 0);
            ck_assert(!ra_model_get_info(model)->has_relaxation && isnan(ra_model_atom_relaxation(model, 0)));
            ra_model_release(model);
            model_file_release(&file);
        }
    model_file file = {0};
    model_file_put(&file, "dictionary._weights", RA_F32, 2, 3, 2, weights);
    ra_fails(ra_model_open(model_file_write(&file, "p.safetensors"), NULL, &model, &err), RA_ERR_SETTING,
             "--dictionary");
    model_file_text(&file, "dictionary", "archetypal");
    ra_fails(ra_model_open(model_file_write(&file, "p.safetensors"), NULL, &model, &err), RA_ERR_FORMAT,
             "dictionary._weights");
    model_file_release(&file);
}
END_TEST

/* ---- neither ------------------------------------------------------------------------------------------- */

START_TEST(test_refuses_what_is_neither_kind) {
    model_file file = {0};
    ra_model *model = NULL;
    static const char *const names[] = {"W_enc", "b_enc", "W_dec", "b_dec"};
    for (size_t i = 0; i < 4; i++) model_file_put(&file, names[i], RA_F32, 1, 4, 0, NULL);
    const char *path = model_file_write(&file, "foreign.safetensors");
    ra_fails(ra_model_open(path, NULL, &model, &err), RA_ERR_FORMAT, "it holds W_enc, b_enc, W_dec, b_dec");
    ra_fails(ra_model_open(path, NULL, &model, &err), RA_ERR_FORMAT, "`dictionary.W`");
    ra_fails(ra_model_open(test_path("absent"), NULL, &model, &err), RA_ERR_NOT_FOUND, "absent");
    ck_assert_int_eq(mkdir(test_path("folder"), 0700), 0);
    ra_fails(ra_model_open(test_path("folder"), NULL, &model, &err), RA_ERR_ARGUMENT,
             "folder is a directory without weights");
    ra_fails(ra_model_open(test_write("text", "hello, world", 12), NULL, &model, &err), RA_ERR_FORMAT,
             "text");
    model_file_release(&file);
    ra_fails(ra_model_open(model_file_write(&file, "none.safetensors"), NULL, &model, &err), RA_ERR_FORMAT,
             "it holds nothing");
    static char longer[20][64];
    for (size_t i = 0; i < 20; i++) {
        snprintf(longer[i], sizeof longer[i], "a.name.that.is.rather.long.and.says.nothing.%zu", i);
        model_file_put(&file, longer[i], RA_F32, 1, 1, 0, NULL);
    }
    ra_fails(ra_model_open(model_file_write(&file, "many.safetensors"), NULL, &model, &err), RA_ERR_FORMAT,
             "nothing.0, ");
    model_file_release(&file);
    ck_assert_ptr_null(model);
}
END_TEST

TEST_CASES_LOOP(model_open_artifacts, 0, sizeof artifacts / sizeof *artifacts,
                test_refuses_artifacts_that_break_the_format)
TEST_CASES_LOOP(model_open_checkpoints, 0, sizeof checkpoints / sizeof *checkpoints,
                test_refuses_checkpoints_that_cannot_be_fused)
TEST_CASES(model_open, test_a_setting_that_an_activation_needs_is_asked_for,
           test_float64_parameters_are_narrowed, test_the_artifact_as_it_is_opens,
           test_the_file_of_a_steady_artifact_is_kept, test_refuses_words_that_break_the_format,
           test_artifacts_made_by_hand_open, test_encoder_tensors_of_any_float_type_open,
           test_refuses_negative_variances, test_settings_given_stand_in_for_missing_ones,
           test_a_bare_dictionary_serves_all_but_encode_and_explain, test_parameters_of_any_float_type_fuse,
           test_plain_dictionaries_are_normalized_and_scaled, test_refuses_what_is_neither_kind)
