/* failing_backend.h - the reference backend, of which one call fails when a test says so: an operation, an allocation of backend
 * memory, a copy, a wait, a stream. So a device that fails in the middle of anything is tried without a device.
 *
 *     ra_backend *backend = failing_backend_open();
 *     fails_at_each_operation(train(backend, &err));
 *     ra_backend_release(backend);
 *
 * One such backend is open at a time, and one thread uses it. */
#ifndef RA_TEST_FAILING_BACKEND_H
#define RA_TEST_FAILING_BACKEND_H

#include "harness.h"
#include "ra_backend.h"

#include <string.h>

#define FAILING_BACKEND_TEXT "the device of this test failed"

ra_backend *failing_backend_open(void);

/* The n-th call from now on fails with RA_ERR_DEVICE, those after it do not; 0: none fails. Returns how many calls there were
 * since the last time. */
size_t failing_backend_at(size_t n);

/* Fails each call of the backend that `call` makes, one at a time; each failure must be told. `call` names its error argument
 * `&err`, and gives back all that it took. */
#define fails_at_each_operation(call)                                                                        \
    do {                                                                                                     \
        for (size_t each_ = 1;; each_++) {                                                                   \
            ra_error err = {0};                                                                              \
            ck_assert_uint_lt(each_, 100000);                                                                \
            (void)failing_backend_at(each_);                                                                 \
            ra_status each_status_ = (call);                                                                 \
            bool each_reached_ = failing_backend_at(0) >= each_;                                             \
            if (!each_reached_) {                                                                            \
                ck_assert_msg(each_status_ == RA_OK, "none failed: %s", err.message);                        \
                ck_assert_uint_gt(each_, 1);                                                                 \
                break;                                                                                       \
            }                                                                                                \
            ck_assert_msg(each_status_ == RA_ERR_DEVICE, "operation %zu: %s: %s", each_,                     \
                          ra_status_text(each_status_), err.message);                                        \
            ck_assert_msg(strstr(err.message, FAILING_BACKEND_TEXT), "operation %zu: %s", each_,             \
                          err.message);                                                                      \
        }                                                                                                    \
    } while (0)

#endif
