/* The course of the training. A checkpoint has it in F64, so that a resumed run goes on with the same numbers; a model keeps
 * F32, at most 72 KiB. */
#include "model/model.h"

#include <math.h>

const char ra_model_training_name[] = "train.history";

const char *const ra_training_names[RA_TRAINING_COLUMNS] = {
    [RA_TRAINING_STEP] = "step",
    [RA_TRAINING_ROWS] = "rows",
    [RA_TRAINING_LOSS] = "loss",
    [RA_TRAINING_R2] = "r2",
    [RA_TRAINING_L0] = "l0",
    [RA_TRAINING_GRAD_NORM] = "grad_norm",
    [RA_TRAINING_DEAD] = "dead",
    [RA_TRAINING_LR] = "lr",
    [RA_TRAINING_R2_PER_DIMENSION] = "r2_per_dimension",
};

/* NaN stands for an R2 that is unknown. */
static bool is_number(const float *bin, size_t column) {
    bool r2 = column == RA_TRAINING_R2 || column == RA_TRAINING_R2_PER_DIMENSION;
    return isfinite(bin[column]) || (r2 && isnan(bin[column]));
}

ra_status ra_model_open_training(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const ra_tensor *tensor = ra_safetensors_find(file, ra_model_training_name);
    const char *path = model->info.path;
    const float *values;
    float step = 0;
    if (!tensor) return RA_OK;
    RA_TRY(ra_model_check_tensor(path, ra_model_training_name, tensor,
                                 tensor->dtype == RA_F64 ? RA_F64 : RA_F32, 2, 0, RA_TRAINING_COLUMNS, err));
    if (tensor->shape[0] > RA_TRAINING_BINS)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has %zu rows; expected at most %d", path, ra_model_training_name,
                tensor->shape[0], RA_TRAINING_BINS);
    RA_TRY(ra_model_keep_f32(model, "the course of the training", tensor, &values, err));
    for (size_t i = 0; i < tensor->shape[0]; i++) {
        const float *bin = values + i * RA_TRAINING_COLUMNS;
        for (size_t c = 0; c < RA_TRAINING_COLUMNS; c++)
            if (!is_number(bin, c))
                RA_FAIL(err, RA_ERR_NOT_FINITE,
                        "%s: %s holds a NaN or an infinity at [%zu, %zu]; expected finite numbers", path,
                        ra_model_training_name, i, c);
        if (bin[RA_TRAINING_STEP] < step || bin[RA_TRAINING_STEP] < 1)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: %s holds step %g at [%zu, 0]; expected steps from 1 on, in order", path,
                    ra_model_training_name, (double)bin[RA_TRAINING_STEP], i);
        step = bin[RA_TRAINING_STEP];
    }
    model->training = values;
    model->info.training_bins = tensor->shape[0];
    return RA_OK;
}

const float *ra_model_training(const ra_model *model, size_t *bins) {
    *bins = model->info.training_bins;
    return model->training;
}
