/* There are two batches: the trainers have one, the reader fills the other. The reader waits while both are
 * full, and ends with the run.
 *
 * A device gets its batches from the reader, too, on a stream of its own: the copy of the next one and the computation of this
 * one overlap. No stream has to wait for the other: a batch is handed over when its copy is complete, and given back by steps
 * that have ended. */
#include "train/batches.h"
#include "ra_memory.h"
#include "train/windows.h"

#include <pthread.h>
#include <string.h>

enum { SLOTS = 2 };

/* A trainer that uses the batches. */
typedef struct batch_user {
    ra_order order;
    ra_windows *windows; /* in memory; NULL: rows are read from the data. Users may share them */
    bool owns_windows;
    size_t same_as;    /* the first user with the same order: they share its batches */
    size_t from, till; /* its steps: from .. till-1 */
} batch_user;

struct ra_batches {
    const ra_data *data;
    const ra_group *group;
    size_t rows, batch, steps_per_epoch;
    batch_user *users;
    size_t user_count, order_count; /* order_count: those that have an order to release */
    ra_batch slots[SLOTS];
    uint64_t *numbers;   /* [SLOTS + 1, batch]; the last row: the rows to prefetch */
    float *x;            /* [SLOTS, batch, d] */
    ra_backend *backend; /* whose memory of the host x is */
    ra_stream copies;    /* to its device; .backend NULL: there are none */
    void *device;        /* [SLOTS, batch, d] there */

    /* where the reader is: the next user, and its step */
    size_t at, step, last_step;

    pthread_t reader;
    bool reading, stop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t read, returned; /* batches so far */
    bool lent;             /* the caller has the one after those returned */
    bool ended;            /* no batch follows those read */
    ra_status status;      /* why, if it is no end */
    ra_error failure;
};

/* ---- the next batch --------------------------------------------------------------------------- */

bool ra_batches_has(const ra_batches *batches, size_t trainer, size_t step) {
    const batch_user *user = &batches->users[trainer];
    return step >= user->from && step < user->till;
}

/* Consecutive users with the same order share a batch. */
static bool advance(ra_batches *b, ra_batch *batch) {
    for (; b->step < b->last_step; b->step++, b->at = 0)
        while (b->at < b->user_count) {
            size_t first = b->at++;
            if (!ra_batches_has(b, first, b->step)) continue;
            while (b->at < b->user_count &&
                   (b->users[b->at].same_as == b->users[first].same_as || !ra_batches_has(b, b->at, b->step)))
                b->at++;
            batch->first = first;
            batch->end = b->at;
            batch->step = b->step;
            return true;
        }
    return false;
}

static void read_batch(ra_batches *b, ra_batch *batch) {
    ra_order *order = &b->users[b->users[batch->first].same_as].order;
    size_t epoch = batch->step / b->steps_per_epoch, position = batch->step % b->steps_per_epoch * b->batch;
    size_t total = b->rows - position < b->batch ? b->rows - position : b->batch, first;
    uint64_t *ahead = b->numbers + SLOTS * b->batch;
    batch->count = ra_group_slice(b->group, total, &first);
    ra_windows *windows = b->users[b->users[batch->first].same_as].windows;
    ra_order_rows(order, epoch, position + first, batch->count, batch->numbers);
    if (windows) {
        ra_windows_take(windows, epoch, position, total);
        ra_windows_gather(windows, batch->numbers, batch->count, batch->x);
        return;
    }
    ra_data_gather(b->data, batch->numbers, batch->count, batch->x);
    if (!order->shuffle) ra_data_read_ahead(b->data, position + total + first, batch->count);
    ra_data_will_need(b->data, ahead, ra_order_ahead(order, position + first, batch->count, ahead));
}

/* ---- the reader --------------------------------------------------------------------------------------- */

static ra_status copy_batch(ra_batches *b, const ra_batch *batch, ra_error *err) {
    if (!batch->device) return RA_OK;
    size_t bytes = batch->count * ra_data_dimensions(b->data) * sizeof *batch->x;
    ra_status status = ra_stream_upload(b->copies, batch->device, batch->x, bytes, err);
    ra_status waited = ra_stream_synchronize(b->copies, status == RA_OK ? err : NULL);
    return status == RA_OK ? waited : status;
}

static void *read_all(void *context) {
    ra_batches *b = context;
    ra_status status = RA_OK;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->stop && b->read - b->returned == SLOTS) pthread_cond_wait(&b->changed, &b->lock);
        if (b->stop) break;
        ra_batch *batch = &b->slots[b->read % SLOTS];
        pthread_mutex_unlock(&b->lock);
        bool another = advance(b, batch);
        if (another) read_batch(b, batch);
        if (another) status = copy_batch(b, batch, &b->failure);
        pthread_mutex_lock(&b->lock);
        b->status = status;
        if (another && status == RA_OK)
            b->read++;
        else
            b->ended = true;
        pthread_cond_broadcast(&b->changed);
        if (b->ended) break;
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

