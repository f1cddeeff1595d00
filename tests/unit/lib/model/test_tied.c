/* Models that encode with the dictionary itself, tied encoders and matching pursuit, from a checkpoint and from
 * artifacts of every type; and files whose parts do not fit together (lib/model/open). */
#include "golden.h"
#include "ra_memory.h"
#include "model_files.h"

#include <stdio.h>
#include <string.h>

enum { B = 32, D = 16, K = 48 };

static const char *const runs[] = {"mp-mse", "topk-mse-tied"};

typedef struct answers {
    float z[B * K], x_hat[B * D];
} answers;

static void ask(const ra_model *model, const float *x, answers *a) {
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_explanation explanation;
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_encode(model, workspace, x, B, &codes, &err));
    ra_ok(ra_model_reconstruct(model, workspace, &codes, a->x_hat, &err));
    ra_codes_to_dense(&codes, a->z);
    ra_ok(ra_model_explain(model, workspace, x, B, &explanation, &err));
    ck_assert_mem_eq(explanation.start, codes.start, (B + 1) * sizeof *codes.start);
    ra_explanation_release(&explanation);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
}

static const float *first_batch(const char *run, ra_npy **npy) {
    char name[64];
    snprintf(name, sizeof name, "%s.x.npy", run);
    ra_ok(ra_npy_open(test_golden(name), npy, &err));
    return ra_npy_tensor(*npy)->data;
}

static ra_model *open_final(const char *run) {
    char name[64];
    snprintf(name, sizeof name, "%s.final.safetensors", run);
    return model_open(test_golden(name));
}

START_TEST(test_a_checkpoint_answers_as_the_reference) {
    int run = _i / MODEL_DEVICES;
    (void)model_on_device(_i);
    ra_npy *npy = NULL;
    const float *x = first_batch(runs[run], &npy);
    ra_safetensors *expected = golden_open(runs[run], ".expected.safetensors");
    ra_model *model = open_final(runs[run]);
    answers a;
    ck_assert(ra_model_get_info(model)->has_encoder);
    ck_assert_int_eq(ra_model_get_info(model)->settings.encoder, run ? RA_ENCODER_TIED : RA_ENCODER_IDENTITY);
    ask(model, x, &a);
    golden_close(a.z, expected, "eval.codes", 1e-5);
    golden_close(a.x_hat, expected, "eval.x_hat", 1e-5);
    ra_model_release(model);
    ra_safetensors_free(expected);
    ra_npy_free(npy);
}
END_TEST

/* A saved model has no copy of D as its encoder. In F32 its answers have the same bits; in a narrower type it
 * encodes with the rounded D, like an F32 file of the rounded numbers: on the host with the same bits. */
START_TEST(test_artifacts_encode_with_their_own_dictionary) {
    int run = _i / MODEL_DEVICES;
    (void)model_on_device(_i);
    ra_npy *npy = NULL;
    const float *x = first_batch(runs[run], &npy);
    ra_model *model = open_final(runs[run]);
    answers from_checkpoint, narrow, wide;
    ask(model, x, &from_checkpoint);
    for (int dtype = RA_F32; dtype <= RA_BF16; dtype++) {
        const char *path = test_path("saved.safetensors");
        ra_ok(ra_model_save(model, path, (ra_dtype)dtype, &err));
        ra_safetensors *file = NULL;
        ra_ok(ra_safetensors_open(path, &file, &err));
        ck_assert_ptr_null(ra_safetensors_find(file, "encoder.final_block.0.weight"));
        ck_assert(!ra_safetensors_find(file, "encoder.final_block.0.bias") == (run == 0));
        ck_assert_str_eq(ra_safetensors_metadata(file, "encoder"), run ? "tied" : "identity");
        ra_safetensors_free(file);
        ra_model *saved = model_open(path), *widened;
        ask(saved, x, &narrow);
        if (dtype == RA_F32) ck_assert_mem_eq(&narrow, &from_checkpoint, sizeof narrow);
        ra_ok(ra_model_save(saved, test_path("wide.safetensors"), RA_F32, &err));
        widened = model_open(test_path("wide.safetensors"));
        ask(widened, x, &wide);
        if (ra_model_rows_as_alone(saved) < SIZE_MAX) ck_assert_mem_eq(narrow.z, wide.z, sizeof wide.z);
        assert_close(narrow.z, wide.z, B * K, 1e-6);
        assert_close(narrow.x_hat, from_checkpoint.x_hat, B * D, dtype == RA_F32 ? 0 : 0.05);
        ra_model_release(saved);
        ra_model_release(widened);
    }
    ra_model_release(model);
    ra_npy_free(npy);
}
END_TEST

/* ---- small files --------------------------------------------------------------------------------------- */

