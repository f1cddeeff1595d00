/* Copies beside computations (lib/backend/cuda/{context,staging,stream}.c, lib/train/batches.c, lib/dictionary/fuse.c,
 * lib/model/resident.c): streams that follow each other, memory of the host that is copied from directly, and that results
 * are the same whenever the emulated device does the work of streams that do not wait for each other. */
#include "data_files.h"
#include "emulated.h"
#include "harness.h"
#include "model_files.h"
#include "ra_backend.h"
#include "ra_memory.h"
#include "ra_train.h"

#include <string.h>

enum { ORDERS = 3 };

static ra_backend *open_emulated(void) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.threads = 1}, &backend, &err));
    return backend;
}

/* ---- streams ------------------------------------------------------------------------------------------- */

/* sum <- 0 + 1 + ... of numbers that go up on one stream, all to one place, and are added on another. */
static ra_status add_up(ra_backend *backend, bool copy_follows, bool sum_follows, float *sum, ra_error *err) {
    enum { ROUNDS = 12 };
    ra_stream copies = {0}, adds = ra_backend_default_stream(backend);
    void *block = NULL;
    ra_status status = ra_stream_new_for_copies(backend, &copies, err);
    bool made = status == RA_OK;
    if (status == RA_OK) status = ra_backend_allocate(backend, 2 * sizeof(float), &block, err);
    float *number = block, *total = number + 1;
    for (int i = 0; i < ROUNDS && status == RA_OK; i++) {
        float value = (float)i;
        if (copy_follows) status = ra_stream_follow(copies, adds, err);
        if (status == RA_OK) status = ra_stream_upload(copies, number, &value, sizeof value, err);
        if (status == RA_OK && sum_follows) status = ra_stream_follow(adds, copies, err);
        if (status == RA_OK) status = ra_stream_axpby(adds, 1, number, 1, total, 1, err);
        if (status == RA_OK && i % 2) status = ra_stream_synchronize(adds, err);
    }
    if (status == RA_OK) status = ra_backend_get(backend, sum, total, sizeof *sum, err);
    ra_backend_deallocate(backend, block);
    if (made) ra_stream_free(copies);
    return status;
}

START_TEST(test_streams_follow_each_other) {
    emulated device = emulated_open();
    ra_backend *backend = open_emulated();
    for (int order = -1; order < ORDERS; order++) {
        float sum = 0;
        device.stream_order(order);
        ra_ok(add_up(backend, true, true, &sum, &err));
        ck_assert_float_eq(sum, 66);
    }
    ra_backend_release(backend);
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &backend, &err));
    float sum = 0;
    ra_ok(add_up(backend, true, true, &sum, &err));
    ck_assert_float_eq(sum, 66);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* The emulation shows it. */
