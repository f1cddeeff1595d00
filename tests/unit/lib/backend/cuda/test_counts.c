/* What a training step, and a search, ask of a device (lib/backend/cuda), counted by the emulation: how often the host waits, kernels and
 * products that are started, copies and their bytes. Each number is pinned: whoever raises one has to mean it. */
#include "data_files.h"
#include "emulated.h"
#include "golden.h"
#include "harness.h"
#include "model_files.h"
#include "ra_memory.h"
#include "ra_points.h"
#include "ra_train.h"

#include <stdio.h>

typedef struct expected {
    const char *run;
    ra_precision precision;
    size_t waits, launches, products, fills, uploads, downloads, bytes_up, bytes_down;
} expected;

static const expected runs[] = {
    {"topk-mse", RA_PRECISION_FLOAT32, 2, 27, 4, 2, 2, 4, 2168, 116},
    {"relu-mse_l1", RA_PRECISION_FLOAT32, 2, 32, 4, 2, 1, 5, 2048, 124},
    {"jumprelu-mse_l1", RA_PRECISION_FLOAT32, 4, 35, 5, 2, 3, 8, 2432, 1284},
    {"batchtopk-mse", RA_PRECISION_FLOAT32, 3, 36, 4, 3, 2, 5, 2164, 120},
    {"topk-mse-mlp_bn_1", RA_PRECISION_FLOAT32, 5, 34, 5, 2, 11, 9, 4728, 2052},
    {"topk-mse-mlp_ln_1", RA_PRECISION_FLOAT32, 4, 32, 5, 2, 6, 6, 2972, 1284},
    {"mp-mse", RA_PRECISION_FLOAT32, 3, 29, 4, 2, 6, 5, 8232, 1316},
    {"topk-mse-tied", RA_PRECISION_FLOAT32, 3, 24, 4, 2, 1, 4, 2048, 108},
    /* TF32 costs nothing; bf16 has one more launch per product, which rounds both of its factors. */
    {"topk-mse", RA_PRECISION_TF32, 2, 27, 4, 2, 2, 4, 2168, 116},
    {"topk-mse", RA_PRECISION_BF16, 2, 31, 4, 2, 2, 4, 2168, 116},
};
enum { RUNS = sizeof runs / sizeof *runs };

START_TEST(test_a_training_step) {
    const expected *wanted = &runs[_i];
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    ra_sae *sae = NULL;
    ra_trainer *trainer = NULL;
    ra_data *data = NULL;
    ra_train_settings settings;
    ra_train_progress progress;
    char name[64];
    device.run_twice(false);
    snprintf(name, sizeof name, "%s.x.npy", wanted->run);
    const char *rows = test_golden(name);
    ra_safetensors *init = golden_open(wanted->run, ".init.safetensors");
    ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.threads = 1}, &backend, &err));
    ra_ok(ra_data_open(&rows, 1, NULL, &data, &err));
    ra_ok(ra_sae_open(ra_safetensors_path(init), NULL, backend, &sae, &err));
    ra_ok(ra_train_settings_read(init, &settings, &err));
    ra_train_settings_defaults(&settings);
    settings.precision = wanted->precision;
    size_t batch = settings.batch_size, d = ra_dictionary_dimensions(ra_sae_dictionary(sae));
    float *x = ra_malloc(batch * d, sizeof *x);
    ra_data_read(data, 0, batch, x);
    ra_ok(ra_trainer_new(sae, &settings, 100 * batch, &trainer, &err));
    for (int step = 0; step < 3; step++) { /* the memory of all has been allocated by then */
        (void)device.count();
        ra_ok(ra_trainer_step(trainer, x, batch, &progress, &err));
    }
    emulation_counts got = device.count();
    char text[2][256];
    const char *form =
        "%zu waits, %zu launches, %zu products, %zu fills, %zu uploads, %zu downloads, %zu bytes up, "
        "%zu bytes down";
    snprintf(text[0], sizeof text[0], form, got.waits, got.launches, got.products, got.fills, got.uploads,
             got.downloads, got.bytes_up, got.bytes_down);
    snprintf(text[1], sizeof text[1], form, wanted->waits, wanted->launches, wanted->products, wanted->fills,
             wanted->uploads, wanted->downloads, wanted->bytes_up, wanted->bytes_down);
    ck_assert_str_eq(text[0], text[1]);
    ck_assert_uint_eq(got.half_products, wanted->precision == RA_PRECISION_BF16 ? got.products : 0);
    ra_free(x);
    ra_trainer_free(trainer);
    ra_sae_free(sae);
    ra_data_free(data);
    ra_safetensors_free(init);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* What a joined batch asks for once a workspace has its memory: so few launches that a graph of them, which would have to be
 * made for each model and size of a batch, saves some microseconds of a request's. */
