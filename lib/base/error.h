/* error.h - the two macros that carry a failure up. */
#ifndef RA_BASE_ERROR_H
#define RA_BASE_ERROR_H

#include "ra_status.h"
#include "ra_memory.h"

/* Leaves the function with `code` and a sentence. `err` may be NULL. */
#define RA_FAIL(err, code, ...) return ra_error_set((err), (code), __VA_ARGS__)

/* Passes on the failure of `call`, whose message already says what happened. */
#define RA_TRY(call)                                                                                         \
    do {                                                                                                     \
        ra_status ra_try_status_ = (call);                                                                   \
        if (ra_try_status_ != RA_OK) return ra_try_status_;                                                  \
    } while (0)

/* The same in functions that own resources: sets `status` and jumps to the one label `out`. */
#define RA_TRY_OUT(status, call)                                                                             \
    do {                                                                                                     \
        (status) = (call);                                                                                   \
        if ((status) != RA_OK) goto out;                                                                     \
    } while (0)

/* The failure of an allocation of `bytes` for `what`. */
#define RA_FAIL_MEMORY(err, what, bytes)                                                                     \
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %s needs %zu bytes", (what), (size_t)(bytes))

#endif
