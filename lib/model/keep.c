/* What a model keeps of a file: views into the mapping of an artifact, copies of a checkpoint's. Blocks
 * belong to the model and are freed with it, whatever becomes of the opening. */
#include "model/model.h"

#include <string.h>

ra_status ra_model_allocate(ra_model *model, const char *what, size_t count, size_t size, void **block,
                            ra_error *err) {
    if (model->block_count == RA_MODEL_BLOCKS)
        RA_FAIL(err, RA_ERR_INTERNAL, "a model has no place for another block (%s)", what);
    void *fresh = ra_malloc(count, size);
    if (!fresh) RA_FAIL_MEMORY(err, what, count * size);
    model->blocks[model->block_count++] = fresh;
    model->info.bytes += count * size;
    *block = fresh;
    return RA_OK;
}

ra_status ra_model_keep(ra_model *model, const char *what, const ra_tensor *tensor, ra_tensor *kept,
                        ra_error *err) {
    ra_tensor copy = *tensor;
    if (!model->file) {
        void *block = NULL;
        RA_TRY(ra_model_allocate(model, what, ra_tensor_bytes(tensor), 1, &block, err));
        memcpy(block, tensor->data, ra_tensor_bytes(tensor));
        copy.data = block;
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
    void *block = NULL;
    size_t elements = ra_tensor_elements(tensor);
    RA_TRY(ra_model_allocate(model, what, elements, sizeof(float), &block, err));
    ra_convert_to_f32(tensor->dtype, tensor->data, block, elements);
    *values = block;
    return RA_OK;
}
