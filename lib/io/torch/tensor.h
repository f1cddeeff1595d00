/* tensor.h - a tensor of a pickle, checked against its storage. */
#ifndef RA_IO_TORCH_TENSOR_H
#define RA_IO_TORCH_TENSOR_H

#include "io/torch/archive.h"
#include "io/extent.h"

enum { RA_TORCH_DESCRIPTION = RA_SHAPE_TEXT_SIZE + 96 };

typedef struct ra_torch_tensor {
    ra_status
        refusal; /* RA_OK: `tensor` is meaningful; otherwise it is foreign, and `description` says what it is */
    char description[RA_TORCH_DESCRIPTION];
    ra_tensor tensor;
    void *copy; /* of its data, the caller's to free with ra_free(); NULL: they lie in the file */
} ra_torch_tensor;

/* *tensor <- that of a value of that kind; `name` is for messages. */
ra_status ra_torch_tensor_get(ra_torch_archive *archive, const ra_pickle_value *value, const char *name,
                              bool careful, ra_torch_tensor *tensor, ra_error *err);

/* *number <- the value of a scalar, whatever its type; *found: it is a tensor of one number that can be read. */
ra_status ra_torch_number(ra_torch_archive *archive, const ra_pickle_value *value, const char *name,
                          bool *found, double *number, ra_error *err);

#endif
