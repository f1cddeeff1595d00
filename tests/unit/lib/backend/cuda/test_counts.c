/* What a training step asks of a device (lib/backend/cuda), counted by the emulation: how often the host waits, kernels and
 * products that are started, copies and their bytes. Each number is pinned: whoever raises one has to mean it. */
#include "emulated.h"
#include "golden.h"
#include "harness.h"
#include "ra_memory.h"
#include "ra_train.h"

#include <stdio.h>

typedef struct expected {
    const char *run;
    size_t waits, launches, products, fills, uploads, downloads;
} expected;

static const expected runs[] = {
    {"topk-mse", 5, 34, 4, 2, 11, 7},         {"relu-mse_l1", 6, 34, 4, 2, 9, 7},
    {"jumprelu-mse_l1", 9, 39, 5, 2, 12, 10}, {"batchtopk-mse", 7, 41, 4, 3, 12, 8},
    {"topk-mse-tied", 5, 28, 4, 2, 7, 7},
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
    const char *form = "%zu waits, %zu launches, %zu products, %zu fills, %zu uploads, %zu downloads";
    snprintf(text[0], sizeof text[0], form, got.waits, got.launches, got.products, got.fills, got.uploads,
             got.downloads);
    snprintf(text[1], sizeof text[1], form, wanted->waits, wanted->launches, wanted->products, wanted->fills,
             wanted->uploads, wanted->downloads);
    ck_assert_str_eq(text[0], text[1]);
    ra_free(x);
    ra_trainer_free(trainer);
    ra_sae_free(sae);
    ra_data_free(data);
    ra_safetensors_free(init);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_counts, 60, RUNS, test_a_training_step)
