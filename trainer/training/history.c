/* The course of a run in its checkpoint: a resumed run goes on with it, so that its report has the whole
 * curve. */
#include "training/training.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = sizeof(report_point) / sizeof(double) }; /* all of its members are doubles */

static const char tensor_name[] = "train.history";
static const char *const keys[2] = {"train.history_width", "train.history_begun"};

ra_status train_history_store(train_model *model, ra_safetensors_writer *writer, ra_error *err) {
    const report_history *history = &model->history;
    const size_t values[2] = {history->width, history->begun};
    if (history->count == 0) return RA_OK;
    for (size_t i = 0; i < 2; i++) {
        snprintf(model->history_texts[i], sizeof model->history_texts[i], "%zu", values[i]);
        RA_TRY(ra_safetensors_writer_metadata(writer, keys[i], model->history_texts[i], err));
    }
    const ra_tensor points = ra_tensor_2d(RA_F64, history->points, history->count, COLUMNS);
    return ra_safetensors_writer_tensor(writer, tensor_name, &points, err);
}

void train_history_restore(train_model *model, const ra_safetensors *file) {
    report_history *history = &model->history;
    const ra_tensor *points = ra_safetensors_find(file, tensor_name);
    const char *width = ra_safetensors_metadata(file, keys[0]),
               *begun = ra_safetensors_metadata(file, keys[1]);
    if (!points || !width || !begun || points->dtype != RA_F64 || points->rank != 2 ||
        points->shape[1] != COLUMNS || points->shape[0] > REPORT_POINTS)
        return;
    history->width = strtoull(width, NULL, 10);
    history->begun = strtoull(begun, NULL, 10);
    history->count = points->shape[0];
    memcpy(history->points, points->data, ra_tensor_bytes(points));
}
