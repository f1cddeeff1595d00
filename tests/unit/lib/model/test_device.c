/* Models on a device with its own memory (lib/model/{execution,resident,workspace}.c): how much they need,
 * what fails, and that the answers are those of the CPU. The other tests of models run there, too
 * (model_on_device()). */
#include "emulated.h"
#include "model_files.h"

#include "ra_memory.h"
#include "model/model.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char DEVICE[] = "cuda-emulated";

static ra_model *open_on(const char *device, const ra_backend_options *options, const char *path) {
    ra_backend *backend = NULL;
    ra_model *model = NULL;
    ra_ok(ra_backend_open(device, options, &backend, &err));
    ra_ok(ra_model_open(path, &(ra_model_options){.backend = backend}, &model, &err));
    ra_backend_release(backend);
    return model;
}

static const char *write_artifact(ra_dtype dtype) {
    model_file file = {0};
    model_file_artifact(&file);
    if (dtype != RA_F32) model_file_convert(&file, "dictionary", dtype);
    const char *path = model_file_write(&file, "model.safetensors");
    model_file_release(&file);
    return path;
}

/* mp: it encodes with D, which the device needs in float32 as well. */
static const char *write_pursuit(void) {
    model_file file = {0};
    model_file_artifact(&file);
    model_file_drop(&file, "encoder.final_block.0.weight");
    model_file_drop(&file, "encoder.final_block.0.bias");
    model_file_drop(&file, "thresholds");
    model_file_text(&file, "sae", "mp");
    model_file_text(&file, "encoder", "identity");
    model_file_text(&file, "top_k", "3");
    model_file_convert(&file, "dictionary", RA_F16);
    const char *path = model_file_write(&file, "pursuit.safetensors");
    model_file_release(&file);
    return path;
}

/* ---- memory ------------------------------------------------------------------------------------------- */

static size_t available(ra_backend *backend) {
    size_t left = 0, total = 0;
    ra_ok(ra_backend_memory(backend, &left, &total, &err));
    return left;
}

static size_t padded(size_t bytes) {
    return (bytes + 255) / 256 * 256;
}

enum { LIMIT = 1 << 30 };