const ra_batch *ra_batches_next(ra_batches *b) {
    pthread_mutex_lock(&b->lock);
    if (b->lent) { /* this call returns it */
        b->returned++;
        pthread_cond_broadcast(&b->changed);
    }
    while (b->read == b->returned && !b->ended) pthread_cond_wait(&b->changed, &b->lock);
    b->lent = b->read > b->returned;
    const ra_batch *batch = b->lent ? &b->slots[b->returned % SLOTS] : NULL;
    pthread_mutex_unlock(&b->lock);
    return batch;
}

ra_status ra_batches_failure(ra_batches *b, ra_error *err) {
    pthread_mutex_lock(&b->lock);
    ra_status status = b->status;
    if (status != RA_OK && err) *err = b->failure;
    pthread_mutex_unlock(&b->lock);
    return status;
}

/* ---- life --------------------------------------------------------------------------------------------- */

static size_t window_of(const ra_train_settings *settings) {
    return ra_setting_known(settings, RA_TRAIN_WINDOW) ? settings->window : 0;
}

static bool same_windows(const ra_train_settings *a, const ra_train_settings *b) {
    return a->shuffle && b->shuffle && a->window_seed == b->window_seed && window_of(a) == window_of(b);
}

static bool same_order(const ra_train_settings *a, const ra_train_settings *b) {
    if (a->shuffle != b->shuffle) return false;
    return !a->shuffle || (a->shuffle_seed == b->shuffle_seed && same_windows(a, b));
}

/* Windows are held in memory if the settings say how large they are, or if the data are larger than the memory. */
static bool wants_windows(const ra_batches *b, const ra_train_settings *settings) {
    const ra_window_shape shape = ra_window_shape_of(b->data, window_of(settings));
    /* a window lacks less than a block, so that a batch is in two windows at most */
    bool several = settings->shuffle && shape.rows < b->rows && b->batch + shape.block <= shape.rows;
    return several && (window_of(settings) > 0 || ra_data_is_large(b->data));
}

static ra_windows_place place_of(const ra_batches *b, size_t step) {
    return (ra_windows_place){step / b->steps_per_epoch, step % b->steps_per_epoch * b->batch};
}

/* user->windows: those of an earlier user with the same ones, or new ones for all users that have them. */
static ra_status open_windows(ra_batches *b, ra_trainer *const *trainers, size_t i, ra_error *err) {
    const ra_train_settings *settings = ra_trainer_settings(trainers[i]);
    batch_user *user = &b->users[i];
    size_t from = user->from, till = user->till;
    for (size_t j = 0; j < b->user_count; j++) {
        const batch_user *other = &b->users[j];
        if (!same_windows(settings, ra_trainer_settings(trainers[j]))) continue;
        user->windows = other->windows;
        if (user->windows) return RA_OK;
        from = other->from < from ? other->from : from;
        till = other->till > till ? other->till : till;
    }
    const ra_window_shape shape = ra_window_shape_of(b->data, window_of(settings));
    user->owns_windows = true;
    return ra_windows_open(b->data, &shape, settings->window_seed, place_of(b, from), place_of(b, till),
                           ra_group_size(b->group) > 1, &user->windows, err);
}

/* What all windows take, each pair once. */
static double bytes_of_windows(const ra_batches *b, ra_trainer *const *trainers) {
    double bytes = 0;
    for (size_t i = 0; i < b->user_count; i++) {
        const ra_train_settings *settings = ra_trainer_settings(trainers[i]);
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = same_windows(settings, ra_trainer_settings(trainers[j]));
        const ra_window_shape shape = ra_window_shape_of(b->data, window_of(settings));
        if (!seen && wants_windows(b, settings)) bytes += ra_windows_bytes(b->data, &shape);
    }
    return bytes;
}

static ra_status open_all_windows(ra_batches *b, ra_trainer *const *trainers, ra_error *err) {
    double bytes = bytes_of_windows(b, trainers), memory = (double)ra_data_memory(b->data);
    const ra_train_settings *settings = ra_trainer_settings(trainers[0]);
    if (bytes > 0 && bytes <= memory / 2) {
        for (size_t i = 0; i < b->user_count; i++)
            if (wants_windows(b, ra_trainer_settings(trainers[i]))) RA_TRY(open_windows(b, trainers, i, err));
        return RA_OK;
    }
    if (settings->shuffle && ra_data_is_large(b->data))
        ra_log(
            RA_LOG_WARNING,
            "the data (%.0f MB) are larger than the memory (%.0f MB), and so is the window of rows that this "
            "run shuffles together: the disk reads each row by itself, in the same order, which is slow",
            ra_data_bytes(b->data) / 1e6, memory / 1e6);
    return RA_OK;
}