START_TEST(test_without_that_the_sum_is_wrong) {
    emulated device = emulated_open();
    ra_backend *backend = open_emulated();
    for (int missing = 0; missing < 2; missing++) {
        float sum = 0;
        device.stream_order(-1);
        ra_ok(add_up(backend, missing, !missing, &sum, &err));
        ck_assert_float_ne(sum, 66);
    }
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

START_TEST(test_each_call_may_fail) {
    enum { MEMORY_ALLOCATION = 2 };
    emulated device = emulated_open();
    device.run_twice(false);
    for (size_t call = 1;; call++) {
        ra_error err;
        float sum = 0;
        ra_backend *backend = open_emulated();
        device.fail_at(call, MEMORY_ALLOCATION);
        ra_status status = add_up(backend, true, true, &sum, &err);
        size_t calls = device.calls();
        device.fail_at(0, 0);
        if (status == RA_OK) ck_assert_float_eq(sum, 66);
        ra_backend_release(backend);
        ck_assert_uint_eq(device.live(NULL), 0);
        if (calls < call) break;
        ck_assert_uint_lt(call, 5000);
    }
    emulated_close(&device);
}
END_TEST

START_TEST(test_a_stream_for_copies_takes_no_memory_of_the_device) {
    emulated device = emulated_open();
    ra_backend *backend = open_emulated();
    ra_stream copies;
    size_t before, after, total;
    ra_ok(ra_backend_memory(backend, &before, &total, &err));
    ra_ok(ra_stream_new_for_copies(backend, &copies, &err));
    ra_ok(ra_backend_memory(backend, &after, &total, &err));
    ck_assert_uint_eq(after, before);
    ra_stream_free(copies);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

START_TEST(test_memory_that_is_copied_from_directly) {
    enum { BYTES = 5 << 20 };
    emulated device = emulated_open();
    ra_backend *backend = open_emulated();
    void *block = NULL, *direct = NULL;
    char *got = ra_malloc(BYTES, 1);
    ra_ok(ra_backend_allocate(backend, BYTES, &block, &err));
    ra_ok(ra_backend_host_allocate(backend, BYTES, &direct, &err));
    memset(direct, 5, BYTES);
    (void)device.count();
    ra_ok(ra_backend_upload(backend, block, direct, BYTES, &err));
    emulation_counts counts = device.count();
    ck_assert_uint_eq(counts.uploads, 1);
    ck_assert_uint_eq(counts.bytes_up, BYTES);
    ck_assert_uint_eq(counts.bytes_through, 0);
    ra_ok(ra_backend_get(backend, got, block, BYTES, &err));
    ck_assert_uint_eq(device.count().bytes_through, BYTES);
    ck_assert_mem_eq(got, direct, BYTES);
    ra_backend_host_deallocate(backend, direct);
    ra_backend_host_deallocate(backend, NULL);
    device.fail_at(2, 2);
    ra_fails(ra_backend_host_allocate(backend, BYTES, &direct, &err), RA_ERR_MEMORY,
             "the device cuda:0 failed at making memory for copies: out of memory");
    device.fail_at(0, 0);
    ra_backend_deallocate(backend, block);
    ra_backend_release(backend);
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &backend, &err));
    ra_ok(ra_backend_host_allocate(backend, BYTES, &direct, &err));
    memset(direct, 5, BYTES);
    ra_backend_host_deallocate(backend, direct);
    ra_memory_fail_at(1);
    ck_assert_int_eq(ra_backend_host_allocate(backend, BYTES, &direct, NULL), RA_ERR_MEMORY);
    ra_memory_fail_at(0);
    ra_backend_release(backend);
    ra_free(got);
    emulated_close(&device);
}
END_TEST

