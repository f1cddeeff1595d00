/* Every allocation of lib/model/{workspace,open/tensors}.c and of the calls that use them fails in turn, and many
 * threads share one model. Leaks show under SANITIZE=address. */
#include "model_files.h"

#include "ra_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lets the n-th allocation of `call` fail, for n = 1, 2, ... until the call succeeds; each failure must be
 * RA_ERR_MEMORY. */
#define FAIL_EACH_ALLOCATION(call)                                                                           \
    do {                                                                                                     \
        ra_status fail_status_ = RA_ERR_MEMORY;                                                              \
        for (size_t fail_at_ = 1; fail_status_ != RA_OK; fail_at_++) {                                       \
            ra_error err = {0};                                                                              \
            ck_assert_uint_lt(fail_at_, 2000);                                                               \
            (void)ra_memory_fail_at(fail_at_);                                                               \
            fail_status_ = (call);                                                                           \
            (void)ra_memory_fail_at(0);                                                                      \
            if (fail_status_ == RA_OK) break;                                                                \
            ck_assert_msg(fail_status_ == RA_ERR_MEMORY, "allocation %zu: %s", fail_at_, err.message);       \
            ck_assert_msg(strstr(err.message, "memory"), "allocation %zu: %s", fail_at_, err.message);       \
        }                                                                                                    \
    } while (0)

static ra_status use(const ra_model *model, ra_error *err) {
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_explanation explanation = {0};
    float x[2 * FILE_D], x_hat[2 * FILE_D], scores[4];
    size_t ids[4];
    test_fill(x, 2 * FILE_D, 21);
    ra_status status = ra_workspace_new(&workspace, err);
    if (status == RA_OK) status = ra_model_encode(model, workspace, x, 2, &codes, err);
    if (status == RA_OK) status = ra_model_reconstruct(model, workspace, &codes, x_hat, err);
    if (status == RA_OK)
        status = ra_model_search(model, workspace, x, 2, 2, RA_SIMILARITY_COSINE, ids, scores, err);
    if (status == RA_OK)
        status = ra_model_neighbors(model, workspace, 1, 2, RA_SIMILARITY_DOT, ids, scores, err);
    if (status == RA_OK) status = ra_model_explain(model, workspace, x, 2, &explanation, err);
    ra_explanation_release(&explanation);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    void (*const make[])(model_file *) = {model_file_artifact, model_file_checkpoint,
                                          model_file_artifact, model_file_checkpoint,
                                          model_file_artifact, model_file_checkpoint};
    model_file file = {0};
    make[_i](&file);
    if (_i == 2) { /* D and an encoder that are widened; labels in the file */
        model_file_convert(&file, "dictionary", RA_F16);
        model_file_convert(&file, "encoder.final_block.0.weight", RA_BF16);
        model_file_put_text(&file, "points.labels", "a\nb\nc\nd\ne");
        model_file_put_text(&file, "atoms.labels", "a\nb\nc\nd\ne\nf");
        model_file_put_text(&file, "atoms.explanations", "a\\nb\n\nc\n\n\n\n");
        model_file_put_text(&file, "atoms.label_sources", "\n\nme\n\n\n\n");
        model_file_put(&file, "atoms.label_scores", RA_F32, 1, FILE_K, 0, NULL);
    }
    if (_i == 3) { /* inputs that are copied */
        static const float mean[FILE_D] = {1, 2, 3, 4}, scale[FILE_D] = {4, 3, 2, 1};
        model_file_put(&file, "input.mean", RA_F32, 1, FILE_D, 0, mean);
        model_file_put(&file, "input.scale", RA_F32, 1, FILE_D, 0, scale);
    }
    if (_i >=
        4) { /* encoders without weights of their own: a pursuit with a D that is widened, a tied encoder */
        model_file_drop(&file, "encoder.final_block.0.weight");
        model_file_drop(&file, "encoder.final_block.0.bias");
        model_file_drop(&file, "thresholds");
        model_file_text(&file, "sae", _i == 4 ? "mp" : "topk");
        model_file_text(&file, "encoder", _i == 4 ? "identity" : "tied");
        model_file_text(&file, "top_k", "3");
        if (_i == 4) model_file_convert(&file, "dictionary", RA_F16);
    }
    const char *path = model_file_write(&file, "faults.safetensors"), *saved = test_path("saved.safetensors");
    ra_model *model = NULL;
    FAIL_EACH_ALLOCATION(ra_model_open(path, NULL, &model, &err));
    FAIL_EACH_ALLOCATION(use(model, &err));
    for (int dtype = RA_F32; dtype <= RA_BF16; dtype++)
        FAIL_EACH_ALLOCATION(ra_model_save(model, saved, (ra_dtype)dtype, &err));
    ra_artifact *artifact = NULL;
    FAIL_EACH_ALLOCATION(ra_artifact_new(model, &artifact, &err));
    ra_artifact_free(artifact);
    ra_model_release(model);
    ra_model_release(model_open(saved));
    model_file_release(&file);
}
END_TEST