START_TEST(test_memory_is_known_before_it_is_taken) {
    emulated device = emulated_open();
    ra_dtype dtype = (ra_dtype)(RA_F32 + _i);
    const char *path = write_artifact(dtype);
    ra_backend *backend = NULL;
    ra_model *model = model_open(path);
    ra_model_memory memory = ra_model_device_memory(model, 1), three = ra_model_device_memory(model, 3);
    ra_model_release(model);
    ck_assert_uint_eq(memory.dictionary, padded(FILE_K * FILE_D * ra_dtype_size(dtype)));
    ck_assert_uint_eq(memory.encoder,
                      padded(FILE_K * FILE_D * sizeof(float)) + padded(FILE_K * sizeof(float)));
    ck_assert_uint_eq(memory.thresholds, padded(FILE_K * sizeof(float)));
    ck_assert_uint_eq(memory.stream, RA_STREAM_BYTES);
    ck_assert_uint_eq(three.total - memory.total, 2 * (memory.scratch + memory.stream));
    size_t model_bytes = memory.dictionary + memory.encoder + memory.thresholds + memory.search;
    ck_assert_uint_eq(memory.total, model_bytes + memory.scratch + memory.stream);

    device.set_memory(LIMIT);
    ra_ok(ra_backend_open(DEVICE, NULL, &backend, &err));
    size_t before = available(backend);
    const ra_model_options options = {.backend = backend};
    ra_ok(ra_model_open(path, &options, &model, &err));
    ck_assert_uint_eq(before - available(backend), model_bytes);
    ck_assert_uint_eq(ra_model_get_info(model)->device_bytes, model_bytes);
    ra_model_release(model);
    ck_assert_uint_eq(before, available(backend));

    char needs[64], left[64];
    snprintf(needs, sizeof needs, "model.safetensors needs %zu bytes on the device cuda", memory.total);
    size_t own = LIMIT - before; /* the default stream's */
    snprintf(left, sizeof left, "only %zu of its %zu bytes are free", memory.total - 1,
             own + memory.total - 1);
    device.set_memory(own + memory.total - 1);
    ra_fails(ra_model_open(path, &options, &model, &err), RA_ERR_MEMORY, needs);
    ra_fails(ra_model_open(path, &options, &model, &err), RA_ERR_MEMORY, left);
    ck_assert_uint_eq(available(backend), memory.total - 1); /* nothing was allocated */
    device.set_memory(own + memory.total);
    const ra_model_options busy = {.backend = backend, .workspaces = 3};
    ra_fails(ra_model_open(path, &busy, &model, &err), RA_ERR_MEMORY, "bytes are free");
    ra_ok(ra_model_open(path, &options, &model, &err));
    ra_model_release(model);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* ---- answers ------------------------------------------------------------------------------------------ */

enum { B = 3, BEST = 2 };

/* The answers of a model. */
typedef struct answers {
    ra_codes codes;
    float x_hat[B * FILE_D], scores[2 * B * BEST], r2[B];
    size_t ids[2 * B * BEST];
} answers;

static ra_status ask(const ra_model *model, ra_workspace *workspace, answers *a, ra_error *err) {
    float x[B * FILE_D];
    ra_explanation explanation = {0};
    test_fill(x, B * FILE_D, 4);
    ra_status status = ra_model_encode(model, workspace, x, B, &a->codes, err);
    if (status == RA_OK) status = ra_model_reconstruct(model, workspace, &a->codes, a->x_hat, err);
    for (ra_similarity metric = RA_SIMILARITY_COSINE; metric <= RA_SIMILARITY_DOT && status == RA_OK;
         metric++)
        status = ra_model_search(model, workspace, x, B, BEST, metric, a->ids + metric * B * BEST,
                                 a->scores + metric * B * BEST, err);
    if (status == RA_OK) status = ra_model_explain(model, workspace, x, B, &explanation, err);
    if (status == RA_OK) memcpy(a->r2, explanation.r2, sizeof a->r2);
    ra_explanation_release(&explanation);
    return status;
}

static void assert_same(const answers *a, const answers *b) {
    ck_assert_uint_eq(a->codes.rows, b->codes.rows);
    ck_assert_mem_eq(a->codes.start, b->codes.start, (B + 1) * sizeof *a->codes.start);
    ck_assert_mem_eq(a->codes.index, b->codes.index, ra_codes_entries(&a->codes) * sizeof *a->codes.index);
    assert_close(a->codes.value, b->codes.value, ra_codes_entries(&a->codes), 1e-5);
    assert_close(a->x_hat, b->x_hat, B * FILE_D, 1e-5);
    ck_assert_mem_eq(a->ids, b->ids, sizeof a->ids);
    ck_assert_mem_eq(a->scores, b->scores, sizeof a->scores);
    assert_close(a->r2, b->r2, B, 1e-4);
}

/* The bytes of an encoder of 16 bits, in memory and on their way, are half of those of float32, and none for a tied one,
 * which is D. The answers are those of the CPU, which multiplies the same numbers in float32: for a few rows, from one launch
 * that reads the encoder as it is, beside the two of the selection; for more, from a product for each part of it. */
START_TEST(test_an_encoder_of_16_bits_stays_so) {
    static const char weight[] = "encoder.final_block.0.weight";
    static const ra_dtype types[] = {RA_F32, RA_F16, RA_BF16};
    enum {
        K = 3000,
        WIDE = 512,
        FLOATS = K * WIDE * sizeof(float),
        MANY = 33,
        SELECTION = 1
    }; /* more than is widened at a time */
    static const struct {
        size_t rows, launches, products;
    } calls[] = {{1, 1, 0}, {32, 1, 0}, {MANY, 2, 2}}; /* of the encoder */
    emulated device = emulated_open();
    device.run_twice(0);
    size_t up[3] = {0};
    float *values = ra_malloc(K * WIDE, sizeof *values), bias[K];
    static float x[MANY * WIDE];
    test_fill(bias, K, 3);
    test_fill(x, MANY * WIDE, 4);
    for (int i = 0; i < 3; i++) {
        ra_workspace *workspace = NULL;
        ra_codes codes[2] = {{0}, {0}};
        model_file file = {0};
        test_fill(values, K * WIDE, 1);
        model_file_put(&file, "dictionary", RA_F32, 2, K, WIDE, values);
        if (_i) model_file_convert(&file, "dictionary", types[i]);
        test_fill(values, K * WIDE, 2);
        if (!_i) model_file_put(&file, weight, RA_F32, 2, K, WIDE, values);
        if (!_i && i) model_file_convert(&file, weight, types[i]);
        model_file_put(&file, "encoder.final_block.0.bias", RA_F32, 1, K, 0, bias);
        model_file_text(&file, "sae", "topk");
        model_file_text(&file, "top_k", "5");
        model_file_text(&file, "encoder", _i ? "tied" : "linear");
        const char *path = model_file_write(&file, "half.safetensors");
        model_file_release(&file);
        ra_model *models[2] = {open_on("cpu", NULL, path), NULL};
        (void)device.count();
        models[1] = open_on(DEVICE, NULL, path);
        up[i] = device.count().bytes_up;
        ra_model_memory memory = ra_model_device_memory(models[0], 1);
        ck_assert_uint_eq(memory.encoder, (_i ? 0 : FLOATS / (i ? 2 : 1)) + padded(K * sizeof(float)));
        ck_assert_uint_eq(memory.encoder, ra_model_device_memory(models[1], 1).encoder);
        ck_assert_uint_eq(ra_model_get_info(models[1])->device_bytes,
                          memory.dictionary + memory.encoder + memory.search);
        ra_ok(ra_workspace_new(&workspace, &err));
        for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
            size_t rows = calls[c].rows;
            emulation_counts counts;
            for (int m = 0; m < 2; m++) {
                (void)device.count();
                ra_ok(ra_model_encode(models[m], workspace, x, rows, &codes[m], &err));
                counts = device.count();
            }
            ck_assert_mem_eq(codes[0].index, codes[1].index, 5 * rows * sizeof *codes[0].index);
            assert_close(codes[1].value, codes[0].value, 5 * rows, 1e-5);
            ck_assert_uint_eq(counts.launches, SELECTION + (i ? calls[c].launches : 0));
            ck_assert_uint_eq(counts.products, i ? calls[c].products : 1);
        }
        for (int m = 0; m < 2; m++) {
            ra_codes_release(&codes[m]);
            ra_model_release(models[m]);
        }
        ra_workspace_free(workspace);
    }
    ck_assert_uint_eq(up[0] - up[1], FLOATS / 2); /* of the encoder, or of D */
    ck_assert_uint_eq(up[1], up[2]);
    ra_free(values);
    emulated_close(&device);
}
END_TEST

