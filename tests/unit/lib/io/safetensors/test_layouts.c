/* What becomes of the tensors of other libraries' layouts, and of a config.json (lib/io/safetensors/{layouts,layout_settings,openmoss,config,npz,torch}.c,
 * lib/io/{config,source}.c). tests/cli/test_layouts.py compares what they compute. */
#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER "tests/data/interop/"

static const char *const folders[] = {
    FOLDER "gemma_scope/plain",
    FOLDER "gemma_scope/packed",
    FOLDER "saelens/standard",
    FOLDER "saelens/topk-rescaled",
    FOLDER "saelens/jumprelu",
    FOLDER "saelens/batchtopk",
    FOLDER "sparsify/topk",
    FOLDER "dictionary_learning/new",
    FOLDER "dictionary_learning/standard",
    FOLDER "dictionary_learning/batchtopk",
    FOLDER "dictionary_learning/jumprelu",
    FOLDER "llama_scope/jumprelu",
    FOLDER "llama_scope/r1-distill",
    FOLDER "llama_scope/llamascopium",
    FOLDER "llama_scope/llamascopium-topk",
    FOLDER "overcomplete/hub",
};
enum { COUNT = sizeof folders / sizeof *folders };

START_TEST(test_names_and_shapes) {
    for (size_t i = 0; i + 1 < COUNT; i++) {
        ra_safetensors *file = NULL;
        ra_ok(ra_safetensors_open(folders[i], &file, &err));
        static const struct {
            const char *name;
            int rank;
            size_t shape[2];
        } tensors[] = {{"dictionary", 2, {10, 6}},
                       {"encoder.final_block.0.weight", 2, {10, 6}},
                       {"encoder.final_block.0.bias", 1, {10}},
                       {"output.bias", 1, {6}}};
        for (size_t t = 0; t < sizeof tensors / sizeof *tensors; t++) {
            const ra_tensor *tensor = ra_safetensors_find(file, tensors[t].name);
            ck_assert_msg(tensor != NULL, "%s has no %s", folders[i], tensors[t].name);
            ck_assert_int_eq(tensor->rank, tensors[t].rank);
            for (int k = 0; k < tensor->rank; k++) ck_assert_uint_eq(tensor->shape[k], tensors[t].shape[k]);
        }
        ck_assert_ptr_nonnull(ra_safetensors_metadata(file, "sae"));
        ck_assert_ptr_nonnull(ra_safetensors_metadata(file, "center_input"));
        ck_assert_ptr_null(ra_safetensors_find(file, "W_enc"));
        ra_safetensors_free(file);
    }
}
END_TEST

/* A threshold that is strict becomes the next float. */
START_TEST(test_thresholds) {
    static const float theirs[4] = {0.5f, 0, -1, 3e38f};
    static const float weights[4] = {1, 2, 3, 4}, none[1] = {0};
    ra_safetensors_writer *writer = NULL;
    ra_safetensors *file = NULL;
    const ra_tensor encoder = ra_tensor_2d(RA_F32, weights, 1, 4),
                    decoder = ra_tensor_2d(RA_F32, weights, 4, 1), bias = ra_tensor_1d(RA_F32, weights, 4),
                    output = ra_tensor_1d(RA_F32, none, 1), threshold = ra_tensor_1d(RA_F32, theirs, 4);
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    ra_ok(ra_safetensors_writer_tensor(writer, "W_enc", &encoder, &err));
    ra_ok(ra_safetensors_writer_tensor(writer, "W_dec", &decoder, &err));
    ra_ok(ra_safetensors_writer_tensor(writer, "b_enc", &bias, &err));
    ra_ok(ra_safetensors_writer_tensor(writer, "b_dec", &output, &err));
    ra_ok(ra_safetensors_writer_tensor(writer, "threshold", &threshold, &err));
    ra_ok(ra_safetensors_writer_write(writer, test_path("sae_weights.safetensors"), &err));
    ra_safetensors_writer_free(writer);
    test_write("cfg.json", "{\"architecture\": \"jumprelu\"}", 28);
    ra_ok(ra_safetensors_open(test_folder(), &file, &err));
    const ra_tensor *ours = ra_safetensors_find(file, "thresholds.value");
    ck_assert_ptr_nonnull(ours);
    const float *values = ours->data;
    for (size_t k = 0; k < 4; k++) ck_assert(values[k] == nextafterf(theirs[k], INFINITY));
    ck_assert_str_eq(ra_safetensors_metadata(file, "center_input"), "true");
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_every_failed_allocation_is_reported_and_cleaned_up) {
    for (size_t i = 0; i < COUNT; i++)
        for (size_t n = 1;; n++) {
            ra_safetensors *file = NULL;
            ra_error err = {0};
            ra_memory_fail_at(n);
            ra_status status = ra_safetensors_open(folders[i], &file, &err);
            ra_memory_fail_at(0);
            ra_safetensors_free(file);
            if (status == RA_OK) {
                ck_assert_uint_gt(n, 20);
                break;
            }
            ck_assert_msg(status == RA_ERR_MEMORY && err.code == status, "allocation %zu of %s: %s", n,
                          folders[i], err.message);
        }
}
END_TEST

/* JSON that is cut, or of other types than expected, beside good weights: an error or other settings, and no crash. */
START_TEST(test_crooked_json) {
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"architecture\": 3, \"k\": \"many\", \"metadata\": []}",
        "{\"architecture\": \"topk\", \"k\": 1e999}",
        "{\"activation_fn_str\": \"topk\", \"activation_fn_kwargs\": 5}",
        "{\"normalize_activations\": null, \"apply_b_dec_to_input\": \"no\"}",
        "{\"architecture\": \"\\u0000\"}",
        "{\"metadata\": {\"model_name\": \"\xff\"}}",
    };
    ra_mapping weights;
    ra_ok(ra_mapping_open(FOLDER "saelens/topk/sae_weights.safetensors", &weights, &err));
    test_write("sae_weights.safetensors", weights.data, weights.size);
    ra_mapping_close(&weights);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ra_safetensors *file = NULL;
        ra_error err = {0};
        test_write("cfg.json", texts[i], strlen(texts[i]));
        ra_status status = ra_safetensors_open(test_folder(), &file, &err);
        ck_assert_msg(status == RA_OK || err.message[0], "%s", texts[i]);
        ra_safetensors_free(file);
    }
}
END_TEST

START_TEST(test_folders) {
    char *file = NULL;
    ra_ok(ra_source_find("a/path/that/is/not/there", &file, &err));
    ck_assert_str_eq(file, "a/path/that/is/not/there");
    ra_free(file);
    ra_fails(ra_source_find(test_folder(), &file, &err), RA_ERR_ARGUMENT, "without weights");
    test_write("b.pt", "x", 1);
    test_write(".hidden.pt", "x", 1);
    test_write("readme.md", "x", 1);
    ra_ok(ra_source_find(test_folder(), &file, &err));
    ck_assert_str_eq(file, test_path("b.pt"));
    ra_free(file);
    test_write("a.safetensors", "x", 1);
    ra_fails(ra_source_find(test_folder(), &file, &err), RA_ERR_ARGUMENT, "(a.safetensors, b.pt)");
}
END_TEST

TEST_CASES_SLOW(layouts, 60, test_names_and_shapes, test_thresholds,
                test_every_failed_allocation_is_reported_and_cleaned_up, test_crooked_json, test_folders)
