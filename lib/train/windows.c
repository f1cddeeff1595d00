/* Two windows: the reader of the batches has one, or both at the border between them; a thread fills the other. Windows
 * have a number that runs on over the epochs. Number i is in slot i % 2, and may be filled when the reader needs none
 * before number i - 1. */
#include "ra_train.h"
#include "train/windows.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { SLOTS = 2, BLOCK_NUMBERS = 1 << 17 };

struct ra_windows {
    const ra_data *data;
    ra_order order; /* the thread's, but for `windows_per_epoch` */
    ra_order asked; /* the reader's: which window has a position */
    ra_row_run *runs;
    ra_window slot[SLOTS];
    size_t per_epoch;
    uint64_t end; /* windows with this number and later ones are not read */
    pthread_t filler;
    bool filling;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_bool stop;
    uint64_t filled, needed; /* numbers: the first one that is not there yet; the first one that is in use */
    uint64_t last;           /* the last one in use */
};

/* ---- shape -------------------------------------------------------------------------------------------- */

ra_window_shape ra_window_shape_of(const ra_data *data, size_t window) {
    size_t d = ra_data_dimensions(data), unit = ra_data_rows_together(data);
    if (window == 0) return (ra_window_shape){RA_ORDER_WINDOW, RA_ORDER_BLOCK, 1};
    size_t block = (BLOCK_NUMBERS / d + RA_ORDER_BLOCK) / RA_ORDER_BLOCK * RA_ORDER_BLOCK;
    if (unit > 1) block = (block + unit - 1) / unit * unit;
    if (block > window) block = window < unit ? unit : window / unit * unit;
    return (ra_window_shape){window, block, unit};
}

static size_t whole_rows(const ra_window_shape *shape) {
    return ((shape->rows - 1) / shape->block + 1) * shape->block;
}

double ra_windows_bytes(const ra_data *data, const ra_window_shape *shape) {
    return SLOTS * (double)whole_rows(shape) * (double)(ra_window_row_bytes(data) + sizeof(uint64_t));
}

size_t ra_train_choose_window(const ra_data *data, double memory, size_t batch_rows, double *bytes) {
    enum { BATCHES_LEAST = 4, BLOCKS_LEAST = 16, BLOCK_BYTES_LEAST = 1 << 16 };
    const ra_window_shape usual = ra_window_shape_of(data, 0);
    size_t row = ra_window_row_bytes(data), rows = ra_data_rows(data);
    *bytes = ra_windows_bytes(data, &usual);
    if (!ra_data_is_large(data)) return 0;
    bool usual_fits = *bytes <= memory && RA_ORDER_WINDOW < rows;
    if (usual_fits && usual.block * row >= BLOCK_BYTES_LEAST) return 0;
    size_t block = ra_window_shape_of(data, SIZE_MAX).block;
    double fit = memory / SLOTS / (double)(row + sizeof(uint64_t));
    size_t window = fit < RA_ORDER_WINDOW ? (size_t)fit / block * block : RA_ORDER_WINDOW / block * block;
    if (window < BATCHES_LEAST * batch_rows) window = BATCHES_LEAST * batch_rows;
    if (window < BLOCKS_LEAST * block) window = BLOCKS_LEAST * block;
    const ra_window_shape shape = ra_window_shape_of(data, window);
    *bytes = ra_windows_bytes(data, &shape);
    return window;
}

size_t ra_train_window_rows(const ra_data *data, size_t window, double *bytes) {
    const ra_window_shape shape = ra_window_shape_of(data, window);
    *bytes = ra_windows_bytes(data, &shape);
    return whole_rows(&shape);
}

/* ---- filling ------------------------------------------------------------------------------------------ */

