/* Standardized training. Mean and scale are measured in one pass over the data, or taken from --init, since its
 * parameters are valid only with them. From then on the data return standardized rows: points, k-means and the loop
 * know nothing of it. */
#include "training/training.h"

#include "common/files.h"

#include <string.h>

static const char *name_of(int how) {
    return ra_train_settings_table()->rows[RA_TRAIN_STANDARDIZE].names[how];
}

ra_status train_plan_standardize(const train_options *options, const train_inputs *inputs,
                                 const ra_train_settings *stored, train_plan *plan, ra_error *err) {
    const float *mean, *scale;
    if (!inputs->init) return RA_OK;
    RA_TRY(ra_standardization_find(inputs->init, ra_data_dimensions(inputs->data), &mean, &scale, err));
    bool asked = ra_setting_known(&options->train, RA_TRAIN_STANDARDIZE),
         named = ra_setting_known(stored, RA_TRAIN_STANDARDIZE);
    int wanted = plan->train.standardize, there = mean ? RA_STANDARDIZE_ELEMENT : RA_STANDARDIZE_NONE;
    if (mean && named && stored->standardize != RA_STANDARDIZE_NONE) there = stored->standardize;
    if (asked && wanted != there)
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "--standardize is %s, but %s was trained with %s, and its parameters are valid only with that",
            name_of(wanted), ra_safetensors_path(inputs->init), name_of(there));
    plan->train.standardize = there;
    return RA_OK;
}

/* ---- the data ---------------------------------------------------------------------------------------- */

static ra_status measure(train_run *run, ra_error *err) {
    ra_data *data = run->inputs->data;
    ra_matrix moments = {0};
    ra_standardize how = (ra_standardize)run->plan->train.standardize;
    RA_TRY(ra_matrix_init(&moments, 2, ra_data_dimensions(data), err));
    progress_note(&run->progress, "measuring the %s",
                  how == RA_STANDARDIZE_GLOBAL ? "mean and deviation of the data"
                                               : "mean and deviation of each dimension");
    float *mean = ra_matrix_row(&moments, 0), *scale = ra_matrix_row(&moments, 1);
    ra_status status = ra_data_measure(data, run->backend, how, mean, scale, err);
    if (status == RA_OK) status = ra_data_set_standardization(data, mean, scale, err);
    ra_matrix_release(&moments);
    return status;
}

ra_status train_standardize(train_run *run, ra_error *err) {
    ra_data *data = run->inputs->data;
    const float *mean, *scale;
    if (run->plan->train.standardize == RA_STANDARDIZE_NONE) return RA_OK;
    if (!run->inputs->init) return measure(run, err);
    RA_TRY(ra_standardization_find(run->inputs->init, ra_data_dimensions(data), &mean, &scale, err));
    return ra_data_set_standardization(data, mean, scale, err);
}

/* ---- points from a file ------------------------------------------------------------------------------ */

/* Brings the vectors back to the units of the data of their checkpoint, if they come from one. */
static void undo(ra_matrix *copy, const float *mean, const float *scale) {
    for (size_t i = 0; mean && i < copy->rows; i++)
        for (size_t j = 0; j < copy->cols; j++)
            copy->data[i * copy->cols + j] = copy->data[i * copy->cols + j] * scale[j] + mean[j];
}

static bool same_numbers(const float *a, const float *b, size_t n) {
    return a && b && memcmp(a, b, n * sizeof *a) == 0;
}

/* mean, scale: of the file, or NULL. */
static ra_status change_points(const ra_data *data, const float *mean, const float *scale, ra_tensor *given,
                               ra_matrix *copy, ra_error *err) {
    size_t d = ra_data_dimensions(data);
    const float *data_mean, *data_scale;
    bool standardized = ra_data_standardization(data, &data_mean, &data_scale);
    if (!standardized && !mean) return RA_OK;
    if (same_numbers(mean, data_mean, d) && same_numbers(scale, data_scale, d)) return RA_OK;
    RA_TRY(ra_matrix_init(copy, given->shape[0], d, err));
    ra_convert_to_f32(given->dtype, given->data, copy->data, copy->rows * d);
    undo(copy, mean, scale);
    ra_data_standardize(data, copy->data, copy->rows);
    *given = ra_tensor_2d(RA_F32, copy->data, copy->rows, d);
    return RA_OK;
}

ra_status train_standardize_points(const train_run *run, ra_tensor *given, ra_matrix *copy, ra_error *err) {
    const char *path = run->options->points;
    size_t d = ra_data_dimensions(run->inputs->data);
    const float *mean = NULL, *scale = NULL;
    ra_safetensors *file = NULL;
    file_kind kind;
    if (given->rank != 2 || given->shape[1] != d || given->shape[0] == 0 || !ra_dtype_is_data(given->dtype))
        return RA_OK; /* refused where they are used */
    RA_TRY(file_kind_of(path, &kind, err));
    if (kind == FILE_OTHER) RA_TRY(ra_safetensors_open(path, &file, err));
    ra_status status = file ? ra_standardization_find(file, d, &mean, &scale, err) : RA_OK;
    if (status == RA_OK) status = change_points(run->inputs->data, mean, scale, given, copy, err);
    ra_safetensors_free(file);
    return status;
}
