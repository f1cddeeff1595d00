/* extent.h - the bytes that a tensor takes whose shape comes from a file and cannot be trusted. */
#ifndef RA_IO_EXTENT_H
#define RA_IO_EXTENT_H

#include "ra_tensor.h"

/* *bytes <- the bytes of a tensor; false if they exceed a size_t. If any size is zero, so are the bytes,
 * however large the other sizes are. */
static inline bool ra_extent_bytes(const ra_tensor *tensor, size_t *bytes) {
    *bytes = ra_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] == 0) *bytes = 0;
    for (int i = 0; *bytes > 0 && i < tensor->rank; i++)
        if (__builtin_mul_overflow(*bytes, tensor->shape[i], bytes)) return false;
    return true;
}

enum { RA_SHAPE_TEXT_SIZE = RA_MAX_RANK * 22 + 3 }; /* for ra_shape_text() of any shape */

#endif
