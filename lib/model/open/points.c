/* The candidate points of a file: vectors, and the data rows nearest to each. Checkpoints of the trainer and
 * artifacts use the same names. */
#include "model/model.h"

#include <math.h>

/* C of an artifact; that of a checkpoint was read when it was fused. */
static ra_status open_vectors(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const ra_tensor *vectors = ra_safetensors_find(file, "points.vectors");
    if (!vectors || model->info.from_checkpoint) return RA_OK;
    RA_TRY(ra_model_check_tensor(model->info.path, "points.vectors", vectors, RA_MODEL_ANY_FLOAT, 2,
                                 model->info.points, model->info.dimensions, err));
    RA_TRY(ra_model_check_finite(model, "points.vectors", vectors, err));
    return ra_model_keep(model, "the points", vectors, &model->point_vectors, err);
}

/* The rows of one point: data rows, each with a distance, then only -1. */
static ra_status check_rows(const ra_model *model, size_t point, const int32_t *row, const float *distance,
                            ra_error *err) {
    const char *path = model->info.path;
    for (size_t r = 0; r < model->point_row_count; r++) {
        if (row[r] < -1 || (row[r] >= 0 && r > 0 && row[r - 1] < 0))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: points.rows holds %d at [%zu, %zu]; expected data rows from 0 on, then only -1",
                    path, row[r], point, r);
        if (row[r] >= 0 && !isfinite(distance[r]))
            RA_FAIL(
                err, RA_ERR_NOT_FINITE,
                "%s: points.row_distance holds a NaN or an infinity at [%zu, %zu]; expected finite numbers",
                path, point, r);
    }
    return RA_OK;
}

static ra_status open_rows(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const char *path = model->info.path;
    const ra_tensor *rows = ra_safetensors_find(file, "points.rows");
    const ra_tensor *distance = ra_safetensors_find(file, "points.row_distance");
    ra_tensor kept_rows, kept_distance;
    if (!rows && !distance) return RA_OK;
    if (!rows || !distance)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds points.%s without points.%s; expected both or neither", path,
                rows ? "rows" : "row_distance", rows ? "row_distance" : "rows");
    RA_TRY(ra_model_check_tensor(path, "points.rows", rows, RA_I32, 2, model->info.points, 0, err));
    RA_TRY(ra_model_check_tensor(path, "points.row_distance", distance, RA_F32, 2, model->info.points,
                                 rows->shape[1], err));
    RA_TRY(ra_model_keep(model, "the nearest rows", rows, &kept_rows, err));
    RA_TRY(ra_model_keep(model, "the nearest rows", distance, &kept_distance, err));
    model->point_row_count = rows->shape[1];
    model->point_row = kept_rows.data;
    model->point_row_distance = kept_distance.data;
    for (size_t j = 0; j < model->info.points; j++)
        RA_TRY(check_rows(model, j, model->point_row + j * rows->shape[1],
                          model->point_row_distance + j * rows->shape[1], err));
    return RA_OK;
}

ra_status ra_model_open_points(ra_model *model, const ra_safetensors *file, ra_error *err) {
    if (!model->info.points) return RA_OK;
    RA_TRY(open_vectors(model, file, err));
    return open_rows(model, file, err);
}
