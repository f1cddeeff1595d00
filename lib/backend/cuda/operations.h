/* operations.h - the arithmetic of the CUDA backend: cuda_NAME is the operation NAME of
 * ra_backend_operations.h on an entered stream. plugin.c enters and leaves around each call. */
#ifndef RA_BACKEND_CUDA_OPERATIONS_H
#define RA_BACKEND_CUDA_OPERATIONS_H

#include "backend/cuda/context.h"

#define RA_OPERATION(name, parameters, arguments)                                                            \
    ra_status cuda_##name(ra_backend_stream *s, RA_UNPACK parameters, ra_error *err);
#include "ra_backend_operations.h"

cuda_width cuda_width_of(ra_dtype dtype); /* of F32, F16 or BF16 (dense.c) */

#endif
