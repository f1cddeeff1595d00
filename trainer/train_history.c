/* The course of a run in bounded memory. */
#include "train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = sizeof(train_bin) / sizeof(double) };

static const char tensor_name[] = "train.history", stride_key[] = "train.history_stride";

static void add(train_bin *bin, const train_bin *more) {
    double *to = &bin->steps;
    const double *from = &more->steps;
    for (size_t i = 0; i < COLUMNS; i++) to[i] += from[i];
}

static void join_pairs(train_history *history) {
    for (size_t i = 0; i < TRAIN_HISTORY_BINS / 2; i++) {
        train_bin bin = history->bins[2 * i];
        add(&bin, &history->bins[2 * i + 1]);
        history->bins[i] = bin;
    }
    history->count = TRAIN_HISTORY_BINS / 2;
    history->stride *= 2;
}

void train_history_add(train_history *history, const ra_train_progress *step) {
    const train_bin one = {1, step->loss, step->r2, step->l0, step->dead, step->lr, step->grad_norm};
    if (history->stride == 0) history->stride = 1;
    bool full = history->count == 0 || history->bins[history->count - 1].steps >= (double)history->stride;
    if (full && history->count == TRAIN_HISTORY_BINS) join_pairs(history);
    if (full) history->bins[history->count++] = (train_bin){0};
    add(&history->bins[history->count - 1], &one);
}

ra_status train_history_store(train_history *history, ra_safetensors_writer *writer, ra_error *err) {
    if (history->count == 0) return RA_OK;
    const ra_tensor bins = ra_tensor_2d(RA_F64, history->bins, history->count, COLUMNS);
    snprintf(history->stride_text, sizeof history->stride_text, "%zu", history->stride);
    TRY(ra_safetensors_writer_metadata(writer, stride_key, history->stride_text, err));
    return ra_safetensors_writer_tensor(writer, tensor_name, &bins, err);
}

void train_history_restore(train_history *history, const ra_safetensors *file) {
    const ra_tensor *bins = ra_safetensors_find(file, tensor_name);
    const char *stride = ra_safetensors_metadata(file, stride_key);
    *history = (train_history){0};
    if (!bins || !stride || bins->dtype != RA_F64 || bins->rank != 2 || bins->shape[1] != COLUMNS ||
        bins->shape[0] > TRAIN_HISTORY_BINS)
        return;
    history->stride = strtoull(stride, NULL, 10);
    history->count = bins->shape[0];
    memcpy(history->bins, bins->data, ra_tensor_bytes(bins));
}
