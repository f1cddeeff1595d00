/* The tensors of a file on their way into a model: each is checked, then kept. What an artifact holds is used
 * in its mapping; what is kept of a checkpoint is copied. */
#include "model/model.h"
#include "tensor/vectors.h"

#include <stdio.h>
#include <string.h>

/* ---- checks ------------------------------------------------------------------------------------------- */

/* "[48, any]": a size of 0 stands for any. */
static const char *expected_text(int rank, const size_t *sizes, char *buffer, size_t size) {
    if (rank == 2 && !sizes[0] && sizes[1]) {
        snprintf(buffer, size, "[any, %zu]", sizes[1]);
        return buffer;
    }
    if (sizes[rank - 1]) return ra_shape_text(rank, sizes, buffer, size);
    if (!sizes[0]) return rank == 1 ? "[any]" : "[any, any]";
    snprintf(buffer, size, "[%zu, any]", sizes[0]);
    return buffer;
}

ra_status ra_model_check_tensor(const char *path, const char *name, const ra_tensor *tensor, int dtype,
                                int rank, size_t rows, size_t cols, ra_error *err) {
    const size_t sizes[2] = {rows, cols};
    if (dtype == RA_MODEL_ANY_FLOAT ? !ra_dtype_is_float(tensor->dtype) : (int)tensor->dtype != dtype)
        RA_FAIL(err, RA_ERR_DTYPE, "%s: %s has the type %s; expected %s", path, name,
                ra_dtype_name(tensor->dtype),
                dtype == RA_MODEL_ANY_FLOAT ? "F32, F16 or BF16" : ra_dtype_name((ra_dtype)dtype));
    bool fits = tensor->rank == rank;
    for (int i = 0; fits && i < rank; i++) fits = sizes[i] ? tensor->shape[i] == sizes[i] : true;
    char actual[96], expected[96];
    if (!fits)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has the shape %s; expected %s", path, name,
                ra_shape_text(tensor->rank, tensor->shape, actual, sizeof actual),
                expected_text(rank, sizes, expected, sizeof expected));
    for (int i = 0; i < rank; i++)
        if (tensor->shape[i] == 0 || tensor->shape[i] > INT32_MAX)
            RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has the shape %s; expected sizes from 1 to %d", path, name,
                    ra_shape_text(tensor->rank, tensor->shape, actual, sizeof actual), INT32_MAX);
    return RA_OK;
}

ra_status ra_model_check_finite(const ra_model *model, const char *name, const ra_tensor *tensor,
                                ra_error *err) {
    size_t bad = ra_tensor_find_not_finite(tensor, ra_backend_pool(model->backend));
    if (bad == ra_tensor_elements(tensor)) return RA_OK;
    size_t cols = tensor->rank == 2 ? tensor->shape[1] : 1;
    const size_t position[2] = {bad / cols, bad % cols};
    char text[64];
    RA_FAIL(err, RA_ERR_NOT_FINITE, "%s: %s holds a NaN or an infinity at %s; expected finite numbers",
            model->info.path, name, ra_shape_text(tensor->rank, position, text, sizeof text));
}

ra_status ra_model_need_setting(const ra_model *model, enum ra_sae_setting setting, ra_error *err) {
    if (ra_setting_known(&model->info.settings, setting)) return RA_OK;
    const ra_setting *row = &ra_sae_settings_table()->rows[setting];
    RA_FAIL(err, RA_ERR_SETTING, "%s: the setting %s is missing from its metadata; give it with --%s",
            model->info.path, row->key, ra_setting_flag(row).text);
}

ra_status ra_model_check_rows(const char *what, const float *x, size_t rows, size_t d, ra_error *err) {
    size_t bad = ra_find_not_finite(x, rows * d);
    if (bad == rows * d) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE,
            "%s %zu holds a NaN or an infinity at position %zu; expected finite numbers", what, bad / d,
            bad % d);
}

/* ---- memory ------------------------------------------------------------------------------------------- */

ra_status ra_model_allocate(ra_model *model, const char *what, size_t count, size_t size, void **memory,
                            ra_error *err) {
    if (model->allocation_count == RA_MODEL_ALLOCATIONS)
        RA_FAIL(err, RA_ERR_INTERNAL, "a model has no entry for another allocation (%s)", what);
    void *fresh = ra_malloc(count, size);
    if (!fresh) RA_FAIL_MEMORY(err, what, count * size);
    model->allocations[model->allocation_count++] = fresh;
    model->info.bytes += count * size;
    *memory = fresh;
    return RA_OK;
}

ra_status ra_model_keep(ra_model *model, const char *what, const ra_tensor *tensor, ra_tensor *kept,
                        ra_error *err) {
    ra_tensor copy = *tensor;
    if (!model->file) {
        void *memory = NULL;
        RA_TRY(ra_model_allocate(model, what, ra_tensor_bytes(tensor), 1, &memory, err));
        memcpy(memory, tensor->data, ra_tensor_bytes(tensor));
        copy.data = memory;
    }
    *kept = copy;
    return RA_OK;
}

ra_status ra_model_keep_f32(ra_model *model, const char *what, const ra_tensor *tensor, const float **values,
                            ra_error *err) {
    if (model->file && tensor->dtype == RA_F32) {
        *values = tensor->data;
        return RA_OK;
    }
    void *memory = NULL;
    size_t elements = ra_tensor_elements(tensor);
    RA_TRY(ra_model_allocate(model, what, elements, sizeof(float), &memory, err));
    ra_convert_to_f32(tensor->dtype, tensor->data, memory, elements);
    *values = memory;
    return RA_OK;
}
