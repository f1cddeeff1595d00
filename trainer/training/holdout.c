/* The explained variance on rows that the model was not trained on: those of --holdout, a share of the data or a file.
 * The model is opened from its checkpoint and measured as `rasae eval` does. */
#include "training/training.h"

#include "common/files.h"

#include <math.h>
#include <stdlib.h>

bool train_holdout_is_file(const char *holdout, double *share) {
    char *end = NULL;
    if (!holdout) return false;
    *share = strtod(holdout, &end);
    return end == holdout || *end;
}

/* Rows as they are in the files. */
static void read_rows(const train_inputs *inputs, size_t first, size_t n, float *out) {
    if (inputs->holdout)
        ra_data_read(inputs->holdout, first, n, out);
    else
        ra_data_read_held(inputs->data, first, n, out);
}

static ra_status measure(train_run *run, ra_model *model, double *r2, ra_error *err) {
    const train_inputs *inputs = run->inputs;
    size_t rows = inputs->holdout ? ra_data_rows(inputs->holdout) : ra_data_held_rows(inputs->data);
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result;
    ra_matrix block = {0};
    bool again;
    ra_status status;
    RA_TRY_OUT(status, ra_matrix_init(&block, rows_per_block(ra_model_get_info(model)),
                                      ra_data_dimensions(inputs->data), err));
    RA_TRY_OUT(status, ra_evaluation_new(model, &(ra_evaluation_options){.basic = true}, &evaluation, err));
    for (size_t first = 0; first < rows; first += block.rows) {
        size_t count = rows - first < block.rows ? rows - first : block.rows;
        read_rows(inputs, first, count, block.data);
        RA_TRY_OUT(status, ra_evaluation_add(evaluation, block.data, count, err));
    }
    RA_TRY_OUT(status, ra_evaluation_next_pass(evaluation, &again, err));
    RA_TRY_OUT(status, ra_evaluation_finish(evaluation, &result, err));
    *r2 = result.r2;
out:
    ra_evaluation_free(evaluation);
    ra_matrix_release(&block);
    return status;
}

ra_status train_holdout(train_run *run, train_model *model, ra_error *err) {
    const ra_model_options options = {.backend = run->backend};
    ra_model *opened = NULL;
    if (!run->options->holdout || run->options->part || run->interrupted || !train_run_speaks(run))
        return RA_OK;
    progress_note(&run->progress, "measuring on rows that were held out");
    RA_TRY(ra_model_open(model->output, &options, &opened, err));
    ra_status status = measure(run, opened, &model->r2_holdout, err);
    ra_model_release(opened);
    if (status != RA_OK) return status;
    model->measured = true;
    return train_save(run, model, err); /* with the figure */
}

ra_status train_holdout_store(const train_run *run, const train_model *model, ra_safetensors_writer *writer,
                              ra_error *err) {
    const train_inputs *inputs = run->inputs;
    size_t rows = inputs->holdout ? ra_data_rows(inputs->holdout) : ra_data_held_rows(inputs->data);
    char value[32];
    if (!model->measured) return RA_OK;
    snprintf(value, sizeof value, "%.9g", model->r2_holdout);
    RA_TRY(ra_safetensors_writer_count(writer, "holdout.rows", rows, err));
    return ra_safetensors_writer_metadata(writer, "holdout.r2", value, err);
}
