/* hidden.h - the hidden layers of a model's encoder (sae/hidden.h): read from its file, computed, written. */
#ifndef RA_MODEL_HIDDEN_H
#define RA_MODEL_HIDDEN_H

#include "ra_model.h"
#include "sae/hidden.h"

typedef struct ra_model_hidden {
    ra_hidden layers;
    ra_backend *backend; /* computes in host memory */
    /* what an artifact holds of them; the names are these */
    struct {
        ra_hidden_name name;
        ra_tensor tensor;
    } part[RA_HIDDEN_MOST * RA_ENCODER_TENSORS];
    size_t part_count;
} ra_model_hidden;

/* Reads them, if the encoder has any; its dimensions are then the outputs of the last. */
ra_status ra_model_open_hidden(ra_model *model, const ra_safetensors *file, ra_error *err);

/* *inputs <- x [rows,d] as the final block takes it: itself without hidden layers, otherwise in the workspace. */
ra_status ra_model_apply_hidden(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                                const float **inputs, ra_error *err);

#endif