START_TEST(test_a_served_batch) {
    static const char *const wanted[] = {"2 waits, 2 launches, 1 products, 0 fills, 2 uploads, 3 downloads",
                                         "1 waits, 1 launches, 0 products, 0 fills, 1 uploads, 1 downloads"};
    enum { ROWS = 3 };
    emulated device = emulated_open();
    device.run_twice(false);
    (void)model_on_device(1);
    model_file file = {0};
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    float x[ROWS * FILE_D], x_hat[ROWS * FILE_D];
    char asked[2][160];
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "served.safetensors"));
    model_file_release(&file);
    test_fill(x, ROWS * FILE_D, 1);
    ra_ok(ra_workspace_new(&workspace, &err));
    for (int time = 0; time < 2; time++)
        for (int decode = 0; decode < 2; decode++) {
            (void)device.count();
            if (decode)
                ra_ok(ra_model_reconstruct(model, workspace, &codes, x_hat, &err));
            else
                ra_ok(ra_model_encode(model, workspace, x, ROWS, &codes, &err));
            emulation_counts got = device.count();
            snprintf(asked[decode], sizeof asked[decode],
                     "%zu waits, %zu launches, %zu products, %zu fills, %zu uploads, %zu downloads",
                     got.waits, got.launches, got.products, got.fills, got.uploads, got.downloads);
        }
    for (int decode = 0; decode < 2; decode++) ck_assert_str_eq(asked[decode], wanted[decode]);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
    emulated_close(&device);
}
END_TEST

/* A large array takes few copies, in pieces that overlap with filling the next one; a small one takes one. */
START_TEST(test_copies_of_arrays) {
    static const struct {
        size_t bytes, copies, waits; /* waits: for a slot */
    } arrays[] = {{4, 1, 0},       {128 << 10, 1, 0}, {(128 << 10) + 4, 2, 0}, {500 << 10, 4, 0},
                  {3 << 20, 4, 1}, {7 << 20, 4, 1},   {24 << 20, 12, 9}};
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    const char *before, *after;
    char first[200];
    ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.threads = 1}, &backend, &err));
    (void)device.live(&before);
    snprintf(first, sizeof first, "%s", before);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        size_t n = arrays[i].bytes / sizeof(uint32_t);
        uint32_t *numbers = ra_malloc(2 * n, sizeof *numbers), *got = numbers + n;
        void *block = NULL;
        for (size_t j = 0; j < n; j++) numbers[j] = (uint32_t)(j * 2654435761u);
        ra_ok(ra_backend_allocate(backend, n * sizeof *numbers, &block, &err));
        (void)device.count();
        ra_ok(ra_backend_upload(backend, block, numbers, n * sizeof *numbers, &err));
        emulation_counts counts = device.count();
        ck_assert_uint_eq(counts.uploads, arrays[i].copies);
        ck_assert_uint_eq(counts.waits, arrays[i].waits);
        ra_ok(ra_backend_synchronize(backend, &err));
        (void)device.count();
        ra_ok(ra_backend_download(backend, got, block, n * sizeof *numbers, &err));
        counts = device.count();
        ck_assert_uint_eq(counts.downloads, arrays[i].copies);
        ck_assert_uint_eq(counts.waits, arrays[i].waits);
        ra_ok(ra_backend_synchronize(backend, &err));
        ck_assert_mem_eq(numbers, got, n * sizeof *numbers);
        ra_backend_deallocate(backend, block);
        ra_free(numbers);
    }
    (void)device.live(&after); /* the pinned memory was made with the stream */
    ck_assert_str_eq(after, first);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* A run that was let in has the memory that its steps need, codes that the device keeps among it. */
START_TEST(test_training_fits_the_memory_that_it_asks_for) {
    enum { B = 512, K = 128, D = 4, STREAM = 32 << 10 };
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    ra_dictionary *dictionary = NULL;
    ra_sae *sae = NULL;
    ra_trainer *trainer = NULL;
    ra_train_progress progress;
    size_t available, total, low = 0, high = (size_t)1 << 30;
    float *x = ra_malloc(B * D, sizeof *x);
    const ra_train_settings settings = {
        .known = 1u << ra_setting_by_key(ra_train_settings_table(), "batch_size"), .batch_size = B};
    ra_sae_settings kind = {.known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K,
                            .sae = _i ? RA_SAE_BATCHTOPK : RA_SAE_TOPK,
                            .top_k = _i ? 16 : 64};
    device.run_twice(false);
    test_fill(x, B * D, 1);
    ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.threads = 1}, &backend, &err));
    ra_sae_settings_defaults(&kind);
    ra_ok(ra_plain_dictionary_new(backend, D, K, RA_DICTIONARY_L2, NULL, true, 5, &dictionary, &err));
    ra_ok(ra_sae_new(&kind, dictionary, 6, &sae, &err));
    ra_ok(ra_backend_memory(backend, &available, &total, &err));
    size_t own = total - available;
    while (high - low > 1) { /* the least that a trainer accepts */
        size_t middle = (low + high) / 2;
        device.set_memory(own + middle);
        ra_status status = ra_trainer_new(sae, &settings, B, &trainer, NULL);
        *(status == RA_OK ? &high : &low) = middle;
        if (status == RA_OK) ra_trainer_free(trainer);
        if (status != RA_OK) ck_assert_int_eq(status, RA_ERR_MEMORY);
    }
    device.set_memory(own + high + STREAM); /* which is left free for what each stream needs */
    ra_ok(ra_trainer_new(sae, &settings, B, &trainer, &err));
    for (int step = 0; step < 2; step++) ra_ok(ra_trainer_step(trainer, x, B, &progress, &err));
    ra_ok(ra_backend_memory(backend, &available, &total, &err));
    ck_assert_uint_lt(available, 2 * STREAM + high / 4); /* and not much more was asked for */
    ra_trainer_free(trainer);
    ra_sae_free(sae);
    ra_backend_release(backend);
    ra_free(x);
    emulated_close(&device);
}
END_TEST