/* On the CPU, on one device, on another, and back. */
START_TEST(test_a_workspace_serves_models_of_several_devices) {
    emulated device = emulated_open();
    device.machine(13000, 2, 90);
    const char *path = write_artifact(RA_BF16);
    if (_i) path = write_pursuit();
    ra_model *models[] = {open_on("cpu", NULL, path), open_on(DEVICE, NULL, path),
                          open_on("cuda-emulated:1", NULL, path), open_on("reference", NULL, path)};
    enum { MODELS = sizeof models / sizeof *models };
    ra_workspace *workspace = NULL;
    answers expected = {0}, got = {0};
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ask(models[0], workspace, &expected, &err));
    for (size_t i = 0; i < 3 * MODELS; i++) {
        ra_ok(ask(models[i % MODELS], workspace, &got, &err));
        assert_same(&got, &expected);
    }
    for (size_t i = 0; i < MODELS; i++)
        ra_model_release(models[i]); /* before the workspace; that is allowed */
    ra_workspace_free(workspace);
    ra_codes_release(&expected.codes);
    ra_codes_release(&got.codes);
    emulated_close(&device);
}
END_TEST

/* More rows than a chunk of either; the memory of a chunk is the predicted one. */
START_TEST(test_blocks_of_many_rows) {
    enum { ROWS = 4096 + 100 };
    static float x[ROWS * FILE_D], x_hat[2][ROWS * FILE_D];
    emulated device = emulated_open();
    device.run_twice(0);
    const char *path = write_artifact(RA_F32);
    ra_codes codes[2] = {{0}, {0}};
    test_fill(x, ROWS * FILE_D, 12);
    for (size_t i = 0; i < 2; i++) {
        ra_model *model = open_on(i ? DEVICE : "cpu", NULL, path);
        ra_workspace *workspace = NULL;
        ra_ok(ra_workspace_new(&workspace, &err));
        ra_ok(ra_model_encode(model, workspace, x, ROWS, &codes[i], &err));
        ra_ok(ra_model_reconstruct(model, workspace, &codes[0], x_hat[i], &err));
        if (i)
            ck_assert_uint_eq(workspace->executions.device.bytes, ra_model_device_memory(model, 1).scratch);
        ra_workspace_free(workspace);
        ra_model_release(model);
    }
    ck_assert_uint_gt(ra_codes_entries(&codes[0]), ROWS / 2);
    ck_assert_mem_eq(codes[1].start, codes[0].start, (ROWS + 1) * sizeof *codes[0].start);
    assert_close(codes[1].value, codes[0].value, ra_codes_entries(&codes[0]), 1e-5);
    assert_close(x_hat[1], x_hat[0], ROWS * FILE_D, 1e-5);
    ra_codes_release(&codes[0]);
    ra_codes_release(&codes[1]);
    emulated_close(&device);
}
END_TEST

