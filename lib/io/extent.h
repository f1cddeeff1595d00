/* extent.h - how many bytes a shape read from a file asks for, without trusting it. */
#ifndef RA_IO_EXTENT_H
#define RA_IO_EXTENT_H

#include "ra_tensor.h"

/* The bytes of a tensor into *bytes; false when that does not fit a size_t. A size of zero anywhere makes it
 * zero, however large the others are. */
static inline bool ra_extent_bytes(const ra_tensor *tensor, size_t *bytes) {
    *bytes = ra_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] == 0) *bytes = 0;
    for (int i = 0; *bytes > 0 && i < tensor->rank; i++)
        if (__builtin_mul_overflow(*bytes, tensor->shape[i], bytes)) return false;
    return true;
}

enum { RA_SHAPE_TEXT_SIZE = RA_MAX_RANK * 22 + 3 }; /* room for ra_shape_text() of any shape */

#endif
