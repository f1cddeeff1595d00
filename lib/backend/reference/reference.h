/* reference.h - the reference backend: every operation as the plainest correct loop, on one thread. It is the
 * oracle for all other backends (tests/unit/lib/backend/), so it is written to be obvious, not fast; sums run
 * in float64. */
#ifndef RA_BACKEND_REFERENCE_REFERENCE_H
#define RA_BACKEND_REFERENCE_REFERENCE_H

#include "backend/backend.h"

#define RA_OPERATION(name, parameters, arguments)                                                            \
    ra_status reference_##name(void *self, ra_backend_stream *stream, RA_UNPACK parameters, ra_error *err);
#include "ra_backend_operations.h"

#endif
