/* --log: one JSON object per step.
 *
 * A run that was killed may have logged steps after its last checkpoint, which a resumed run makes again. So the log
 * is cut first: in the end it holds each step once. */
#include "training/training.h"

#include "app/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Finds where the line of the first step after `last` begins; lines are in order. */
static ra_status find_cut(FILE *log, size_t last, long *cut, ra_error *err) {
    static const char start[] = "{\"step\":";
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    *cut = 0;
    while ((length = getline(&line, &room, log)) > 0) {
        bool whole = line[length - 1] == '\n' && strncmp(line, start, sizeof start - 1) == 0;
        if (!whole || strtoull(line + sizeof start - 1, NULL, 10) > last) break;
        *cut += length;
    }
    free(line);
    return ferror(log) ? ra_error_set(err, RA_ERR_IO, "cannot read the log: %s", strerror(errno)) : RA_OK;
}

static ra_status reopen(train_model *model, ra_error *err) {
    long cut;
    model->log = fopen(model->log_path, "r+e");
    if (!model->log) return RA_OK; /* a new one, then */
    RA_TRY(find_cut(model->log, ra_trainer_done(model->trainer), &cut, err));
    if (fseek(model->log, cut, SEEK_SET) == 0 && ftruncate(fileno(model->log), cut) == 0) return RA_OK;
    RA_FAIL(err, RA_ERR_IO, "cannot shorten the log %s: %s", model->log_path, strerror(errno));
}

ra_status train_log_open(train_model *model, ra_error *err) {
    if (!model->log_path) return RA_OK;
    if (model->resume) RA_TRY(reopen(model, err));
    if (!model->log) model->log = fopen(model->log_path, "we");
    if (!model->log) RA_FAIL(err, RA_ERR_IO, "cannot write the log %s: %s", model->log_path, strerror(errno));
    return RA_OK;
}

void train_log_step(train_model *model, const ra_train_progress *step) {
    text *json = &model->log_line;
    ra_error err;
    if (!model->log) return;
    json_object(json, NULL);
    json_count(json, "step", step->step);
    json_float(json, "loss", (float)step->loss);
    json_float(json, "r2_per_dimension", (float)step->r2_per_dimension);
    json_float(json, "r2", (float)step->r2);
    json_float(json, "l0", (float)step->l0);
    json_float(json, "dead", (float)step->dead);
    json_float(json, "lr", (float)step->lr);
    json_float(json, "grad_norm", (float)step->grad_norm);
    json_object_end(json);
    text_append(json, "\n", 1);
    if (text_print(json, model->log, &err) != RA_OK && !model->log_error) model->log_error = ENOMEM;
}

void train_log_flush(train_model *model) {
    errno = 0;
    if (model->log && fflush(model->log) != 0 && !model->log_error) model->log_error = errno;
}

ra_status train_log_close(train_model *model, ra_error *err) {
    if (!model->log) return RA_OK;
    train_log_flush(model);
    bool lost = ferror(model->log) != 0 || model->log_error;
    text_release(&model->log_line);
    if (fclose(model->log) != 0) lost = true;
    model->log = NULL;
    if (!lost) return RA_OK;
    RA_FAIL(err, RA_ERR_IO, "the log %s is incomplete (%s); the model %s was written", model->log_path,
            model->log_error ? strerror(model->log_error) : "an earlier write failed", model->output);
}
