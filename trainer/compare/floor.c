/* What untrained dictionaries have in common: a stability near it says nothing. */
#include "compare/compare.h"

#include "ra_memory.h"

#include <math.h>

/* D [K,d] <- random rows of the data, in the space of the atoms. */
static ra_status draw_rows(const ra_model *model, const ra_data *data, uint64_t seed, ra_matrix *D,
                           ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    const float *mean, *scale;
    uint64_t *numbers = ra_malloc(info->concepts, sizeof *numbers);
    if (!numbers) RA_FAIL_MEMORY(err, "random rows", info->concepts * sizeof *numbers);
    ra_status status = ra_points_draw(ra_data_rows(data), info->concepts, seed, numbers, err);
    if (status == RA_OK) status = ra_matrix_init(D, info->concepts, info->dimensions, err);
    if (status == RA_OK) {
        ra_data_gather(data, numbers, D->rows, D->data);
        bool standardized = ra_model_standardization(model, &mean, &scale);
        for (size_t i = 0; standardized && i < D->rows * D->cols; i++)
            D->data[i] = (D->data[i] - mean[i % D->cols]) / scale[i % D->cols];
    }
    ra_free(numbers);
    return status;
}

ra_status compare_floor(ra_backend *backend, const ra_model *model, const ra_data *data,
                        compared_floor *floor, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    ra_comparison comparison = {0};
    ra_matrix D[2] = {{0}};
    ra_status status;
    *floor = (compared_floor){NAN, NAN};
    RA_TRY(ra_compare_directions(backend, info->concepts, info->dimensions, &floor->directions, err));
    if (!data || ra_data_rows(data) < info->concepts) return RA_OK;
    for (uint64_t i = 0; i < 2; i++) RA_TRY_OUT(status, draw_rows(model, data, i + 1, &D[i], err));
    RA_TRY_OUT(status,
               ra_compare(backend, D[0].data, D[1].data, D[0].rows, D[0].cols, NULL, &comparison, err));
    floor->rows = comparison.stability_without_flips;
out:
    ra_comparison_release(&comparison);
    for (size_t i = 0; i < 2; i++) ra_matrix_release(&D[i]);
    return status;
}
