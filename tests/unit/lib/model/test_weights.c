/* Models as plain weights (lib/model/weights.c): number by number, for those that are copied. tests/cli/test_export.py compares what
 * the weights compute, those with a standardization and a BatchNorm, too. */
#include "model_files.h"

#include "ra_memory.h"
#include "ra_weights.h"

#include <math.h>
#include <string.h>

#define FOLDER "tests/data/interop/"

START_TEST(test_thresholds) {
    ra_model *model = model_open(FOLDER "saelens/jumprelu");
    ra_weights weights;
    ra_ok(ra_weights_init(&weights, model, &err));
    ck_assert_uint_eq(weights.concepts, 10);
    ck_assert_uint_eq(weights.dimensions, 6);
    ck_assert(weights.center_input && weights.has_decoder_bias && !weights.folded && !weights.norm_weight);
    for (size_t k = 0; k < 10; k++) {
        ck_assert(weights.strict_thresholds[k] == nextafterf(weights.thresholds[k], -INFINITY));
        ck_assert(expf(weights.log_thresholds[k]) <= weights.thresholds[k]);
        ck_assert(expf(nextafterf(weights.log_thresholds[k], INFINITY)) > weights.thresholds[k]);
    }
    ra_weights_release(&weights);
    ck_assert_ptr_null(weights.decoder);
    ra_model_release(model);
}
END_TEST

START_TEST(test_transpose) {
    enum { ROWS = 70, COLS = 35 };
    static float m[ROWS * COLS], out[ROWS * COLS];
    for (size_t i = 0; i < ROWS * COLS; i++) m[i] = (float)i;
    ra_weights_transpose(m, ROWS, COLS, out);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++) ck_assert(out[c * ROWS + r] == m[r * COLS + c]);
}
END_TEST

START_TEST(test_a_failed_allocation) {
    ra_error err = {0};
    ra_model *model = model_open(FOLDER "saelens/topk");
    ra_weights weights = {0};
    ra_memory_fail_at(1);
    ra_status status = ra_weights_init(&weights, model, &err);
    ra_memory_fail_at(0);
    ck_assert_int_eq(status, RA_ERR_MEMORY);
    ck_assert_ptr_null(weights.memory);
    ra_model_release(model);
}
END_TEST

TEST_CASES(weights, test_thresholds, test_transpose, test_a_failed_allocation)