/* ---- search ------------------------------------------------------------------------------------------- */

enum { ATOMS = 300, WIDTH = 5, QUERIES = 4, FOUND = 20 };

/* Dictionaries for which a few more than k atoms do not suffice, or whose scores are meaningless. */
static void fill_atoms(int kind, float *D) {
    static const float sizes[] = {1e-38f, 1e37f, 1};
    test_fill(D, ATOMS * WIDTH, 31);
    for (size_t k = 0; k < ATOMS; k++)
        for (size_t i = 0; i < WIDTH; i++) {
            float *value = &D[k * WIDTH + i];
            if (kind == 0 && k >= 7) *value = D[i];     /* the same, except seven */
            if (kind == 1) *value *= sizes[k % 3];      /* nothing in common */
            if (kind == 2 && k % 2) *value = 0;         /* zeros */
            if (kind == 3) *value = 1 + 1e-7f * *value; /* all but equal */
        }
}

enum { KINDS = 5 };

START_TEST(test_a_search_gives_the_bytes_of_the_cpu) {
    static float D[ATOMS * WIDTH], queries[QUERIES * WIDTH], scores[3][QUERIES * FOUND];
    static size_t ids[3][QUERIES * FOUND];
    emulated device = emulated_open();
    device.run_twice(0);
    fill_atoms(_i, D);
    test_fill(queries, QUERIES * WIDTH, 32);
    for (size_t i = 0; i < WIDTH; i++) queries[i] = 0;
    memcpy(queries + WIDTH, D, WIDTH * sizeof *D);
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, ATOMS, WIDTH, D);
    const char *path = model_file_write(&file, "search.safetensors");
    ra_model *models[] = {open_on("cpu", NULL, path), open_on(DEVICE, NULL, path),
                          open_on(DEVICE, &(ra_backend_options){.tf32 = true}, path)};
    ra_workspace *workspace = NULL;
    ra_ok(ra_workspace_new(&workspace, &err));
    for (ra_similarity metric = RA_SIMILARITY_COSINE; metric <= RA_SIMILARITY_DOT; metric++) {
        for (size_t i = 0; i < 3; i++) {
            ra_ok(ra_model_search(models[i], workspace, queries, QUERIES, FOUND, metric, ids[i], scores[i],
                                  &err));
            ck_assert_mem_eq(ids[i], ids[0], sizeof ids[0]);
            ck_assert_mem_eq(scores[i], scores[0], sizeof scores[0]);
        }
        for (size_t i = 0; i < 3; i++) {
            ra_ok(ra_model_neighbors(models[i], workspace, 8, FOUND, metric, ids[i], scores[i], &err));
            ck_assert_mem_eq(ids[i], ids[0], FOUND * sizeof ids[0][0]);
            ck_assert_mem_eq(scores[i], scores[0], FOUND * sizeof scores[0][0]);
        }
    }
    ra_workspace_free(workspace);
    for (size_t i = 0; i < 3; i++) ra_model_release(models[i]);
    model_file_release(&file);
    emulated_close(&device);
}
END_TEST

