/* A model that was trained on standardized activations against the same model without a standardization: what
 * one gives for an input, the other gives for the input that the test standardizes. */
#include "model_files.h"

#include "ra_memory.h"
#include "ra_metrics.h"

#include <math.h>
#include <string.h>

enum { B = 300, D = FILE_D };

static const float mean[D] = {-3, 0.5f, 100, 0}, scale[D] = {2, 0.25f, 40, 1};

typedef struct fixture {
    ra_model *plain, *model; /* without and with */
    ra_workspace *workspace;
    float raw[B * D], x[B * D]; /* inputs, and standardized */
} fixture;

static const struct {
    void (*make)(model_file *);
    ra_dtype dtype;
    bool saved; /* the same, opened from its artifact */
} kinds[] = {
    {model_file_artifact, RA_F32, false},
    {model_file_artifact, RA_F16, false},
    {model_file_checkpoint, RA_F32, false},
    {model_file_checkpoint, RA_F32, true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static ra_model *open_kind(int kind, bool standardized) {
    model_file file = {0};
    kinds[kind].make(&file);
    if (kinds[kind].dtype != RA_F32) model_file_convert(&file, "dictionary", kinds[kind].dtype);
    if (standardized) {
        model_file_put(&file, "input.mean", RA_F32, 1, D, 0, mean);
        model_file_put(&file, "input.scale", RA_F32, 1, D, 0, scale);
    }
    ra_model *model =
        model_open(model_file_write(&file, standardized ? "with.safetensors" : "without.safetensors"));
    model_file_release(&file);
    if (!kinds[kind].saved) return model;
    const char *path = test_path(standardized ? "with.fused.safetensors" : "without.fused.safetensors");
    ra_ok(ra_model_save(model, path, RA_F32, &err));
    ra_model_release(model);
    return model_open(path);
}

static void set_up(fixture *f, int test) {
    int kind = test / MODEL_DEVICES;
    (void)model_on_device(test);
    f->plain = open_kind(kind, false);
    f->model = open_kind(kind, true);
    f->workspace = NULL;
    ra_ok(ra_workspace_new(&f->workspace, &err));
    test_fill(f->raw, B * D, 3);
    for (size_t i = 0; i < B * D; i++) {
        f->raw[i] = mean[i % D] + 3 * scale[i % D] * f->raw[i];
        f->x[i] = (f->raw[i] - mean[i % D]) / scale[i % D];
    }
}

static void tear_down(fixture *f) {
    ra_workspace_free(f->workspace);
    ra_model_release(f->model);
    ra_model_release(f->plain);
}

static void assert_same_codes(const ra_codes *a, const ra_codes *b) {
    ck_assert_uint_eq(a->rows, b->rows);
    ck_assert_mem_eq(a->start, b->start, (a->rows + 1) * sizeof *a->start);
    ck_assert_mem_eq(a->index, b->index, ra_codes_entries(a) * sizeof *a->index);
    ck_assert_mem_eq(a->value, b->value, ra_codes_entries(a) * sizeof *a->value);
}

START_TEST(test_encode_takes_inputs_and_reconstruct_gives_them) {
    fixture f;
    float x_hat[B * D], expected[B * D];
    ra_codes codes = {0}, plain = {0};
    set_up(&f, _i);
    ck_assert(ra_model_get_info(f.model)->has_standardization);
    ck_assert(!ra_model_get_info(f.plain)->has_standardization);
    ra_ok(ra_model_encode(f.model, f.workspace, f.raw, B, &codes, &err));
    ra_ok(ra_model_encode(f.plain, f.workspace, f.x, B, &plain, &err));
    ck_assert_uint_gt(ra_codes_entries(&codes), B / 2);
    assert_same_codes(&codes, &plain);

    ra_ok(ra_model_reconstruct(f.model, f.workspace, &codes, x_hat, &err));
    ra_ok(ra_model_reconstruct(f.plain, f.workspace, &codes, expected, &err));
    for (size_t i = 0; i < B * D; i++) expected[i] = expected[i] * scale[i % D] + mean[i % D];
    assert_close(x_hat, expected, B * D, 1e-6);
    ra_codes_release(&codes);
    ra_codes_release(&plain);
    tear_down(&f);
}
END_TEST

START_TEST(test_explains_in_standardized_space) {
    fixture f;
    ra_explanation got, expected;
    set_up(&f, _i);
    ra_ok(ra_model_explain(f.model, f.workspace, f.raw, B, &got, &err));
    ra_ok(ra_model_explain(f.plain, f.workspace, f.x, B, &expected, &err));
    ck_assert_mem_eq(got.start, expected.start, (B + 1) * sizeof *got.start);
    for (size_t e = 0; e < got.start[B]; e++) {
        ck_assert_uint_eq(got.entries[e].atom, expected.entries[e].atom);
        ck_assert_float_eq(got.entries[e].code, expected.entries[e].code);
        ck_assert_float_eq(got.entries[e].contribution, expected.entries[e].contribution);
    }
    ck_assert_mem_eq(got.residual_norm, expected.residual_norm, B * sizeof(float));
    ck_assert_mem_eq(got.input_norm, expected.input_norm, B * sizeof(float));
    ck_assert_mem_eq(got.r2, expected.r2, B * sizeof(float));
    ra_explanation_release(&got);
    ra_explanation_release(&expected);
    tear_down(&f);
}
END_TEST

START_TEST(test_steers_in_the_units_of_the_inputs) {
    static const ra_steer pushes[] = {{1, 2}, {4, -0.5f}};
    static const ra_steer_base bases[] = {RA_STEER_INPUT, RA_STEER_RECONSTRUCTION};
    fixture f;
    float got[B * D], expected[B * D];
    set_up(&f, _i);
    for (size_t b = 0; b < 2; b++) {
        ra_ok(ra_model_steer(f.model, f.workspace, f.raw, B, bases[b], RA_STEER_ADD, pushes, 2, got, &err));
        ra_ok(
            ra_model_steer(f.plain, f.workspace, f.x, B, bases[b], RA_STEER_ADD, pushes, 2, expected, &err));
        for (size_t i = 0; i < B * D; i++) expected[i] = expected[i] * scale[i % D] + mean[i % D];
        assert_close(got, expected, B * D, 1e-6);
    }
    tear_down(&f);
}
END_TEST

/* Search and atoms do not depend on it. */
START_TEST(test_search_stays_in_the_space_of_the_dictionary) {
    fixture f;
    size_t ids[2 * 3], other[2 * 3];
    float scores[2 * 3], expected[2 * 3];
    set_up(&f, _i);
    ra_ok(ra_model_search(f.model, f.workspace, f.x, 2, 3, RA_SIMILARITY_COSINE, ids, scores, &err));
    ra_ok(ra_model_search(f.plain, f.workspace, f.x, 2, 3, RA_SIMILARITY_COSINE, other, expected, &err));
    ck_assert_mem_eq(ids, other, sizeof ids);
    ck_assert_mem_eq(scores, expected, sizeof scores);
    ck_assert_str_eq(ra_model_get_info(f.model)->digest, ra_model_get_info(f.plain)->digest);
    tear_down(&f);
}
END_TEST

START_TEST(test_rows_and_atoms_go_from_one_space_to_the_other) {
    fixture f;
    float x[B * D], atom[D], direction[D];
    set_up(&f, _i);
    memcpy(x, f.raw, sizeof x);
    ra_ok(ra_model_standardize_inputs(f.model, x, B, &err));
    ck_assert_mem_eq(x, f.x, sizeof x);
    ra_model_unstandardize(f.model, x, B);
    assert_close(x, f.raw, B * D, 1e-6);
    memcpy(x, f.raw, sizeof x);
    ra_ok(ra_model_standardize_inputs(f.plain, x, B, &err));
    ck_assert_mem_eq(x, f.raw, sizeof x);
    ra_ok(ra_model_atom(f.model, 2, atom, &err));
    ra_ok(ra_model_direction(f.plain, 2, direction, &err));
    ck_assert_mem_eq(direction, atom, sizeof atom);
    ra_ok(ra_model_direction(f.model, 2, direction, &err));
    for (size_t j = 0; j < D; j++) ck_assert(direction[j] == atom[j] * scale[j]);
    ra_fails(ra_model_direction(f.model, 1000, direction, &err), RA_ERR_NOT_FOUND, "there is no atom 1000");
    x[D + 1] = INFINITY;
    ra_fails(ra_model_standardize_inputs(f.model, x, B, &err), RA_ERR_NOT_FINITE, "input 1 holds");
    tear_down(&f);
}
END_TEST

static ra_evaluation_result evaluate(ra_model *model, const float *x) {
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result;
    memset(&result, 0, sizeof result); /* compared as bytes */
    ra_ok(ra_evaluation_new(model, NULL, &evaluation, &err));
    ra_ok(ra_evaluation_add(evaluation, x, 100, &err));
    ra_ok(ra_evaluation_add(evaluation, x + 100 * D, B - 100, &err));
    ra_ok(ra_evaluation_finish(evaluation, &result, &err));
    ra_evaluation_free(evaluation);
    return result;
}

START_TEST(test_measures_in_standardized_space) {
    fixture f;
    set_up(&f, _i);
    ra_evaluation_result got = evaluate(f.model, f.raw), expected = evaluate(f.plain, f.x);
    ck_assert_uint_eq(got.rows, B);
    ck_assert_double_eq(got.mse, expected.mse);
    ck_assert_double_eq(got.r2, expected.r2);
    ck_assert_double_eq(got.r2_per_dimension, expected.r2_per_dimension);
    ck_assert_double_eq(got.relative_l2, expected.relative_l2);
    ck_assert_double_eq(got.l0, expected.l0);
    ck_assert_double_eq(got.ood, expected.ood);
    tear_down(&f);
}
END_TEST

START_TEST(test_what_standardizes_beyond_float32_is_refused) {
    static const float tiny[D] = {1e-30f, 1, 1, 1};
    float x[2 * D] = {0, 1, 2, 3, 1e20f, 1, 2, 3};
    model_file file = {0};
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    model_file_artifact(&file);
    model_file_put(&file, "input.mean", RA_F32, 1, D, 0, mean);
    model_file_put(&file, "input.scale", RA_F32, 1, D, 0, tiny);
    ra_model *model = model_open(model_file_write(&file, "tiny.safetensors"));
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_fails(ra_model_encode(model, workspace, x, 2, &codes, &err), RA_ERR_NOT_FINITE,
             "input 1 is beyond float32 at position 0 once it is standardized");
    float both[2 * D];
    memcpy(both, x, sizeof both);
    ra_fails(ra_model_standardize_inputs(model, both, 2, &err), RA_ERR_NOT_FINITE,
             "input 1 is beyond float32 at position 0 once it is standardized");
    x[D] = NAN;
    ra_fails(ra_model_encode(model, workspace, x, 2, &codes, &err), RA_ERR_NOT_FINITE, "input 1 holds a NaN");
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* ---- files that cannot be ------------------------------------------------------------------------------ */

static const struct {
    const char *drop; /* a tensor that is missing, */
    const char *name; /* or a broken one: */
    ra_dtype dtype;   /* its type, */
    size_t size;      /* its size, */
    double value;     /* its last number */
    ra_status status;
    const char *text;
} bad[] = {
    {"input.mean", NULL, RA_F32, 0, 0, RA_ERR_FORMAT, "holds input.scale without input.mean"},
    {"input.scale", NULL, RA_F32, 0, 0, RA_ERR_FORMAT, "holds input.mean without input.scale"},
    {NULL, "input.mean", RA_F32, D - 1, 0, RA_ERR_SHAPE, "input.mean has the shape [3]; expected [4]"},
    {NULL, "input.scale", RA_F32, D + 1, 1, RA_ERR_SHAPE, "input.scale has the shape [5]; expected [4]"},
    {NULL, "input.mean", RA_F16, D, 0, RA_ERR_DTYPE, "input.mean has the type F16; expected F32"},
    {NULL, "input.mean", RA_F32, D, NAN, RA_ERR_NOT_FINITE, "input.mean holds a NaN or an infinity at [3]"},
    {NULL, "input.scale", RA_F32, D, INFINITY, RA_ERR_NOT_FINITE,
     "input.scale holds a NaN or an infinity at [3]"},
    {NULL, "input.scale", RA_F32, D, 0, RA_ERR_FORMAT,
     "input.scale holds 0 at [3]; expected numbers above 0"},
    {NULL, "input.scale", RA_F32, D, -1, RA_ERR_FORMAT, "input.scale holds -1 at [3]"},
};
enum { BAD = sizeof bad / sizeof *bad };

START_TEST(test_refuses_a_broken_standardization) {
    void (*const make[])(model_file *) = {model_file_artifact, model_file_checkpoint};
    for (size_t kind = 0; kind < 2; kind++) {
        float values[D + 1] = {1, 1, 1, 1, 1};
        model_file file = {0};
        ra_model *model = NULL;
        make[kind](&file);
        model_file_put(&file, "input.mean", RA_F32, 1, D, 0, mean);
        model_file_put(&file, "input.scale", RA_F32, 1, D, 0, scale);
        if (bad[_i].drop) model_file_drop(&file, bad[_i].drop);
        if (bad[_i].name) {
            values[bad[_i].size - 1] = (float)bad[_i].value;
            model_file_put(&file, bad[_i].name, RA_F32, 1, bad[_i].size, 0, values);
            if (bad[_i].dtype != RA_F32) model_file_convert(&file, bad[_i].name, bad[_i].dtype);
        }
        const char *path = model_file_write(&file, "bad.safetensors");
        ra_fails(ra_model_open(path, NULL, &model, &err), bad[_i].status, bad[_i].text);
        ck_assert_ptr_null(model);
        model_file_release(&file);
    }
}
END_TEST

TEST_CASES_LOOP(model_standardized, 10, MODEL_DEVICES *KINDS,
                test_encode_takes_inputs_and_reconstruct_gives_them, test_explains_in_standardized_space,
                test_steers_in_the_units_of_the_inputs, test_search_stays_in_the_space_of_the_dictionary,
                test_rows_and_atoms_go_from_one_space_to_the_other, test_measures_in_standardized_space)
TEST_CASES(model_standardized_inputs, test_what_standardizes_beyond_float32_is_refused)
TEST_CASES_LOOP(model_standardized_files, 10, BAD, test_refuses_a_broken_standardization)
