/* Checkpoints: written now and then, at the end, and when the run is interrupted; what --resume takes from
 * them.
 *
 * With the parameters and their settings go the settings of the training, so that the file can be an --init,
 * and the state of the run, so that it can be resumed to the same bytes; no time stamp and no host. */
#include "training/training.h"

#include "ra_text.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 64, DIGEST_ROWS = 64 };

static const char rows_key[] = "train.rows", digest_key[] = "train.data", delta_key[] = "train.delta";

ra_status train_save_settings(const train_run *run, const ra_train_settings *settings,
                              ra_safetensors_writer *writer, ra_error *err) {
    ra_train_settings kept = *settings;
    if (ra_setting_known(&kept, RA_TRAIN_STEPS))
        ra_setting_forget(&kept, RA_TRAIN_EPOCHS); /* it did not count */
    RA_TRY(ra_settings_write(ra_train_settings_table(), &kept, writer, err));
    return ra_safetensors_writer_count(writer, "in_dimensions", ra_data_dimensions(run->inputs->data), err);
}

/* A delta in units of the points is kept as a number, and how it was given beside it, so that the same command line
 * can resume the run. */
static ra_status save_delta(const train_run *run, const train_model *model, ra_safetensors_writer *writer,
                            ra_error *err) {
    char given[TEXT_SIZE];
    const char *before = model->resume ? ra_safetensors_metadata(run->inputs->init, delta_key) : NULL;
    if (before) return ra_safetensors_writer_metadata(writer, delta_key, before, err);
    if (!run->plan->sae.delta_relative) return RA_OK;
    ra_setting_print(ra_sae_settings_table(), RA_SET_DELTA, &run->plan->sae, given, sizeof given);
    return ra_safetensors_writer_metadata(writer, delta_key, given, err);
}

/* ---- the data ------------------------------------------------------------------------------------------ */

/* Identifies the data by some evenly spaced rows. */
static ra_status digest_data(const ra_data *data, char digest[RA_DIGEST_SIZE], ra_error *err) {
    size_t rows = ra_data_rows(data), d = ra_data_dimensions(data),
           count = rows < DIGEST_ROWS ? rows : DIGEST_ROWS;
    ra_matrix sample;
    RA_TRY(ra_matrix_init(&sample, count, d, err));
    for (size_t i = 0; i < count; i++) ra_data_read(data, rows / count * i, 1, ra_matrix_row(&sample, i));
    ra_digest(sample.data, count * d * sizeof(float), digest);
    ra_matrix_release(&sample);
    return RA_OK;
}

ra_status train_save_data(const train_run *run, ra_safetensors_writer *writer, ra_error *err) {
    char digest[RA_DIGEST_SIZE];
    RA_TRY(digest_data(run->inputs->data, digest, err));
    RA_TRY(ra_safetensors_writer_count(writer, rows_key, ra_data_rows(run->inputs->data), err));
    return ra_safetensors_writer_metadata(writer, digest_key, digest, err);
}

size_t train_saved_rows(const ra_safetensors *file) {
    const char *rows = ra_safetensors_metadata(file, rows_key);
    return rows ? strtoull(rows, NULL, 10) : 0;
}

ra_status train_check_data(const ra_safetensors *file, const ra_data *data, ra_error *err) {
    const char *rows = ra_safetensors_metadata(file, rows_key),
               *known = ra_safetensors_metadata(file, digest_key);
    char there[TEXT_SIZE], digest[RA_DIGEST_SIZE];
    snprintf(there, sizeof there, "%zu", ra_data_rows(data));
    if (rows && strcmp(rows, there) != 0)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s was trained on %s rows, but the data has %s; a resumed run needs the same data",
                ra_safetensors_path(file), rows, there);
    RA_TRY(digest_data(data, digest, err));
    if (!known || strcmp(known, digest) == 0) return RA_OK;
    RA_FAIL(
        err, RA_ERR_ARGUMENT,
        "%s was trained on other data of the same size; a resumed run needs the same data in the same order",
        ra_safetensors_path(file));
}

/* Labels that were given at the start need not be given again. */
static ra_status keep_labels(const train_run *run, const train_model *model, ra_safetensors_writer *writer,
                             ra_error *err) {
    static const char name[] = "points.row_labels";
    const ra_tensor *lines = model->resume ? ra_safetensors_find(run->inputs->init, name) : NULL;
    return lines ? ra_safetensors_writer_tensor(writer, name, lines, err) : RA_OK;
}

