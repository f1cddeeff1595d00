/* The standardization of a file: what its inputs need before its encoder. */
#include "ra_sae.h"

#include <math.h>

/* *values <- an F32 tensor [d] of finite numbers above `least`; NULL: the file has none. */
static ra_status find(const ra_safetensors *file, const char *name, size_t d, float least,
                      const float **values, ra_error *err) {
    char shape[128];
    ra_tensor tensor;
    *values = NULL;
    if (!ra_safetensors_find(file, name)) return RA_OK;
    RA_TRY(ra_safetensors_get(file, name, &tensor, err));
    if (tensor.dtype != RA_F32)
        RA_FAIL(err, RA_ERR_DTYPE, "%s: %s has the type %s; expected F32", ra_safetensors_path(file), name,
                ra_dtype_name(tensor.dtype));
    if (tensor.rank != 1 || tensor.shape[0] != d)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has the shape %s; expected [%zu]", ra_safetensors_path(file), name,
                ra_shape_text(tensor.rank, tensor.shape, shape, sizeof shape), d);
    const float *numbers = tensor.data;
    for (size_t j = 0; j < d; j++) {
        if (!isfinite(numbers[j]))
            RA_FAIL(err, RA_ERR_NOT_FINITE,
                    "%s: %s holds a NaN or an infinity at [%zu]; expected finite numbers",
                    ra_safetensors_path(file), name, j);
        if (!(numbers[j] > least))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %g at [%zu]; expected numbers above %g",
                    ra_safetensors_path(file), name, (double)numbers[j], j, (double)least);
    }
    *values = numbers;
    return RA_OK;
}

ra_status ra_standardization_find(const ra_safetensors *file, size_t d, const float **mean,
                                  const float **scale, ra_error *err) {
    static const char mean_name[] = "input.mean", scale_name[] = "input.scale";
    bool has_mean = ra_safetensors_find(file, mean_name), has_scale = ra_safetensors_find(file, scale_name);
    if (has_mean != has_scale)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds %s without %s; expected both or neither",
                ra_safetensors_path(file), has_mean ? mean_name : scale_name,
                has_mean ? scale_name : mean_name);
    RA_TRY(find(file, mean_name, d, -INFINITY, mean, err));
    return find(file, scale_name, d, 0, scale, err);
}
