#include "harness.h"
#include "app/start.h"

#include <stdlib.h>

/* Otherwise this process would run its tests from the beginning. */
START_TEST(test_what_was_set_on_purpose_stands) {
    char name[] = "unit", *argv[] = {name, NULL};
    ck_assert_int_eq(setenv("OPENBLAS_CORETYPE", "Prescott", 1), 0);
    start_with_blas(argv);
    ck_assert_str_eq(getenv("OPENBLAS_CORETYPE"), "Prescott");
}
END_TEST

TEST_CASES(app_start, test_what_was_set_on_purpose_stands)
