/* A model against overcomplete: fuse, reconstruction and encode in evaluation mode
 * (lib/model/{encode,reconstruct}.c). */
#include "model_files.h"

#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const dictionaries[] = {"dict-basic", "dict-one", "dict-tight"};

START_TEST(test_dictionaries_equal_the_reference) {
    char checkpoint[64], expected[64];
    const char *name = dictionaries[_i / MODEL_DEVICES], *device = model_on_device(_i);
    snprintf(checkpoint, sizeof checkpoint, "%s.checkpoint.safetensors", name);
    snprintf(expected, sizeof expected, "%s.expected.safetensors", name);
    size_t B, K, d;
    float *fused = golden_tensor(expected, "fused", &K, &d), *z = golden_tensor(expected, "z", &B, NULL);
    float *x_hat = golden_tensor(expected, "x_hat_eval", NULL, NULL);
    float *ours = ra_calloc(B * d, sizeof *ours);
    ra_model *model = model_open(test_golden(checkpoint));
    const ra_model_info *info = ra_model_get_info(model);
    ck_assert_uint_eq(info->concepts, K);
    ck_assert_uint_eq(info->dimensions, d);
    ck_assert(info->from_checkpoint && !info->has_encoder && info->has_relaxation);
    ck_assert_int_eq(strncmp(device, info->device, strlen(info->device)), 0);
    assert_close((const float *)ra_model_dictionary(model)->data, fused, K * d, 1e-6);

    ra_codes codes = {0};
    ra_workspace *workspace = NULL;
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_codes_from_dense(&codes, z, B, K, &err));
    ra_ok(ra_model_reconstruct(model, workspace, &codes, ours, &err));
    assert_close(ours, x_hat, B * d, 1e-6);

    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
    ra_free(ours), ra_free(fused), ra_free(z), ra_free(x_hat);
}
END_TEST

static const char *const runs[] = {"relu-mse_l1",       "topk-mse",      "batchtopk-mse",
                                   "jumprelu-mse_l1",   "topk-auxk",     "topk-mse-mlp_ln_1",
                                   "topk-mse-mlp_bn_1", "topk-mse-tied", "mp-mse"};

START_TEST(test_trained_models_encode_as_the_reference) {
    char checkpoint[64], expected[64], data[64], given[64] = "";
    const char *run = runs[_i / MODEL_DEVICES];
    (void)model_on_device(_i);
    snprintf(checkpoint, sizeof checkpoint, "%s.final.safetensors", run);
    snprintf(expected, sizeof expected, "%s.expected.safetensors", run);
    snprintf(data, sizeof data, "%s.x.npy", run);
    size_t B, K, d;
    float *codes = golden_tensor(expected, "eval.codes", &B, &K);
    float *x_hat = golden_tensor(expected, "eval.x_hat", NULL, &d);
    float *fused = golden_tensor(expected, "fused", NULL, NULL);
    if (strncmp(run, "batchtopk", 9) == 0) {
        float *threshold = golden_tensor(expected, "final.running_threshold", NULL, NULL);
        snprintf(given, sizeof given, "running_threshold=%.9g", (double)*threshold);
        ra_free(threshold);
    }
    ra_model *model = model_open_with(test_golden(checkpoint), given);
    assert_close((const float *)ra_model_dictionary(model)->data, fused, K * d, 1e-5);

    ra_npy *x = NULL;
    ra_workspace *workspace = NULL;
    ra_codes ours = {0};
    float *dense = ra_calloc(B * K, sizeof *dense), *ours_hat = ra_calloc(B * d, sizeof *ours_hat);
    ra_ok(ra_npy_open(test_golden(data), &x, &err));
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_encode(model, workspace, ra_npy_tensor(x)->data, B, &ours, &err));
    ra_codes_to_dense(&ours, dense);
    assert_close(dense, codes, B * K, 1e-5);
    ra_ok(ra_model_reconstruct(model, workspace, &ours, ours_hat, &err));
    assert_close(ours_hat, x_hat, B * d, 1e-5);

    ra_codes_release(&ours);
    ra_npy_free(x);
    ra_workspace_free(workspace);
    ra_model_release(model);
    ra_free(dense), ra_free(ours_hat), ra_free(codes), ra_free(x_hat), ra_free(fused);
}
END_TEST

TEST_CASES_LOOP(model_golden_dictionaries, 0, MODEL_DEVICES * sizeof dictionaries / sizeof *dictionaries,
                test_dictionaries_equal_the_reference)
TEST_CASES_LOOP(model_golden_runs, 0, MODEL_DEVICES * sizeof runs / sizeof *runs,
                test_trained_models_encode_as_the_reference)