static ra_status add_user(ra_batches *b, ra_trainer *const *trainers, size_t i, ra_error *err) {
    const ra_train_settings *settings = ra_trainer_settings(trainers[i]);
    batch_user *user = &b->users[i];
    user->from = ra_trainer_done(trainers[i]);
    user->till = ra_trainer_steps(trainers[i]);
    if (i == 0 || user->from < b->step) b->step = user->from;
    if (user->till > b->last_step) b->last_step = user->till;
    user->same_as = i;
    for (size_t j = 0; j < i && user->same_as == i; j++)
        if (same_order(settings, ra_trainer_settings(trainers[j]))) user->same_as = j;
    if (ra_trainer_settings(trainers[0])->batch_size != settings->batch_size)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "runs side by side must have the same batch_size, but it is %zu and %zu",
                ra_trainer_settings(trainers[0])->batch_size, settings->batch_size);
    const ra_window_shape shape = ra_window_shape_of(b->data, window_of(settings));
    RA_TRY(ra_order_init_blocks(&user->order, b->rows, settings->shuffle, settings->shuffle_seed, shape.rows,
                                shape.block, shape.unit, err));
    b->order_count++;
    ra_order_set_window_seed(&user->order, settings->window_seed);
    return RA_OK;
}

/* Trainers on several devices copy the batches themselves. */
static bool have_one_device(ra_trainer *const *trainers, size_t count) {
    const ra_backend *backend = ra_sae_backend(ra_trainer_sae(trainers[0]));
    bool one = !ra_backend_host_memory(backend);
    for (size_t i = 1; i < count; i++) one &= ra_sae_backend(ra_trainer_sae(trainers[i])) == backend;
    return one;
}

static ra_status prepare_device(ra_batches *b, size_t numbers, ra_error *err) {
    ra_stream stream;
    RA_TRY(ra_backend_allocate(b->backend, SLOTS * numbers * sizeof(float), &b->device, err));
    RA_TRY(ra_stream_new_for_copies(b->backend, &stream, err));
    b->copies = stream;
    for (size_t i = 0; i < SLOTS; i++) b->slots[i].device = (float *)b->device + i * numbers;
    return RA_OK;
}

static ra_status prepare(ra_batches *b, ra_trainer *const *trainers, size_t count, ra_error *err) {
    size_t d = ra_dictionary_dimensions(ra_sae_dictionary(ra_trainer_sae(trainers[0])));
    const ra_train_settings *settings = ra_trainer_settings(trainers[0]);
    b->group = ra_sae_group(ra_trainer_sae(trainers[0]));
    b->rows = ra_data_rows(b->data);
    b->batch = ra_train_batch_rows(settings, b->rows);
    b->steps_per_epoch = ra_train_steps_per_epoch(settings, b->rows);
    b->user_count = count;
    if (d != ra_data_dimensions(b->data))
        RA_FAIL(err, RA_ERR_SHAPE, "the data have %zu dimensions, but the autoencoder has %zu",
                ra_data_dimensions(b->data), d);
    void *x = NULL;
    b->backend = ra_backend_retain(ra_sae_backend(ra_trainer_sae(trainers[0])));
    RA_TRY(ra_backend_host_allocate(b->backend, SLOTS * b->batch * d * sizeof *b->x, &x, err));
    b->x = x;
    b->numbers = ra_malloc((SLOTS + 1) * b->batch, sizeof *b->numbers);
    b->users = ra_calloc(count, sizeof *b->users);
    if (!b->numbers || !b->users)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %d batches of %zu x %zu numbers", SLOTS, b->batch, d);
    for (size_t i = 0; i < SLOTS; i++)
        b->slots[i] = (ra_batch){.numbers = b->numbers + i * b->batch, .x = b->x + i * b->batch * d};
    if (have_one_device(trainers, count)) RA_TRY(prepare_device(b, b->batch * d, err));
    for (size_t i = 0; i < count; i++) RA_TRY(add_user(b, trainers, i, err));
    RA_TRY(open_all_windows(b, trainers, err));
    int failure = pthread_create(&b->reader, NULL, read_all, b);
    if (failure)
        RA_FAIL(err, RA_ERR_INTERNAL, "cannot start a thread to read the data: %s", strerror(failure));
    b->reading = true;
    return RA_OK;
}

ra_status ra_batches_open(const ra_data *data, ra_trainer *const *trainers, size_t count, ra_batches **out,
                          ra_error *err) {
    if (count == 0) RA_FAIL(err, RA_ERR_ARGUMENT, "no trainer was given; expected at least one");
    ra_batches *b = ra_calloc(1, sizeof *b);
    if (!b) RA_FAIL_MEMORY(err, "the batches of a run", sizeof *b);
    b->data = data;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    ra_status status = prepare(b, trainers, count, err);
    if (status != RA_OK) {
        ra_batches_close(b);
        return status;
    }
    *out = b;
    return RA_OK;
}

void ra_batches_close(ra_batches *b) {
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    if (b->reading) pthread_join(b->reader, NULL);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
    for (size_t i = 0; i < b->order_count; i++) ra_order_release(&b->users[i].order);
    for (size_t i = 0; b->users && i < b->user_count; i++)
        if (b->users[i].owns_windows) ra_windows_close(b->users[i].windows);
    ra_free(b->users);
    if (b->copies.backend) ra_stream_free(b->copies);
    if (b->device) ra_backend_deallocate(b->backend, b->device);
    if (b->x) ra_backend_host_deallocate(b->backend, b->x);
    if (b->backend) ra_backend_release(b->backend);
    ra_free(b->numbers);
    ra_free(b);
}

size_t ra_batches_steps_per_epoch(const ra_batches *batches) {
    return batches->steps_per_epoch;
}
