/* Checkpoints: written now and then, at the end, and when the run is interrupted; what --resume takes from
 * them.
 *
 * With the parameters and their settings go the settings of the training, so that the file can be an --init,
 * and the state of the run, so that it can be resumed to the same bytes; no time stamp and no host. */
#include "training/training.h"

#include "app/format.h"

#include <string.h>

enum { TEXT_SIZE = TRAIN_METADATA_TEXT, DIGEST_ROWS = 64 };

static const char rows_key[] = "train.rows", digest_key[] = "train.data";

ra_status train_save_settings(const train_run *run, const ra_train_settings *settings, train_metadata *texts,
                              ra_safetensors_writer *writer, ra_error *err) {
    const ra_settings_table *table = ra_train_settings_table();
    int epochs = ra_setting_by_flag(table, "epochs");
    for (size_t i = 0; i < table->count && i < TRAIN_METADATA_SETTINGS; i++) {
        if (!ra_setting_known(settings, i)) continue;
        if ((int)i == epochs && train_knows(settings, "steps")) continue; /* it was not what counted */
        ra_setting_print(table, i, settings, texts->settings[i], TEXT_SIZE);
        RA_TRY(ra_safetensors_writer_metadata(writer, table->rows[i].key, texts->settings[i], err));
    }
    snprintf(texts->dimensions, TEXT_SIZE, "%zu", ra_data_dimensions(run->inputs->data));
    return ra_safetensors_writer_metadata(writer, "in_dimensions", texts->dimensions, err);
}

/* ---- the data ------------------------------------------------------------------------------------------ */

/* What tells these data from others: some rows, evenly spaced. */
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

ra_status train_save_data(const train_run *run, train_metadata *texts, ra_safetensors_writer *writer,
                          ra_error *err) {
    RA_TRY(digest_data(run->inputs->data, texts->digest, err));
    snprintf(texts->rows, TEXT_SIZE, "%zu", ra_data_rows(run->inputs->data));
    RA_TRY(ra_safetensors_writer_metadata(writer, rows_key, texts->rows, err));
    return ra_safetensors_writer_metadata(writer, digest_key, texts->digest, err);
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

/* Labels that were given when the run began need not be given again. */
static ra_status keep_labels(const train_run *run, const train_model *model, ra_safetensors_writer *writer,
                             ra_error *err) {
    static const char name[] = "points.row_labels";
    const ra_tensor *lines = model->resume ? ra_safetensors_find(run->inputs->init, name) : NULL;
    return lines ? ra_safetensors_writer_tensor(writer, name, lines, err) : RA_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

ra_status train_save(const train_run *run, train_model *model, ra_error *err) {
    train_metadata texts;
    ra_safetensors_writer *writer = NULL;
    char *labels = NULL;
    ra_status status = RA_OK;
    bool state = !run->options->no_state;
    if (!train_run_speaks(run)) return RA_OK;
    train_log_flush(model); /* it reaches as far as the checkpoint */
    RA_TRY_OUT(status, ra_safetensors_writer_new(&writer, err));
    RA_TRY_OUT(status, ra_trainer_store(model->trainer, state, writer, err));
    if (state) RA_TRY_OUT(status, train_history_store(model, writer, err));
    if (state) RA_TRY_OUT(status, train_save_data(run, &texts, writer, err));
    bool archetypal = ra_sae_get_settings(model->sae)->dictionary == RA_DICTIONARY_ARCHETYPAL;
    if (archetypal && !ra_dictionary_mixture(ra_sae_dictionary(model->sae)) &&
        run->points.vectors.rows) /* of others they were only the start */
        RA_TRY_OUT(status, ra_points_store(&run->points, run->inputs->labels, writer, &labels, err));
    if (archetypal && !labels) RA_TRY_OUT(status, keep_labels(run, model, writer, err));
    RA_TRY_OUT(status, ra_data_store_standardization(run->inputs->data, writer, err));
    RA_TRY_OUT(status, train_save_settings(run, &model->settings, &texts, writer, err));
    RA_TRY_OUT(status, ra_safetensors_writer_write(writer, model->output, err));
    model->saved_step = ra_trainer_done(model->trainer);
    model->saved_at = progress_elapsed(&run->progress);
out:
    ra_safetensors_writer_free(writer);
    ra_free(labels);
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

/* Settings that say how long a run is, not how it goes. */
static bool is_length(const ra_setting *row) {
    return strcmp(row->key, "steps") == 0 || strcmp(row->key, "epochs") == 0;
}

static ra_status check_settings(const ra_settings_table *table, const void *flags, const void *stored,
                                const char *path, ra_error *err) {
    for (size_t i = 0; i < table->count; i++) {
        char asked[TEXT_SIZE], kept[TEXT_SIZE] = "nothing";
        if (!ra_setting_known(flags, i) || is_length(&table->rows[i])) continue;
        ra_setting_print(table, i, flags, asked, sizeof asked);
        if (ra_setting_known(stored, i)) ra_setting_print(table, i, stored, kept, sizeof kept);
        if (strcmp(asked, kept) != 0)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "--%s says %s, but the run in %s has %s; a resumed run keeps its settings (for "
                    "others, start anew with --init)",
                    table->rows[i].flag, asked, path, kept);
    }
    return RA_OK;
}

ra_status train_check_resume(const train_options *options, const train_inputs *inputs, ra_error *err) {
    ra_sae_settings sae;
    ra_train_settings train;
    const char *path = ra_safetensors_path(inputs->init);
    RA_TRY(ra_sae_settings_read(inputs->init, &sae, err));
    RA_TRY(ra_train_settings_read(inputs->init, &train, err));
    RA_TRY(check_settings(ra_sae_settings_table(), &options->model.settings, &sae, path, err));
    return check_settings(ra_train_settings_table(), &options->train, &train, path, err);
}

ra_status train_restore(const train_run *run, train_model *model, ra_error *err) {
    ra_safetensors *file = NULL;
    RA_TRY(ra_safetensors_open(model->resume, &file, err));
    ra_status status = train_check_data(file, run->inputs->data, err);
    if (status == RA_OK) status = ra_trainer_restore(model->trainer, file, err);
    if (status == RA_OK) train_history_restore(model, file);
    ra_safetensors_free(file);
    return status;
}
