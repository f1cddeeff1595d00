/* Steering and editing against plain sums, on inputs and on reconstructions (lib/model/{steer,edit,moving}.c). */
#include "model_files.h"

#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { D = 16, K = 48 };

static const struct {
    const char *file;
    ra_dtype dtype;
} dictionaries[] = {{"topk-mse.final.safetensors", RA_F32}, {"topk-mse.final.safetensors", RA_F16}};

static ra_model *open_as(int i) {
    ra_model *model = model_open(test_golden(dictionaries[i].file)), *narrow;
    if (dictionaries[i].dtype == RA_F32) return model;
    const char *path = test_path("narrow.safetensors");
    ra_ok(ra_model_save(model, path, dictionaries[i].dtype, &err));
    narrow = model_open(path);
    ra_model_release(model);
    return narrow;
}

/* base + sum of scale * D_atom, one number at a time */
static void expect(const ra_model *model, const float *base, size_t rows, const ra_steer *pushes,
                   size_t count, const float *got) {
    float atom[D];
    for (size_t b = 0; b < rows; b++)
        for (size_t j = 0; j < D; j++) {
            double sum = base[b * D + j];
            for (size_t i = 0; i < count; i++) {
                ra_ok(ra_model_atom(model, pushes[i].atom, atom, &err));
                sum += (double)pushes[i].scale * atom[j];
            }
            ck_assert_float_eq_tol(got[b * D + j], (float)sum, 1e-5f);
        }
}