/* The names of points: those of --point-labels, otherwise those of the checkpoint that the points are from. */
static ra_status store_point_labels(const train_run *run, ra_safetensors_writer *writer, ra_text *out,
                                    ra_error *err) {
    static const char name[] = "points.labels";
    const ra_labels *labels = run->inputs->point_labels;
    const ra_tensor *before = run->inputs->init ? ra_safetensors_find(run->inputs->init, name) : NULL;
    if (!labels) return before ? ra_safetensors_writer_tensor(writer, name, before, err) : RA_OK;
    for (size_t i = 0; i < ra_labels_count(labels); i++) {
        ra_text_add(out, ra_labels_at(labels, i));
        ra_text_add(out, "\n");
    }
    if (out->failed) RA_FAIL_MEMORY(err, "the labels of the points", out->size);
    const ra_tensor lines = ra_tensor_1d(RA_U8, out->data, out->size);
    return ra_safetensors_writer_tensor(writer, name, &lines, err);
}

/* ---- the history --------------------------------------------------------------------------------------- */

/* The history of a run is part of its checkpoint, so that the report of a resumed run has the whole curve.
 * Files without one start an empty history. */
enum { COLUMNS = sizeof(report_point) / sizeof(double) }; /* all of its members are doubles */
_Static_assert((int)COLUMNS == (int)RA_TRAINING_COLUMNS && (int)REPORT_POINTS == (int)RA_TRAINING_BINS,
               "a model reads the history of its checkpoint");

static const char history_name[] = "train.history", width_key[] = "train.history_width",
                  begun_key[] = "train.history_begun";

static ra_status store_history(const report_history *history, ra_safetensors_writer *writer, ra_error *err) {
    const ra_tensor points = ra_tensor_2d(RA_F64, history->points, history->count, COLUMNS);
    if (history->count == 0) return RA_OK;
    RA_TRY(ra_safetensors_writer_count(writer, width_key, history->width, err));
    RA_TRY(ra_safetensors_writer_count(writer, begun_key, history->begun, err));
    return ra_safetensors_writer_tensor(writer, history_name, &points, err);
}

static void restore_history(report_history *history, const ra_safetensors *file) {
    const ra_tensor *points = ra_safetensors_find(file, history_name);
    const char *width = ra_safetensors_metadata(file, width_key),
               *begun = ra_safetensors_metadata(file, begun_key);
    if (!points || !width || !begun || points->dtype != RA_F64 || points->rank != 2 ||
        points->shape[1] != COLUMNS || points->shape[0] > REPORT_POINTS)
        return;
    history->width = strtoull(width, NULL, 10);
    history->begun = strtoull(begun, NULL, 10);
    history->count = points->shape[0];
    memcpy(history->points, points->data, ra_tensor_bytes(points));
}

/* ---- writing ------------------------------------------------------------------------------------------- */

ra_status train_save(const train_run *run, train_model *model, ra_error *err) {
    ra_safetensors_writer *writer = NULL;
    ra_points points = {0};
    char *labels = NULL, *trace_labels = NULL;
    ra_text point_labels = {0};
    ra_status status = RA_OK;
    bool state = run->options->state;
    if (!train_run_speaks(run)) return RA_OK;
    train_log_flush(model); /* so that the log reaches as far as the checkpoint */
    RA_TRY_OUT(status, ra_safetensors_writer_new(&writer, err));
    RA_TRY_OUT(status, ra_trainer_store(model->trainer, state, writer, err));
    if (state) RA_TRY_OUT(status, store_history(&model->history, writer, err));
    if (state) RA_TRY_OUT(status, train_save_data(run, writer, err));
    bool archetypal = ra_sae_get_settings(model->sae)->dictionary == RA_DICTIONARY_ARCHETYPAL;
    bool rows = ra_dictionary_reads_candidates(ra_sae_dictionary(model->sae));
    if (rows)
        RA_TRY_OUT(status, train_mixture_store(run, model->sae, writer, &points, &labels, err));
    else if (archetypal && run->points.vectors.rows) /* other dictionaries only started on them */
        RA_TRY_OUT(status, ra_points_store(&run->points, run->inputs->labels, writer, &labels, err));
    if (archetypal && !rows && !labels) RA_TRY_OUT(status, keep_labels(run, model, writer, err));
    if (archetypal && !rows) RA_TRY_OUT(status, store_point_labels(run, writer, &point_labels, err));
    if (model->trace.atoms)
        RA_TRY_OUT(status, ra_trace_store(&model->trace, run->inputs->labels, writer, &trace_labels, err));
    if (state) RA_TRY_OUT(status, train_start_store(model, writer, err));
    RA_TRY_OUT(status, train_holdout_store(run, model, writer, err));
    if (model->agreement.atoms) RA_TRY_OUT(status, ra_agreement_store(&model->agreement, writer, err));
    RA_TRY_OUT(status, ra_data_store_standardization(run->inputs->data, writer, err));
    RA_TRY_OUT(status, train_save_settings(run, &model->settings, writer, err));
    RA_TRY_OUT(status, save_delta(run, model, writer, err));
    ra_safetensors_writer_seal(writer, NULL, NULL);
    RA_TRY_OUT(status, ra_safetensors_writer_write(writer, model->output, err));
    model->saved_step = ra_trainer_done(model->trainer);
    model->saved_at = progress_elapsed(&run->progress);
out:
    ra_safetensors_writer_free(writer);
    ra_free(labels);
    ra_free(trace_labels);
    ra_text_release(&point_labels);
    ra_points_release(&points);
    return status;
}

