/* reference.h - the parts of the reference backend: every operation as the plainest loop that is right, on
 * one thread. It is the oracle for all others (tests/unit/test_backend*.c), so it trades speed for being
 * obvious; sums run in float64. */
#ifndef RA_BACKEND_REFERENCE_REFERENCE_H
#define RA_BACKEND_REFERENCE_REFERENCE_H

#include "backend/backend.h"

#define X(member) RA_BACKEND_TYPE(member) reference_##member;
RA_BACKEND_COMPUTES(X)
#undef X

#endif
