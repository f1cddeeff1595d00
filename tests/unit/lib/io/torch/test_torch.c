/* Files that torch.save wrote (lib/io/torch/, lib/io/safetensors/{torch,lists}.c): tests/data/interop/torch has one tensor of
 * every type and layout in each of its formats, and the same numbers in a safetensors file. */
#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/data/interop/"

static ra_safetensors *open_file(const char *path) {
    ra_safetensors *file = NULL;
    ra_ok(ra_safetensors_open(path, &file, &err));
    return file;
}

static void assert_same(const ra_safetensors *file, const ra_safetensors *expected, const char *where) {
    for (size_t i = 0; i < ra_safetensors_count(expected); i++) {
        const char *name = ra_safetensors_name(expected, i);
        const ra_tensor *a = ra_safetensors_find(file, name), *b = ra_safetensors_at(expected, i);
        ck_assert_msg(a != NULL, "%s has no %s", where, name);
        ck_assert_msg(a->dtype == b->dtype && a->rank == b->rank, "%s: %s", where, name);
        for (int k = 0; k < a->rank; k++) ck_assert_uint_eq(a->shape[k], b->shape[k]);
        ck_assert_msg((uintptr_t)a->data % ra_dtype_size(a->dtype) == 0, "%s: %s is misaligned", where, name);
        ck_assert_msg(memcmp(a->data, b->data, ra_tensor_bytes(a)) == 0, "%s: %s has other numbers", where,
                      name);
    }
    ck_assert_uint_eq(ra_safetensors_count(file), ra_safetensors_count(expected));
    const char *description = NULL;
    ck_assert_str_eq(ra_safetensors_foreign(file, 0, &description), "bool");
    ck_assert_str_eq(description, "BOOL [3]");
    ck_assert_ptr_null(ra_safetensors_foreign(file, 1, NULL));
}

static const char *const formats[] = {
    "zip.pt",    "zip-protocol-3.pt",    "zip-protocol-4.pt",    "zip-protocol-5.pt",
    "legacy.pt", "legacy-protocol-3.pt", "legacy-protocol-4.pt", "legacy-protocol-5.pt"};

START_TEST(test_every_format_has_the_same_numbers) {
    ra_safetensors *expected = open_file(FOLDER "torch/numbers.safetensors");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char path[128];
        snprintf(path, sizeof path, FOLDER "torch/%s", formats[i]);
        ra_safetensors *file = open_file(path), *steady = NULL;
        assert_same(file, expected, formats[i]);
        ra_safetensors_free(file);
        ra_ok(ra_safetensors_open_steady(path, 0, &steady, &err)); /* mapped, so most tensors are copied */
        assert_same(steady, expected, formats[i]);
        ck_assert(ra_safetensors_mapped(steady));
        ra_safetensors_free(steady);
    }
    ra_safetensors_free(expected);
}
END_TEST

