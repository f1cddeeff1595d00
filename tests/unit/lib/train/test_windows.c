/* Windows of rows in memory (lib/train/windows.c): the rows and the bytes that training reads, with windows and without,
 * from the start and from the middle; how many rows fit. */
#include "data_files.h"
#include "harness.h"

#include "data/data.h"
#include "ra_memory.h"
#include "train/windows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 5000, D = 64, WINDOW = 4096, EPOCHS = 3 };

static double bytes_read(void) {
    char line[128];
    unsigned long long bytes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "rchar: %llu", &bytes) == 1) break;
    fclose(file);
    return (double)bytes;
}

static ra_data *make_data(size_t memory) {
    float *values = ra_malloc(ROWS * D, sizeof *values);
    fill_blobs(values, ROWS, D, 20, 1, 0.3f, 7);
    const char *path = data_file_safetensors("x.safetensors", RA_F16, values, ROWS, D);
    const ra_data_options options = {.memory = memory};
    ra_data *data = NULL;
    ra_ok(ra_data_open(&path, 1, &options, &data, &err));
    ra_free(values);
    return data;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* Batches over the borders of windows and epochs, from any place on; each pass reads the file once. */
START_TEST(test_windows_give_the_rows_of_the_order) {
    enum { BATCH = 300 };
    static uint64_t rows[BATCH];
    static float x[BATCH * D], y[BATCH * D];
    const size_t starts[] = {0, 900, 4800};
    ra_data *data = make_data(1000);
    const ra_window_shape shape = ra_window_shape_of(data, 1000);
    ck_assert_uint_eq(shape.block, 1000); /* at most the window */
    const ra_window_shape small = {1000, 64, 1};
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        ra_order order;
        ra_windows *windows = NULL;
        double before = bytes_read(), passes = EPOCHS - (double)starts[s] / ROWS, gathered = 0;
        ra_ok(ra_order_init_blocks(&order, ROWS, true, 11, small.rows, small.block, small.unit, &err));
        ra_ok(ra_windows_open(data, &small, 11, (ra_windows_place){0, starts[s]},
                              (ra_windows_place){EPOCHS, 0}, false, &windows, &err));
        for (size_t epoch = 0; epoch < EPOCHS; epoch++)
            for (size_t at = epoch ? 0 : starts[s]; at < ROWS; at += BATCH) {
                size_t n = ROWS - at < BATCH ? ROWS - at : BATCH;
                ra_order_rows(&order, epoch, at, n, rows);
                ra_windows_take(windows, epoch, at, n);
                ra_windows_gather(windows, rows, n, x);
                double mark = bytes_read();
                ra_data_gather(data, rows, n, y);
                gathered += bytes_read() - mark;
                ck_assert_mem_eq(x, y, n * D * sizeof *x);
            }
        ra_windows_close(windows);
        ra_order_release(&order);
        double read = bytes_read() - before, file = ROWS * D * 2;
        ck_assert_double_lt(gathered, EPOCHS * file * 3); /* also what the window's thread read meanwhile */
        ck_assert_double_ge(read, passes * file);
    }
    ra_data_free(data);
}
END_TEST

START_TEST(test_a_pass_reads_the_file_once) {
    ra_data *data = make_data(1000);
    const ra_window_shape shape = {1000, 64, 1};
    ra_windows *windows = NULL;
    double before = bytes_read(), file = ROWS * D * 2;
    ra_ok(ra_windows_open(data, &shape, 11, (ra_windows_place){0, 0}, (ra_windows_place){EPOCHS, 0}, false,
                          &windows, &err));
    for (size_t epoch = 0; epoch < EPOCHS; epoch++)
        for (size_t at = 0; at < ROWS; at += 500) ra_windows_take(windows, epoch, at, 500);
    ra_windows_close(windows);
    double read = bytes_read() - before;
    ck_assert_msg(read >= EPOCHS * file && read < 1.1 * EPOCHS * file, "%.0f bytes of %.0f", read,
                  EPOCHS * file);
    ra_data_free(data);
}
END_TEST

START_TEST(test_windows_can_be_closed_at_any_time) {
    ra_data *data = make_data(1000);
    const ra_window_shape shape = {500, 64, 1};
    for (size_t taken = 0; taken < 4; taken++) {
        ra_windows *windows = NULL;
        ra_ok(ra_windows_open(data, &shape, 1, (ra_windows_place){7, 0}, (ra_windows_place){100, 0}, true,
                              &windows, &err));
        for (size_t i = 0; i < taken; i++) ra_windows_take(windows, 7, i * 700, 400);
        ra_windows_close(windows);
    }
    ra_windows_close(NULL);
    ra_data_free(data);
}
END_TEST