ra_status train_save_if_due(const train_run *run, train_model *model, ra_error *err) {
    const train_options *options = run->options;
    size_t done = ra_trainer_done(model->trainer);
    double minutes = (progress_elapsed(&run->progress) - model->saved_at) / 60;
    bool due = (options->checkpoint_steps && done - model->saved_step >= options->checkpoint_steps) ||
               (options->checkpoint_minutes && minutes >= (double)options->checkpoint_minutes);
    if (!due || done >= ra_trainer_steps(model->trainer)) return RA_OK; /* the end is saved anyway */
    return train_save(run, model, err);
}

/* ---- resuming ------------------------------------------------------------------------------------------ */

static ra_status check_settings(const ra_settings_table *table, const void *flags, const void *stored,
                                const char *path, ra_error *err) {
    for (size_t i = 0; i < table->count; i++) {
        char asked[TEXT_SIZE], kept[TEXT_SIZE] = "nothing";
        if (!ra_setting_known(flags, i)) continue;
        ra_setting_print(table, i, flags, asked, sizeof asked);
        if (ra_setting_known(stored, i)) ra_setting_print(table, i, stored, kept, sizeof kept);
        if (strcmp(asked, kept) != 0)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "--%s says %s, but the run in %s has %s; a resumed run keeps its settings (to change "
                    "them, start a "
                    "new run with --init)",
                    ra_setting_flag(&table->rows[i]).text, asked, path, kept);
    }
    return RA_OK;
}

ra_status train_check_resume(const train_options *options, const train_inputs *inputs, ra_error *err) {
    ra_sae_settings sae;
    ra_train_settings train;
    const char *path = ra_safetensors_path(inputs->init);
    RA_TRY(ra_sae_settings_read(inputs->init, &sae, err));
    RA_TRY(ra_train_settings_read(inputs->init, &train, err));
    const char *delta = ra_safetensors_metadata(inputs->init, delta_key);
    if (delta && options->model.settings.delta_relative)
        RA_TRY(ra_setting_parse(ra_sae_settings_table(), RA_SET_DELTA, &sae, delta, path, err));
    RA_TRY(check_settings(ra_sae_settings_table(), &options->model.settings, &sae, path, err));
    if (!ra_setting_known(&train, RA_TRAIN_PRECISION)) { /* an older file */
        train.precision = RA_PRECISION_FLOAT32;
        train_know(&train, RA_TRAIN_PRECISION);
    }
    ra_train_settings flags = options->train;
    ra_setting_forget(&flags, RA_TRAIN_STEPS); /* they say how long a run is, not how it goes */
    ra_setting_forget(&flags, RA_TRAIN_EPOCHS);
    return check_settings(ra_train_settings_table(), &flags, &train, path, err);
}

ra_status train_restore(const train_run *run, train_model *model, ra_error *err) {
    ra_safetensors *file = NULL;
    RA_TRY(ra_safetensors_open(model->resume, &file, err));
    ra_status status = train_check_data(file, run->inputs->data, err);
    if (status == RA_OK) status = ra_trainer_restore(model->trainer, file, err);
    if (status == RA_OK) restore_history(&model->history, file);
    ra_safetensors_free(file);
    return status;
}