/* Few queries read atoms of half precision as they are: one kernel for all of them, and no product. */
START_TEST(test_a_search) {
    enum { K = 9000, D = 256, MOST = 33 };
    static const struct {
        size_t queries;
        const char *asked;
    } searches[] = {{1, "1 waits, 3 launches, 0 products, 1 uploads, 3 downloads"},
                    {32, "1 waits, 3 launches, 0 products, 1 uploads, 3 downloads"},
                    {33, "1 waits, 5 launches, 3 products, 1 uploads, 3 downloads"}};
    emulated device = emulated_open();
    device.run_twice(false);
    (void)model_on_device(1);
    float *atoms = ra_malloc(K * D, sizeof *atoms), *queries = ra_malloc(MOST * D, sizeof *queries),
          scores[MOST];
    size_t ids[MOST];
    ra_workspace *workspace = NULL;
    model_file file = {0};
    test_fill(atoms, K * D, 1);
    test_fill(queries, MOST * D, 2);
    model_file_put(&file, "dictionary", RA_F32, 2, K, D, atoms);
    model_file_convert(&file, "dictionary", RA_BF16);
    ra_model *model = model_open(model_file_write(&file, "search.safetensors"));
    model_file_release(&file);
    ra_ok(ra_workspace_new(&workspace, &err));
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        char asked[128];
        for (int time = 0; time < 2; time++) { /* the memory of all has been allocated by then */
            (void)device.count();
            ra_ok(ra_model_search(model, workspace, queries, searches[i].queries, 1, RA_SIMILARITY_COSINE,
                                  ids, scores, &err));
        }
        emulation_counts got = device.count();
        snprintf(asked, sizeof asked, "%zu waits, %zu launches, %zu products, %zu uploads, %zu downloads",
                 got.waits, got.launches, got.products, got.uploads, got.downloads);
        ck_assert_str_eq(asked, searches[i].asked);
    }
    ra_free(atoms);
    ra_free(queries);
    ra_workspace_free(workspace);
    ra_model_release(model);
    emulated_close(&device);
}
END_TEST

/* A pass of k-means: 16 bytes come back for each row, not its scores. */
START_TEST(test_a_pass_of_kmeans) {
    enum { ROWS = 1500, D = 8, CLUSTERS = 200 };
    emulated device = emulated_open();
    static float values[ROWS * D];
    ra_backend *backend = NULL;
    ra_points points;
    emulation_counts passes[2];
    char asked[160];
    test_fill(values, ROWS * D, 3);
    ra_data *data = data_of(values, ROWS, D);
    device.run_twice(false);
    ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.threads = 1}, &backend, &err));
    for (size_t i = 0; i < 2; i++) {
        const ra_kmeans_options options = {.clusters = CLUSTERS, .seed = 5, .max_iterations = 1 + i};
        (void)device.count();
        ra_ok(ra_points_kmeans(backend, data, &options, &points, &err));
        passes[i] = device.count();
        ra_points_release(&points);
    }
    snprintf(asked, sizeof asked,
             "%zu waits, %zu launches, %zu products, %zu uploads, %zu bytes up, %zu bytes down",
             passes[1].waits - passes[0].waits, passes[1].launches - passes[0].launches,
             passes[1].products - passes[0].products, passes[1].uploads - passes[0].uploads,
             passes[1].bytes_up - passes[0].bytes_up, passes[1].bytes_down - passes[0].bytes_down);
    ck_assert_str_eq(asked, "3 waits, 2 launches, 2 products, 6 uploads, 57352 bytes up, 22672 bytes down");
    ra_data_free(data);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_counts, 60, RUNS, test_a_training_step)
TEST_CASES_LOOP(backend_cuda_training_memory, 60, 2, test_training_fits_the_memory_that_it_asks_for)
TEST_CASES(backend_cuda_search_counts, test_a_search, test_a_served_batch, test_copies_of_arrays,
           test_a_pass_of_kmeans)