/* Scratch memory of a stream grows by half of itself at least. */
START_TEST(test_scratch_memory_soon_stops_growing) {
    enum { MOST = 400, LATENTS = 8, WIDTH = 4 };
    emulated device = emulated_open();
    ra_backend *backend = open_emulated();
    void *D = NULL, *x_hat = NULL;
    float values[MOST * LATENTS] = {0};
    size_t before, after, total, growths = 0;
    device.run_twice(false);
    for (size_t i = 0; i < MOST; i++) values[i * LATENTS + i % LATENTS] = 1;
    ra_ok(ra_backend_allocate(backend, LATENTS * WIDTH * sizeof(float), &D, &err));
    ra_ok(ra_backend_allocate(backend, MOST * WIDTH * sizeof(float), &x_hat, &err));
    ra_ok(ra_backend_memory(backend, &before, &total, &err));
    for (size_t rows = 1; rows <= MOST; rows++) {
        ra_codes codes = {0};
        ra_ok(ra_codes_from_dense(&codes, values, rows, LATENTS, &err));
        ra_ok(ra_backend_decode(backend, &codes, RA_F32, D, WIDTH, x_hat, &err));
        ra_codes_release(&codes);
        ra_ok(ra_backend_memory(backend, &after, &total, &err));
        ck_assert_uint_le(after, before);
        growths += after != before;
        before = after;
    }
    ck_assert_uint_gt(growths, 3);
    ck_assert_uint_lt(growths, 17); /* log 400 / log 1.5, and a few more while they are small */
    ra_backend_deallocate(backend, D);
    ra_backend_deallocate(backend, x_hat);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* ---- training ------------------------------------------------------------------------------------------ */

enum { ROWS = 150, D_ = 8, K = 24, BATCH = 40, STEPS = 9 };

/* How a run ended; NaN: it failed. */
typedef struct run {
    ra_status status;
    double loss;
    float weight[K * D_]; /* of its dictionary */
} run;

static bool note(void *context, size_t which, const ra_train_progress *progress) {
    (void)which;
    *(double *)context = progress->loss;
    return true;
}

static void train(ra_backend *backend, const ra_data *data, size_t trainers, run *r) {
    enum { MOST = 2 };
    ra_error err;
    ra_sae *sae[MOST] = {NULL};
    ra_trainer *trainer[MOST] = {NULL};
    const ra_settings_table *table = ra_train_settings_table();
    *r = (run){0};
    ra_train_settings settings = {.steps = STEPS,
                                  .batch_size = BATCH,
                                  .known = 1u << ra_setting_by_key(table, "steps") |
                                           1u << ra_setting_by_key(table, "batch_size")};
    ra_sae_settings kind = {.known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K, .sae = RA_SAE_TOPK, .top_k = 3};
    ra_sae_settings_defaults(&kind);
    for (size_t i = 0; i < trainers && r->status == RA_OK; i++) {
        ra_dictionary *dictionary = NULL;
        r->status =
            ra_plain_dictionary_new(backend, D_, K, RA_DICTIONARY_L2, NULL, true, 5 + i, &dictionary, &err);
        if (r->status == RA_OK) r->status = ra_sae_new(&kind, dictionary, 6, &sae[i], &err);
        if (r->status == RA_OK) r->status = ra_trainer_new(sae[i], &settings, ROWS, &trainer[i], &err);
    }
    if (r->status == RA_OK) r->status = ra_train_all(trainer, trainers, data, note, &r->loss, &err);
    const float *D;
    if (r->status == RA_OK) r->status = ra_dictionary_get(ra_sae_dictionary(sae[0]), &D, &err);
    if (r->status == RA_OK) r->status = ra_backend_get(backend, r->weight, D, sizeof r->weight, &err);
    for (size_t i = 0; i < trainers; i++) {
        ra_trainer_free(trainer[i]);
        ra_sae_free(sae[i]);
    }
}

static ra_data *rows_to_train_on(void) {
    static float values[ROWS * D_];
    test_fill(values, ROWS * D_, 3);
    return data_of(values, ROWS, D_);
}

/* The reader copies the next batch while a step computes. */
START_TEST(test_training_is_the_same_in_any_order) {
    emulated device = emulated_open();
    ra_backend *backend = open_emulated();
    ra_data *data = rows_to_train_on();
    run first, other;
    device.run_twice(false);
    for (int order = 0; order < ORDERS; order++) {
        device.stream_order(order);
        train(backend, data, 1 + (size_t)_i, order ? &other : &first);
        ck_assert_int_eq((order ? &other : &first)->status, RA_OK);
        if (order) ck_assert_mem_eq(&other, &first, sizeof first);
    }
    ra_data_free(data);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* None of the bytes of the batches is copied by the host on their way, and trainers share them. (It copies the 16 bytes per
 * step that say which latents are active and how many, which have not been copied before.) */
START_TEST(test_batches_go_up_directly_and_once) {
    emulated device = emulated_open();
    ra_backend *backend = open_emulated();
    ra_data *data = rows_to_train_on();
    run r;
    size_t through[2], up[2], batches = (STEPS / 4 * ROWS + STEPS % 4 * BATCH) * D_ * sizeof(float);
    device.run_twice(false);
    for (size_t trainers = 1; trainers <= 2; trainers++) {
        (void)device.count();
        train(backend, data, trainers, &r);
        ck_assert_int_eq(r.status, RA_OK);
        emulation_counts counts = device.count();
        up[trainers - 1] = counts.bytes_up;
        through[trainers - 1] = counts.bytes_up + counts.bytes_down - counts.bytes_through;
    }
    for (size_t i = 0; i < 2; i++) ck_assert_uint_eq(through[i] + (i + 1) * STEPS * 16, batches);
    ck_assert_uint_lt(up[1], 2 * up[0]);
    ra_data_free(data);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* Two threads make calls, so a call that fails may be any of either's. */
START_TEST(test_a_run_ends_when_a_call_fails) {
    enum { MEMORY_ALLOCATION = 2, LAUNCH_FAILURE = 719 };
    emulated device = emulated_open();
    ra_data *data = rows_to_train_on();
    size_t failed = 0;
    run r;
    device.run_twice(false);
    for (size_t call = 1; call < 1200; call += 1 + call / 6) {
        ra_backend *backend = open_emulated();
        device.fail_at(call, call % 2 ? MEMORY_ALLOCATION : LAUNCH_FAILURE);
        train(backend, data, 1, &r);
        failed += r.status != RA_OK;
        device.fail_at(0, 0);
        ra_backend_release(backend);
        ck_assert_uint_eq(device.live(NULL), 0);
    }
    ck_assert_uint_gt(failed, 10);
    ra_data_free(data);
    emulated_close(&device);
}
END_TEST

/* ---- fuse ---------------------------------------------------------------------------------------------- */

enum { ATOMS = 5000, POINTS = 6, D_FUSE = 4 }; /* rows of W in three parts */

static void fuse(ra_backend *backend, ra_dtype dtype, float *D) {
    static float W[ATOMS * POINTS], C[POINTS * D_FUSE], relax[ATOMS * D_FUSE];
    static uint16_t half[ATOMS * POINTS];
    test_fill(W, ATOMS * POINTS, 1);
    test_fill(C, POINTS * D_FUSE, 2);
    test_fill(relax, ATOMS * D_FUSE, 3);
    ra_convert_from_f32(RA_F16, W, half, ATOMS * POINTS);
    const void *weights = dtype == RA_F16 ? (const void *)half : W;
    const ra_tensor w = ra_tensor_2d(dtype, weights, ATOMS, POINTS),
                    c = ra_tensor_2d(RA_F32, C, POINTS, D_FUSE),
                    r = ra_tensor_2d(RA_F32, relax, ATOMS, D_FUSE);
    ra_ok(ra_dictionary_fuse(backend, &w, &c, &r, 0.25f, 0.5f, D, NULL, &err));
}

/* The rows of W after these go up while these are computed with. */
START_TEST(test_a_fuse_is_the_same_in_any_order) {
    static float expected[ATOMS * D_FUSE], first[ATOMS * D_FUSE], other[ATOMS * D_FUSE];
    ra_dtype dtype = _i ? RA_F16 : RA_F32;
    emulated device = emulated_open();
    ra_backend *host = NULL, *backend = open_emulated();
    size_t available, total;
    device.run_twice(false);
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &host, &err));
    fuse(host, dtype, expected);
    for (int order = -1; order < ORDERS; order++) {
        float *D = order < 0 ? first : other;
        device.stream_order(order);
        fuse(backend, dtype, D);
        assert_close(D, expected, ATOMS * D_FUSE, 1e-5);
        ck_assert_mem_eq(D, first, sizeof first);
    }
    /* memory for one place, but not for two */
    ra_ok(ra_backend_memory(backend, &available, &total, &err));
    device.set_memory(total - available + (size_t)2048 * (POINTS + D_FUSE) * sizeof(float) * 5 / 4);
    fuse(backend, dtype, other);
    ck_assert_mem_eq(other, first, sizeof first);
    ra_backend_release(backend);
    ra_backend_release(host);
    emulated_close(&device);
}
END_TEST

/* ---- load ---------------------------------------------------------------------------------------------- */

/* What the default stream is asked for meanwhile has nothing to do with it. */
START_TEST(test_a_model_is_loaded_in_any_order) {
    emulated device = emulated_open();
    model_file file = {0};
    float x[3 * FILE_D], scores[3], expected[3];
    size_t ids[3], expected_ids[3];
    ra_workspace *workspace = NULL;
    model_file_artifact(&file);
    const char *path = model_file_write(&file, "m.safetensors");
    model_file_release(&file);
    test_fill(x, 3 * FILE_D, 9);
    for (int order = -1; order < ORDERS; order++) {
        device.stream_order(order);
        (void)model_on_device(1);
        ra_model *model = model_open(path);
        ra_ok(ra_workspace_new(&workspace, &err));
        ra_ok(ra_model_search(model, workspace, x, 3, 1, RA_SIMILARITY_DOT, ids, scores, &err));
        if (order < 0) {
            memcpy(expected, scores, sizeof scores);
            memcpy(expected_ids, ids, sizeof ids);
        }
        ck_assert_mem_eq(scores, expected, sizeof scores);
        ck_assert_mem_eq(ids, expected_ids, sizeof ids);
        ra_workspace_free(workspace);
        ra_model_release(model);
    }
    emulated_close(&device);
}
END_TEST

TEST_CASES(backend_cuda_copies, test_streams_follow_each_other, test_without_that_the_sum_is_wrong,
           test_each_call_may_fail, test_a_stream_for_copies_takes_no_memory_of_the_device,
           test_memory_that_is_copied_from_directly, test_scratch_memory_soon_stops_growing,
           test_batches_go_up_directly_and_once, test_a_run_ends_when_a_call_fails,
           test_a_model_is_loaded_in_any_order)
TEST_CASES_LOOP(backend_cuda_copies_order, 20, 2, test_training_is_the_same_in_any_order,
                test_a_fuse_is_the_same_in_any_order)