/* ---- failures ----------------------------------------------------------------------------------------- */

static ra_status open_and_ask(const char *path, answers *a, ra_error *err) {
    ra_backend *backend = NULL;
    ra_model *model = NULL;
    ra_workspace *workspace = NULL;
    ra_status status = ra_backend_open(DEVICE, NULL, &backend, err);
    if (status == RA_OK) status = ra_model_open(path, &(ra_model_options){.backend = backend}, &model, err);
    if (status == RA_OK) status = ra_workspace_new(&workspace, err);
    if (status == RA_OK) status = ask(model, workspace, a, err);
    ra_workspace_free(workspace);
    ra_model_release(model);
    ra_backend_release(backend);
    return status;
}

enum { OUT_OF_MEMORY = 2, LAUNCH_FAILURE = 719, NOT_SUPPORTED = 801 }; /* of CUDA */
static const int errors[] = {OUT_OF_MEMORY, LAUNCH_FAILURE, NOT_SUPPORTED};

enum { ERRORS = sizeof errors / sizeof *errors };

START_TEST(test_every_call_of_the_device_may_fail) {
    emulated device = emulated_open();
    const char *path = _i < ERRORS ? write_artifact(RA_F16) : write_pursuit(), *text;
    answers expected = {0}, got = {0};
    size_t failed = 0;
    device.run_twice(0);
    ra_ok(open_and_ask(path, &expected, &err));
    for (size_t call = 1;; call++) {
        ra_error err = {0};
        device.fail_at(call, errors[_i % ERRORS]);
        ra_status status = open_and_ask(path, &got, &err);
        bool reached = device.calls() >= call;
        device.fail_at(0, 0);
        ck_assert_msg(device.live(&text) == 0, "call %zu (%s): not freed: %s", call, err.message, text);
        ck_assert_uint_lt(call, 3000);
        if (!reached) break;
        if (status == RA_OK) continue; /* one that frees */
        failed++;
        ck_assert_msg(status == RA_ERR_DEVICE || status == RA_ERR_MEMORY, "call %zu: %s", call, err.message);
        ck_assert(err.message[0] != '\0');
    }
    ck_assert_uint_gt(failed, 50);
    ra_ok(open_and_ask(path, &got, &err));
    assert_same(&got, &expected);
    ra_codes_release(&expected.codes);
    ra_codes_release(&got.codes);
    emulated_close(&device);
}
END_TEST