static ra_status open_and_close(const ra_data *data, ra_error *err) {
    const ra_window_shape shape = {500, 64, 1};
    ra_windows *windows = NULL;
    ra_status status = ra_windows_open(data, &shape, 1, (ra_windows_place){0, 0}, (ra_windows_place){0, 100},
                                       true, &windows, err);
    ra_windows_close(windows);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    ra_data *data = make_data(1000);
    fails_at_each_allocation(open_and_close(data, &err));
    ra_data_free(data);
}
END_TEST

/* ---- training ------------------------------------------------------------------------------------------ */

typedef struct losses {
    double loss[256];
    size_t count;
} losses;

static bool note(void *context, size_t which, const ra_train_progress *progress) {
    losses *l = context;
    if (which == 0) l->loss[l->count++ % 256] = progress->loss;
    return true;
}

static void train(size_t memory, bool shuffle, size_t window, losses *l) {
    enum { POINTS = 32 };
    static float points[POINTS * D];
    ra_data *data = make_data(memory);
    ra_backend *backend = backend_of("cpu", 2);
    ra_dictionary *dictionary = NULL;
    ra_sae *sae = NULL;
    ra_sae_settings settings = {
        .known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K, .sae = RA_SAE_TOPK, .top_k = 4};
    ra_train_settings how = {.known = (uint64_t)1 << RA_TRAIN_EPOCHS | (uint64_t)1 << RA_TRAIN_BATCH_SIZE |
                                      (uint64_t)1 << RA_TRAIN_SHUFFLE |
                                      (uint64_t)(window > 0) << RA_TRAIN_WINDOW,
                             .epochs = EPOCHS,
                             .batch_size = 300,
                             .shuffle = shuffle,
                             .window = window};
    ra_data_read(data, 0, POINTS, points);
    const ra_tensor view = ra_tensor_2d(RA_F32, points, POINTS, D);
    ra_sae_settings_defaults(&settings);
    ra_ok(ra_archetypal_dictionary_new(backend, D, 16, &view, 1, true, &dictionary, &err));
    ra_ok(ra_sae_new(&settings, dictionary, 6, &sae, &err));
    *l = (losses){0};
    ra_ok(ra_train(sae, data, &how, note, l, &err));
    ra_sae_free(sae);
    ra_data_free(data);
    ra_backend_release(backend);
}

/* The order is that of the settings, whatever memory there is: windows in memory, rows read one by one, no limit. */
START_TEST(test_memory_changes_no_result) {
    static const struct {
        bool shuffle;
        size_t window;
    } cases[] = {{true, WINDOW}, {true, 0}, {false, 0}, {true, 100}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        losses usual, large, tight;
        train(0, cases[i].shuffle, cases[i].window, &usual);
        train(ROWS * D * 3, cases[i].shuffle, cases[i].window, &large);
        train(1000, cases[i].shuffle, cases[i].window, &tight);
        ck_assert_uint_eq(usual.count, EPOCHS * 17);
        ck_assert_mem_eq(&usual, &large, sizeof usual);
        ck_assert_mem_eq(&usual, &tight, sizeof usual);
    }
    losses windowed, usual;
    train(0, true, WINDOW, &windowed);
    train(0, true, 0, &usual);
    ck_assert(memcmp(&windowed, &usual, sizeof usual) != 0);
}
END_TEST

START_TEST(test_the_window_follows_the_memory) {
    double bytes, small;
    ra_data *data = make_data(0);
    ck_assert_uint_eq(ra_train_choose_window(data, 1e9, 300, &bytes), 0); /* it fits */
    ra_data_free(data);
    data = make_data(ROWS * D);
    size_t window = ra_train_choose_window(data, ROWS * D, 10, &bytes);
    ck_assert_uint_gt(window, 0);
    ck_assert_uint_ge(ra_train_choose_window(data, 10, 2000, &small), 8000); /* some batches in any case */
    ck_assert_double_gt(bytes, 0);
    ck_assert_uint_ge(ra_train_window_rows(data, window, &small), window);
    ck_assert_double_eq(bytes, small);
    ra_data_free(data);
}
END_TEST

TEST_CASES(windows, test_windows_give_the_rows_of_the_order, test_a_pass_reads_the_file_once,
           test_windows_can_be_closed_at_any_time, test_every_allocation_may_fail,
           test_memory_changes_no_result, test_the_window_follows_the_memory)