START_TEST(test_a_plain_dictionary_may_fail_anywhere) {
    static const float weights[] = {3, 4, 0, 0, 0, 2};
    model_file file = {0};
    model_file_put(&file, "dictionary._weights", RA_F32, 2, 3, 2, weights);
    model_file_text(&file, "dictionary", "l2");
    const char *path = model_file_write(&file, "plain.safetensors");
    ra_model *model = NULL;
    FAIL_EACH_ALLOCATION(ra_model_open(path, NULL, &model, &err));
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* After the largest batch, a workspace needs no more allocations for a search. */
START_TEST(test_steady_search_does_not_allocate) {
    model_file file = {0};
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "steady.safetensors"));
    ra_workspace *workspace = NULL;
    float x[2 * FILE_D], scores[12];
    size_t ids[12];
    test_fill(x, 2 * FILE_D, 5);
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_search(model, workspace, x, 2, 6, RA_SIMILARITY_COSINE, ids, scores, &err));
    (void)ra_memory_fail_at(1);
    ra_ok(ra_model_search(model, workspace, x, 2, 6, RA_SIMILARITY_COSINE, ids, scores, &err));
    ra_ok(ra_model_search(model, workspace, x, 1, 3, RA_SIMILARITY_DOT, ids, scores, &err));
    (void)ra_memory_fail_at(0);
    ra_workspace_free(workspace);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------------------- */

enum { THREADS = 6, ROUNDS = 20, B = 32, D = 16, K = 48 };

typedef struct visitor {
    ra_model *model; /* a reference that the thread releases */
    const float *x;
    uint64_t hash; /* of every answer */
} visitor;

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = data; /* FNV-1a */
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void *visit(void *context) {
    visitor *v = context;
    ra_model *model = v->model;
    for (int round = 0; round < ROUNDS; round++) {
        ra_workspace *workspace = NULL;
        ra_codes codes = {0};
        ra_explanation explanation = {0};
        float x_hat[B * D], scores[B * 3];
        size_t ids[B * 3];
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        if (ra_workspace_new(&workspace, NULL) || ra_model_encode(model, workspace, v->x, B, &codes, NULL) ||
            ra_model_reconstruct(model, workspace, &codes, x_hat, NULL) ||
            ra_model_search(model, workspace, v->x, B, 3, RA_SIMILARITY_COSINE, ids, scores, NULL) ||
            ra_model_explain(model, workspace, v->x, B, &explanation, NULL))
            return v;
        hash = mix(hash, codes.value, ra_codes_entries(&codes) * sizeof *codes.value);
        hash = mix(mix(mix(hash, x_hat, sizeof x_hat), ids, sizeof ids), scores, sizeof scores);
        hash = mix(hash, explanation.r2, B * sizeof *explanation.r2);
        for (size_t e = 0; e < explanation.start[B]; e++)
            hash = mix(hash, &explanation.entries[e].contribution, sizeof(float));
        if (round > 0 && hash != v->hash) return v;
        v->hash = hash;
        ra_explanation_release(&explanation);
        ra_codes_release(&codes);
        ra_workspace_free(workspace);
    }
    ra_model_release(model);
    return NULL;
}

START_TEST(test_many_threads_get_the_same_bytes) {
    ra_npy *npy = NULL;
    ra_ok(ra_npy_open(test_golden("topk-mse-mlp_ln_1.x.npy"), &npy, &err));
    uint64_t alone = 0;
    for (size_t pool = 1; pool <= 3; pool++) { /* nor do the backend's own threads make a difference */
        ra_backend *backend = NULL;
        ra_model *model = NULL;
        visitor visitors[THREADS];
        pthread_t threads[THREADS];
        ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = pool}, &backend, &err));
        ra_ok(ra_model_open(test_golden("topk-mse-mlp_ln_1.final.safetensors"),
                            &(ra_model_options){.backend = backend}, &model, &err));
        ra_backend_release(backend); /* the model keeps it */
        for (size_t t = 0; t < THREADS; t++) {
            visitors[t] = (visitor){ra_model_retain(model), ra_npy_tensor(npy)->data, 0};
            ck_assert_int_eq(pthread_create(&threads[t], NULL, visit, &visitors[t]), 0);
        }
        ra_model_release(model); /* the last thread frees it */
        for (size_t t = 0; t < THREADS; t++) {
            void *failed = NULL;
            pthread_join(threads[t], &failed);
            ck_assert_ptr_null(failed);
            if (!alone) alone = visitors[t].hash;
            ck_assert(visitors[t].hash == alone);
        }
    }
    ra_npy_free(npy);
}
END_TEST

TEST_CASES_LOOP(model_faults_kinds, 30, 6, test_every_allocation_may_fail)
TEST_CASES_SLOW(model_faults, 30, test_a_plain_dictionary_may_fail_anywhere,
                test_steady_search_does_not_allocate, test_many_threads_get_the_same_bytes)