static void *fill_all(void *context) {
    ra_windows *w = context;
    pthread_mutex_lock(&w->lock);
    while (!atomic_load(&w->stop) && w->filled < w->end) {
        if (w->filled >= w->needed + SLOTS) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        uint64_t number = w->filled;
        pthread_mutex_unlock(&w->lock);
        size_t count =
            ra_order_window_runs(&w->order, number / w->per_epoch, (size_t)(number % w->per_epoch), w->runs);
        ra_window_fill(&w->slot[number % SLOTS], w->runs, count, &w->stop);
        pthread_mutex_lock(&w->lock);
        w->filled++;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- using -------------------------------------------------------------------------------------------- */

static uint64_t number_at(ra_windows *w, uint64_t epoch, size_t position) {
    return epoch * w->per_epoch + ra_order_window_at(&w->asked, epoch, position);
}

void ra_windows_take(ra_windows *w, uint64_t epoch, size_t position, size_t n) {
    uint64_t first = number_at(w, epoch, position), last = number_at(w, epoch, position + (n ? n - 1 : 0));
    pthread_mutex_lock(&w->lock);
    w->needed = first;
    w->last = last;
    pthread_cond_broadcast(&w->changed);
    while (w->filled <= last) pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void ra_windows_gather(const ra_windows *w, const uint64_t *rows, size_t n, float *out) {
    const ra_window *first = &w->slot[w->needed % SLOTS], *last = &w->slot[w->last % SLOTS];
    size_t d = ra_data_dimensions(w->data);
    for (size_t i = 0; i < n; i++)
        if (!ra_window_get(first, rows[i], out + i * d)) ra_window_gather(last, &rows[i], 1, out + i * d);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static ra_status prepare(ra_windows *w, const ra_window_shape *shape, uint64_t seed, bool drop,
                         ra_error *err) {
    size_t rows = ra_data_rows(w->data), window = whole_rows(shape);
    RA_TRY(ra_order_init_blocks(&w->order, rows, true, seed, shape->rows, shape->block, shape->unit, err));
    RA_TRY(ra_order_init_blocks(&w->asked, rows, true, seed, shape->rows, shape->block, shape->unit, err));
    size_t runs = 2 * w->order.window_blocks;
    w->per_epoch = ra_order_windows(&w->order);
    w->runs = ra_malloc(runs, sizeof *w->runs);
    if (!w->runs) RA_FAIL_MEMORY(err, "the blocks of a window", runs * sizeof *w->runs);
    for (size_t i = 0; i < SLOTS; i++) {
        RA_TRY(ra_window_init(&w->slot[i], w->data, window < rows ? window : rows, runs, err));
        w->slot[i].drop = drop;
    }
    return RA_OK;
}

ra_status ra_windows_open(const ra_data *data, const ra_window_shape *shape, uint64_t seed,
                          ra_windows_place first, ra_windows_place end, bool keep, ra_windows **out,
                          ra_error *err) {
    ra_windows *w = ra_calloc(1, sizeof *w);
    if (!w) RA_FAIL_MEMORY(err, "windows of rows", sizeof *w);
    w->data = data;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    double all = ra_data_bytes(data) + ra_windows_bytes(data, shape);
    ra_status status = prepare(w, shape, seed, !keep && all > 0.75 * (double)ra_data_memory(data), err);
    if (status == RA_OK) {
        w->filled = w->needed = w->last = number_at(w, first.epoch, first.position);
        w->end = end.position ? number_at(w, end.epoch, end.position - 1) + 1 : end.epoch * w->per_epoch;
        int failure = pthread_create(&w->filler, NULL, fill_all, w);
        w->filling = failure == 0;
        if (failure)
            status = ra_error_set(err, RA_ERR_INTERNAL, "cannot start a thread to read the data: %s",
                                  strerror(failure));
    }
    if (status != RA_OK) {
        ra_windows_close(w);
        return status;
    }
    *out = w;
    return RA_OK;
}

void ra_windows_close(ra_windows *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->stop, true);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (w->filling) pthread_join(w->filler, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    ra_order_release(&w->order);
    ra_order_release(&w->asked);
    for (size_t i = 0; i < SLOTS; i++) ra_window_release(&w->slot[i]);
    ra_free(w->runs);
    ra_free(w);
}