static void make_bare(model_file *file) {
    model_file_artifact(file);
    model_file_drop(file, "encoder.final_block.0.weight");
    model_file_drop(file, "encoder.final_block.0.bias");
    model_file_drop(file, "thresholds");
    model_file_text(file, "sae", "topk");
    model_file_text(file, "top_k", "2");
    model_file_text(file, "encoder", NULL);
}

static void encode_once(const model_file *file, const char *name, float *z) {
    float x[FILE_D];
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_model *model = model_open(model_file_write(file, name));
    test_fill(x, FILE_D, 8);
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_encode(model, workspace, x, 1, &codes, &err));
    ra_codes_to_dense(&codes, z);
    ck_assert_uint_gt(ra_codes_entries(&codes), 0);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
}

START_TEST(test_a_tied_encoder_may_lack_its_bias) {
    static const float zeros[FILE_K];
    float without[FILE_K], with[FILE_K], implied[FILE_K];
    model_file file = {0};
    make_bare(&file);
    model_file_text(&file, "encoder", "tied");
    encode_once(&file, "without.safetensors", without);
    model_file_put(&file, "encoder.final_block.0.bias", RA_F32, 1, FILE_K, 0, zeros);
    encode_once(&file, "with.safetensors", with);
    model_file_text(&file, "encoder", NULL); /* a bias alone tells it, too */
    encode_once(&file, "implied.safetensors", implied);
    ck_assert_mem_eq(without, with, sizeof with);
    ck_assert_mem_eq(implied, with, sizeof with);
    model_file_release(&file);
}
END_TEST

START_TEST(test_settings_make_a_bare_dictionary_encode) {
    model_file file = {0};
    ra_model *model = NULL;
    make_bare(&file);
    model_file_text(&file, "sae", NULL);
    const char *path = model_file_write(&file, "bare.safetensors");
    ra_model_release(model = model_open(path));
    ra_model_options options = {
        .settings = {.known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K, .sae = RA_SAE_MP, .top_k = 3}};
    ra_ok(ra_model_open(path, &options, &model, &err));
    ck_assert(ra_model_get_info(model)->has_encoder);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

static const struct {
    const char *sae, *encoder, *top_k; /* NULL: not in the file */
    bool weight;
    ra_status code;
    const char *message;
} mismatches[] = {
    {"mp", NULL, "2", true, RA_ERR_FORMAT, "the setting sae is mp, which has no encoder"},
    {"mp", "identity", "2", true, RA_ERR_FORMAT, "the setting encoder is identity, but the tensors are"},
    {"topk", "tied", "2", true, RA_ERR_FORMAT,
     "the setting encoder is tied, but the tensors are those of lin"},
    {"mp", "tied", "2", false, RA_ERR_FORMAT, "mp has the encoder identity"},
    {"mp", "linear", "2", false, RA_ERR_FORMAT, "mp has the encoder identity"},
    {"topk", "identity", "2", false, RA_ERR_FORMAT, "only mp works without one"},
    {"mp", NULL, NULL, false, RA_ERR_SETTING, "--top-k"},
    {"mp", NULL, "7", false, RA_ERR_ARGUMENT, "only 6 concepts"},
    {NULL, "tied", "2", false, RA_ERR_SETTING, "--sae"},
};

START_TEST(test_parts_that_do_not_go_together) {
    float weight[FILE_K * FILE_D];
    model_file file = {0};
    ra_model *model = NULL;
    make_bare(&file);
    test_fill(weight, FILE_K * FILE_D, 2);
    if (mismatches[_i].weight) {
        model_file_put(&file, "encoder.final_block.0.weight", RA_F32, 2, FILE_K, FILE_D, weight);
        model_file_put(&file, "encoder.final_block.0.bias", RA_F32, 1, FILE_K, 0, weight);
    }
    model_file_text(&file, "sae", mismatches[_i].sae);
    model_file_text(&file, "encoder", mismatches[_i].encoder);
    model_file_text(&file, "top_k", mismatches[_i].top_k);
    ra_fails(ra_model_open(model_file_write(&file, "mismatch.safetensors"), NULL, &model, &err),
             mismatches[_i].code, mismatches[_i].message);
    model_file_release(&file);
}
END_TEST

TEST_CASES_LOOP(model_tied_runs, 0, 2 * MODEL_DEVICES, test_a_checkpoint_answers_as_the_reference,
                test_artifacts_encode_with_their_own_dictionary)
TEST_CASES_LOOP(model_tied_mismatches, 0, sizeof mismatches / sizeof *mismatches,
                test_parts_that_do_not_go_together)
TEST_CASES(model_tied, test_a_tied_encoder_may_lack_its_bias, test_settings_make_a_bare_dictionary_encode)