START_TEST(test_arrays) {
    static const struct {
        const char *path, *name;
        bool in_place;
    } cases[] = {{FOLDER "torch/acts.pt", NULL, true},
                 {FOLDER "torch/acts-named.pt", "acts", true},
                 {FOLDER "torch/acts-named.pt", NULL, true},
                 {FOLDER "torch/acts-legacy.pt", NULL, false}};
    ra_array *expected = NULL;
    ra_ok(ra_array_open(FOLDER "torch/acts.safetensors", NULL, &expected, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ra_array *array = NULL;
        size_t offset;
        ra_ok(ra_array_open(cases[i].path, cases[i].name, &array, &err));
        const ra_tensor *a = ra_array_tensor(array), *b = ra_array_tensor(expected);
        ck_assert_uint_eq(ra_tensor_bytes(a), ra_tensor_bytes(b));
        ck_assert_mem_eq(a->data, b->data, ra_tensor_bytes(a));
        ck_assert_int_eq(ra_array_offset(array, &offset), cases[i].in_place);
        ra_array_free(array);
    }
    ra_array_free(expected);
}
END_TEST

START_TEST(test_what_is_refused) {
    static const struct {
        const char *path, *message;
        ra_status status;
    } cases[] = {
        {FOLDER "torch/expanded.pt", "has 6000 elements, but its storage only 1", RA_ERR_FORMAT},
        {FOLDER "torch/sparse.pt", "torch._utils._rebuild_sparse_tensor", RA_ERR_UNSUPPORTED},
        {FOLDER "torch/script.pt", "TorchScript", RA_ERR_UNSUPPORTED},
        {FOLDER "overcomplete/refused-gelu.pt", "torch.nn.modules.activation.GELU", RA_ERR_UNSUPPORTED},
    };
    ra_safetensors *file = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ra_fails(ra_safetensors_open(cases[i].path, &file, &err), cases[i].status, cases[i].message);
    ra_array *array = NULL;
    ra_fails(ra_array_open(FOLDER "torch/float8.pt", NULL, &array, &err), RA_ERR_DTYPE, "F8_E4M3 [2, 3]");
}
END_TEST

/* The state of the optimizer is no part of the model; the model's names have the key of its dict. */
START_TEST(test_a_training_checkpoint) {
    ra_safetensors *file = open_file(FOLDER "torch/training.pt");
    ck_assert_uint_eq(ra_safetensors_count(file), 2);
    ck_assert_ptr_nonnull(ra_safetensors_find(file, "net.weight"));
    ck_assert_ptr_nonnull(ra_safetensors_find(file, "net.bias"));
    ra_safetensors_free(file);
    file = open_file(FOLDER "overcomplete/state-training.pt");
    ck_assert_str_eq(ra_safetensors_prefix(file), "model_state_dict.");
    ck_assert_uint_eq(ra_safetensors_count(file), 6);
    ck_assert_ptr_nonnull(ra_safetensors_find(file, "dictionary.W"));
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_settings_of_a_module) {
    static const struct {
        const char *path, *key, *text; /* NULL: it has none */
    } cases[] = {
        {FOLDER "overcomplete/ra-batchtopk.pth", "sae", "batchtopk"},
        {FOLDER "overcomplete/ra-batchtopk.pth", "top_k", "27"},
        {FOLDER "overcomplete/ra-batchtopk.pth", "delta", "0.5"},
        {FOLDER "overcomplete/ra-batchtopk.pth", "threshold_momentum", "0.9"},
        {FOLDER "overcomplete/ra-batchtopk.pth", "dictionary", "archetypal"},
        {FOLDER "overcomplete/ra-batchtopk.pth", "use_multiplier", "true"},
        {FOLDER "overcomplete/ra-fixed.pt", "use_multiplier", "false"},
        {FOLDER "overcomplete/hub", "running_threshold", "0.829"},
        {FOLDER "overcomplete/jump.pt", "sae", "jumprelu"},
        {FOLDER "overcomplete/jump.pt", "kernel", "gaussian"},
        {FOLDER "overcomplete/jump.pt", "bandwidth", "0.009999999776482582"},
        {FOLDER "overcomplete/jump.pt", "top_k", NULL},
        {FOLDER "overcomplete/mp.pt", "top_k", "3"},
        {FOLDER "overcomplete/sae-l1.pt", "dictionary", "l1"},
        {FOLDER "overcomplete/sae-max-l2.pt", "dictionary", "max_l2"},
        {FOLDER "overcomplete/sae.pt", "sae", "relu"},
        {FOLDER "overcomplete/state.pt", "sae", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ra_safetensors *file = open_file(cases[i].path);
        const char *text = ra_safetensors_metadata(file, cases[i].key);
        if (cases[i].text)
            ck_assert_msg(text && strcmp(text, cases[i].text) == 0, "%s: %s is %s", cases[i].path,
                          cases[i].key, text ? text : "missing");
        else
            ck_assert_ptr_null(text);
        ra_safetensors_free(file);
    }
}
END_TEST

START_TEST(test_every_failed_allocation_is_reported_and_cleaned_up) {
    static const char *const paths[] = {FOLDER "torch/zip.pt", FOLDER "torch/legacy.pt",
                                        FOLDER "overcomplete/ra-batchtopk.pth", FOLDER "overcomplete/hub"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        for (size_t n = 1;; n++) {
            ra_safetensors *file = NULL;
            ra_error err = {0};
            ra_memory_fail_at(n);
            ra_status status = ra_safetensors_open(paths[i], &file, &err);
            ra_memory_fail_at(0);
            ra_safetensors_free(file);
            if (status == RA_OK) {
                ck_assert_uint_gt(n, 20);
                break;
            }
            ck_assert_msg(status == RA_ERR_MEMORY && err.code == status, "allocation %zu of %s: %s", n,
                          paths[i], err.message);
        }
    }
}
END_TEST

TEST_CASES_SLOW(torch, 60, test_every_format_has_the_same_numbers, test_arrays, test_what_is_refused,
                test_a_training_checkpoint, test_settings_of_a_module,
                test_every_failed_allocation_is_reported_and_cleaned_up)
