/* The k largest, and the dot products that are compared (lib/model/ranking.c, lib/tensor/vectors.c). */
#include "model_files.h"

#include "model/ranking.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum { MOST = 200 };

/* Few different keys, so that there are many ties. */
static size_t make_entries(size_t n, uint64_t seed, ra_ranked *entries) {
    float keys[MOST];
    test_fill(keys, n, seed);
    for (size_t i = 0; i < n; i++) entries[i] = (ra_ranked){roundf(keys[i] * 8), (uint32_t)((i * 7919) % n)};
    return n;
}

START_TEST(test_sorts_by_falling_key_then_rising_id) {
    for (size_t n = 0; n <= MOST; n++) {
        ra_ranked entries[MOST];
        uint64_t ids = 0, expected = 0;
        make_entries(n, n, entries);
        for (size_t i = 0; i < n; i++) expected += entries[i].id;
        ra_ranking_sort(entries, n);
        for (size_t i = 0; i < n; i++) {
            ids += entries[i].id;
            if (i > 0) ck_assert(!ra_ranked_before(entries[i], entries[i - 1]));
        }
        ck_assert_uint_eq(ids, expected); /* nothing lost, nothing twice */
    }
}
END_TEST

START_TEST(test_keeps_the_first_k_of_a_stream) {
    for (size_t n = 1; n <= MOST; n += 13)
        for (size_t k = 1; k <= n; k++) {
            ra_ranked entries[MOST], kept[MOST];
            size_t count = 0;
            make_entries(n, n, entries);
            for (size_t i = 0; i < n; i++) ra_ranking_offer(kept, &count, k, entries[i]);
            ck_assert_uint_eq(count, k);
            for (size_t i = 1; i < k; i++)
                ck_assert(!ra_ranked_before(kept[0], kept[i])); /* the last comes first */
            ra_ranking_sort(entries, n);
            ra_ranking_sort(kept, k);
            for (size_t i = 0; i < k; i++)
                ck_assert(kept[i].key == entries[i].key && kept[i].id == entries[i].id);
        }
}
END_TEST

START_TEST(test_dots_are_exact_to_double_precision) {
    enum { N = 3001 };
    static float x[N], y[N];
    static double x_wide[N], y_wide[N];
    static uint16_t half[N];
    test_fill(x, N, 1);
    test_fill(y, N, 2);
    for (size_t i = 0; i < N; i++) x_wide[i] = (double)x[i];
    for (size_t i = 0; i < N; i++) y_wide[i] = (double)y[i];
    for (size_t n = 0; n <= N; n += n < 70 ? 1 : 977) {
        double expected = 0;
        for (size_t i = 0; i < n; i++) expected += (double)x[i] * (double)y[i];
        ck_assert_double_eq_tol(ra_dot_f64(x, y, n), expected, 1e-12);
        ck_assert_double_eq_tol(ra_dot_doubles(x_wide, y_wide, n), expected, 1e-12);
        ck_assert_double_eq_tol(ra_row_dot(RA_F32, x, y, n), expected, 1e-12);
    }
    for (int dtype = RA_F16; dtype <= RA_BF16; dtype++) {
        static float widened[N];
        ra_convert_from_f32((ra_dtype)dtype, x, half, N);
        ra_convert_to_f32((ra_dtype)dtype, half, widened, N);
        ck_assert_double_eq_tol(ra_row_dot((ra_dtype)dtype, half, y, N), ra_dot_f64(widened, y, N), 1e-12);
    }
}
END_TEST

START_TEST(test_finds_the_first_number_that_is_not_finite) {
    enum { ROWS = 3, COLS = 700000 }; /* more than one part */
    static float values[ROWS * COLS];
    double norm[ROWS];
    ra_pool *pool = NULL;
    ra_ok(ra_pool_new(2, 0, &pool, &err));
    ra_tensor tensor = ra_tensor_2d(RA_F32, values, ROWS, COLS);
    values[5] = 3, values[COLS] = -4;
    ck_assert_uint_eq(ra_tensor_find_not_finite(&tensor, pool), ROWS * COLS);
    ra_tensor_row_norms(&tensor, pool, norm);
    ck_assert(norm[0] == 3 && norm[1] == 4 && norm[2] == 0);
    static const size_t places[] = {ROWS * COLS - 1, 2 * COLS + 1, COLS - 1, 4096, 1, 0};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) { /* in reverse: each is the new first */
        values[places[i]] = i % 2 ? NAN : -INFINITY;
        ck_assert_uint_eq(ra_tensor_find_not_finite(&tensor, pool), places[i]);
        ck_assert_uint_eq(ra_tensor_find_not_finite(&tensor, NULL), places[i]);
        ra_tensor_row_norms(&tensor, pool, norm);
        ck_assert(!isfinite(norm[places[i] / COLS]));
    }
    ra_pool_free(pool);
}
END_TEST

TEST_CASES(model_ranking, test_sorts_by_falling_key_then_rising_id, test_keeps_the_first_k_of_a_stream)
TEST_CASES(model_vectors, test_dots_are_exact_to_double_precision,
           test_finds_the_first_number_that_is_not_finite)
