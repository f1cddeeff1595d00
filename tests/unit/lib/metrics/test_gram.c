/* lib/metrics/gram.c against plain loops, over sizes around those of its bands and chunks. */
#include "harness.h"

#include "base/pool.h"
#include "metrics/gram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    size_t rows, d;
} shapes[] = {{1, 1}, {3, 7}, {RA_GRAM_ROWS, 64}, {RA_GRAM_ROWS + 1, 65}, {2 * RA_GRAM_ROWS + 5, 130}};

START_TEST(test_grams_equal_plain_loops_for_any_number_of_threads) {
    ra_pool *pool = NULL;
    ra_ok(ra_pool_new(3, 0, &pool, &err));
    ra_ok(ra_gram_prepare(pool, &err));
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t rows = shapes[s].rows, d = shapes[s].d;
        float *X = malloc(rows * d * sizeof *X);
        double *chunk = malloc(RA_GRAM_ROWS * d * sizeof *chunk), *gram = malloc(d * d * sizeof *gram),
               *again = malloc(d * d * sizeof *again);
        test_fill(X, rows * d, s);
        ra_gram(NULL, X, rows, d, chunk, gram);
        ra_gram(pool, X, rows, d, chunk, again);
        ck_assert_mem_eq(gram, again, d * d * sizeof *gram);
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < d; j++) {
                double sum = 0;
                for (size_t k = 0; k < rows; k++) sum += (double)X[k * d + i] * (double)X[k * d + j];
                ck_assert_double_eq_tol(gram[i * d + j], sum, 1e-13 * (double)rows);
            }
        free(X), free(chunk), free(gram), free(again);
    }
    ra_pool_free(pool);
}
END_TEST

TEST_CASES(gram, test_grams_equal_plain_loops_for_any_number_of_threads)