/* The remains of one request do not affect the next. */
START_TEST(test_a_workspace_survives_failures) {
    emulated device = emulated_open();
    ra_model *model = open_on(DEVICE, NULL, write_artifact(RA_F32));
    ra_workspace *workspace = NULL;
    answers expected = {0}, got = {0};
    device.run_twice(0);
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ask(model, workspace, &expected, &err));
    for (size_t call = 1;; call++) {
        device.fail_at(call, NOT_SUPPORTED);
        ra_status status = ask(model, workspace, &got, NULL);
        bool reached = device.calls() >= call;
        device.fail_at(0, 0);
        ra_ok(ask(model, workspace, &got, &err));
        assert_same(&got, &expected);
        ck_assert(status == RA_OK || status == RA_ERR_DEVICE);
        if (!reached) break;
    }
    ra_workspace_free(workspace);
    ra_model_release(model);
    ra_codes_release(&expected.codes);
    ra_codes_release(&got.codes);
    emulated_close(&device);
}
END_TEST

/* Allocations on the host: the library's (0) and the plugin's (1). */
START_TEST(test_memory_of_the_host_may_run_out) {
    emulated device = emulated_open();
    const char *path = _i < 2 ? write_artifact(RA_F16) : write_pursuit(), *text;
    answers got = {0};
    ra_status status = RA_ERR_MEMORY;
    device.run_twice(0);
    for (size_t n = 1; status != RA_OK; n++) {
        ra_error err = {0};
        ck_assert_uint_lt(n, 2000);
        (void)(_i % 2 ? device.fail_memory(n) : ra_memory_fail_at(n));
        status = open_and_ask(path, &got, &err);
        (void)(_i % 2 ? device.fail_memory(0) : ra_memory_fail_at(0));
        ck_assert_msg(status == RA_OK || status == RA_ERR_MEMORY, "allocation %zu: %s", n, err.message);
        ck_assert_msg(device.live(&text) == 0, "allocation %zu: not freed: %s", n, text);
    }
    ra_codes_release(&got.codes);
    emulated_close(&device);
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------------------ */

enum { THREADS = 4, ROUNDS = 5 };

typedef struct visitor {
    const ra_model *model;
    answers a;
} visitor;

static void *visit(void *context) {
    visitor *v = context;
    ra_workspace *workspace = NULL;
    ra_status status = ra_workspace_new(&workspace, NULL);
    for (int round = 0; round < ROUNDS && status == RA_OK; round++)
        status = ask(v->model, workspace, &v->a, NULL);
    ra_workspace_free(workspace);
    return status == RA_OK ? NULL : v;
}

START_TEST(test_threads_have_streams_of_their_own) {
    emulated device = emulated_open();
    ra_model *model = open_on(DEVICE, NULL, write_artifact(RA_F16));
    visitor visitors[THREADS], alone = {.model = model};
    pthread_t threads[THREADS];
    ck_assert_ptr_null(visit(&alone));
    for (size_t t = 0; t < THREADS; t++) {
        visitors[t] = (visitor){.model = model};
        ck_assert_int_eq(pthread_create(&threads[t], NULL, visit, &visitors[t]), 0);
    }
    for (size_t t = 0; t < THREADS; t++) {
        void *failed = NULL;
        pthread_join(threads[t], &failed);
        ck_assert_ptr_null(failed);
        assert_same(&visitors[t].a, &alone.a);
        ra_codes_release(&visitors[t].a.codes);
    }
    ra_codes_release(&alone.a.codes);
    ra_model_release(model);
    emulated_close(&device);
}
END_TEST

TEST_CASES_LOOP(model_device_memory, 0, 3, test_memory_is_known_before_it_is_taken)
TEST_CASES_LOOP(model_device_half, 0, 2, test_an_encoder_of_16_bits_stays_so)
TEST_CASES_LOOP(model_device_workspace, 0, 2, test_a_workspace_serves_models_of_several_devices)
TEST_CASES(model_device, test_blocks_of_many_rows, test_a_workspace_survives_failures,
           test_threads_have_streams_of_their_own)
TEST_CASES_LOOP(model_device_search, 0, KINDS, test_a_search_gives_the_bytes_of_the_cpu)
TEST_CASES_LOOP(model_device_failures, 60, 2 * ERRORS, test_every_call_of_the_device_may_fail)
TEST_CASES_LOOP(model_device_host_memory, 60, 4, test_memory_of_the_host_may_run_out)