START_TEST(test_pushes_are_added) {
    enum { ROWS = 300 }; /* more than a chunk */
    static float x[ROWS * D], out[ROWS * D], base[ROWS * D];
    static const ra_steer pushes[] = {{5, 2.0f}, {0, -0.25f}, {47, 1e-3f}, {5, 0.5f}};
    (void)model_on_device(_i);
    ra_model *model = open_as(_i / MODEL_DEVICES);
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_ok(ra_workspace_new(&workspace, &err));
    test_fill(x, ROWS * D, 7);
    ra_ok(ra_model_steer(model, workspace, x, ROWS, RA_STEER_INPUT, RA_STEER_ADD, pushes, 4, out, &err));
    expect(model, x, ROWS, pushes, 4, out);

    ra_ok(ra_model_encode(model, workspace, x, ROWS, &codes, &err));
    ra_ok(ra_model_reconstruct(model, workspace, &codes, base, &err));
    ra_ok(ra_model_steer(model, workspace, x, ROWS, RA_STEER_RECONSTRUCTION, RA_STEER_ADD, pushes, 4, out,
                         &err));
    expect(model, base, ROWS, pushes, 4, out);

    ra_ok(ra_model_steer(model, workspace, x, ROWS, RA_STEER_INPUT, RA_STEER_ADD, NULL, 0, out,
                         &err)); /* nothing to add */
    ck_assert_mem_eq(out, x, sizeof x);
    ra_ok(ra_model_steer(model, workspace, x, ROWS, RA_STEER_INPUT, RA_STEER_ADD, pushes, 1, x,
                         &err)); /* in place */
    expect(model, out, ROWS, pushes, 1, x);
    ra_ok(ra_model_steer(model, workspace, x, 0, RA_STEER_RECONSTRUCTION, RA_STEER_ADD, pushes, 1, out,
                         &err)); /* no rows */
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

START_TEST(test_refusals) {
    float x[2 * D] = {0}, out[2 * D];
    ra_steer push = {K, 1};
    ra_model *model = open_as(0), *bare = model_open(test_golden("dict-basic.checkpoint.safetensors"));
    ra_workspace *workspace = NULL;
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_fails(ra_model_steer(model, workspace, x, 1, RA_STEER_INPUT, RA_STEER_ADD, &push, 1, out, &err),
             RA_ERR_ARGUMENT, "push 0 is along atom 48; expected 0 to 47");
    push = (ra_steer){3, NAN};
    ra_fails(ra_model_steer(model, workspace, x, 1, RA_STEER_INPUT, RA_STEER_ADD, &push, 1, out, &err),
             RA_ERR_NOT_FINITE, "no finite scale");
    for (size_t j = 0; j < D; j++) x[j] = 3.4e38f;
    ra_fails(ra_model_steer(model, workspace, x, 2, RA_STEER_INPUT, RA_STEER_ADD,
                            (ra_steer[]){{3, 3.4e38f}, {3, 3.4e38f}, {3, 3.4e38f}}, 3, out, &err),
             RA_ERR_NOT_FINITE, "beyond float32");
    x[D + 2] = INFINITY;
    push.scale = 1;
    ra_fails(ra_model_steer(model, workspace, x, 2, RA_STEER_INPUT, RA_STEER_ADD, &push, 1, out, &err),
             RA_ERR_NOT_FINITE, "input 1 holds a NaN or an infinity at position 2");
    memset(x, 0, sizeof x);
    ra_fails(
        ra_model_steer(bare, workspace, x, 1, RA_STEER_RECONSTRUCTION, RA_STEER_ADD, &push, 1, out, &err),
        RA_ERR_STATE, "has no encoder");
    ra_workspace_free(workspace);
    ra_model_release(model);
    ra_model_release(bare);
}
END_TEST

START_TEST(test_memory_may_run_out) {
    float x[D] = {0}, out[D];
    ra_model *model = open_as(0);
    for (size_t n = 1; n < 50; n++) {
        ra_workspace *workspace = NULL;
        ra_ok(ra_workspace_new(&workspace, &err));
        ra_memory_fail_at(n);
        ra_status status = ra_model_steer(model, workspace, x, 1, RA_STEER_RECONSTRUCTION, RA_STEER_ADD,
                                          &(ra_steer){1, 1}, 1, out, NULL);
        size_t asked = ra_memory_fail_at(0);
        ra_workspace_free(workspace);
        ck_assert(status == RA_OK || status == RA_ERR_MEMORY);
        if (asked < n) break;
    }
    ra_model_release(model);
}
END_TEST

START_TEST(test_a_digest_names_the_numbers) {
    ra_model *wide = open_as(0), *again = open_as(0), *narrow = open_as(1);
    const char *digest = ra_model_get_info(wide)->digest;
    ck_assert_uint_eq(strlen(digest), RA_DIGEST_SIZE - 1);
    ck_assert_str_eq(digest, ra_model_get_info(again)->digest);
    ck_assert_str_ne(digest, ra_model_get_info(narrow)->digest);
    ra_model_release(wide);
    ra_model_release(again);
    ra_model_release(narrow);
}
END_TEST

/* Each method and each operation against plain arithmetic, one row at a time. */
START_TEST(test_methods_and_edits) {
    enum { ROWS = 300 };
    static float x[ROWS * D], out[ROWS * D], again[ROWS * D], before[ROWS * 5], after[ROWS * 5], z[ROWS * K];
    static const ra_steer push = {5, 0.25f};
    static const ra_edit edits[] = {{5, RA_EDIT_SET, 2},
                                    {5, RA_EDIT_SCALE, -0.5f},
                                    {0, RA_EDIT_ADD, 1},
                                    {7, RA_EDIT_CLAMP, 0.1f},
                                    {9, RA_EDIT_ABLATE, 0}};
    (void)model_on_device(_i);
    ra_model *model = open_as(_i / MODEL_DEVICES);
    ra_workspace *workspace = NULL;
    float v[D];
    ra_ok(ra_workspace_new(&workspace, &err));
    test_fill(x, ROWS * D, 7);
    ra_ok(ra_model_atom(model, push.atom, v, &err));
    double square = 0;
    for (size_t j = 0; j < D; j++) square += (double)v[j] * v[j];
    for (ra_steer_method method = RA_STEER_ORTHOGONAL; method <= RA_STEER_CAP; method++) {
        ra_ok(ra_model_steer(model, workspace, x, ROWS, RA_STEER_INPUT, method, &push, 1, out, &err));
        for (size_t b = 0; b < ROWS; b++) {
            double along = 0;
            for (size_t j = 0; j < D; j++) along += (double)x[b * D + j] * v[j] / square;
            double most = (double)push.scale / sqrt(square),
                   to = method == RA_STEER_CAP ? fmin(along, most) : push.scale * along;
            for (size_t j = 0; j < D; j++)
                ck_assert_float_eq_tol(out[b * D + j], (float)(x[b * D + j] + (to - along) * v[j]), 1e-5f);
        }
    }
    ra_codes codes = {0};
    ra_ok(ra_model_encode(model, workspace, x, ROWS, &codes, &err));
    ra_codes_to_dense(&codes, z);
    ra_ok(ra_model_edit(model, workspace, x, ROWS, false, edits, 5, again, before, after, &err));
    ra_ok(ra_model_edit(model, workspace, x, ROWS, true, edits, 5, out, before, after, &err));
    for (size_t b = 0; b < ROWS; b++) {
        float *row = z + b * K, old[5] = {row[5], 2, row[0], row[7], row[9]};
        float now[5] = {2, -1, row[0] + 1, fminf(row[7], 0.1f), 0};
        for (size_t i = 0; i < 5; i++) {
            ck_assert_float_eq_tol(before[b * 5 + i], old[i], 1e-5f);
            ck_assert_float_eq_tol(after[b * 5 + i], now[i], 1e-5f);
        }
        ra_steer moves[] = {{5, -1 - row[5]}, {0, 1}, {7, now[3] - row[7]}, {9, -row[9]}};
        expect(model, x + b * D, 1, moves, 4, out + b * D);
        row[5] = -1, row[0] += 1, row[7] = now[3], row[9] = 0;
    }
    ra_codes_release(&codes);
    ra_ok(ra_codes_from_dense(&codes, z, ROWS, K, &err));
    ra_ok(ra_model_reconstruct(model, workspace, &codes, out, &err));
    for (size_t i = 0; i < ROWS * D; i++) ck_assert_float_eq_tol(again[i], out[i], 1e-5f);
    ra_fails(ra_model_edit(model, workspace, x, 1, true, &(ra_edit){K, RA_EDIT_SET, 1}, 1, out, before, after,
                           &err),
             RA_ERR_ARGUMENT, "edit 0 is of atom 48; expected 0 to 47");
    ra_fails(ra_model_edit(model, workspace, x, 1, true, &(ra_edit){1, RA_EDIT_SET, NAN}, 1, out, before,
                           after, &err),
             RA_ERR_NOT_FINITE, "no finite value");
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

TEST_CASES_LOOP(model_steer_methods, 30, 2 * MODEL_DEVICES, test_methods_and_edits)
TEST_CASES_LOOP(model_steer_sums, 30, 2 * MODEL_DEVICES, test_pushes_are_added)
TEST_CASES(model_steer, test_refusals, test_memory_may_run_out, test_a_digest_names_the_numbers)
