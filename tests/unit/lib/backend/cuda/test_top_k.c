/* The k largest of long rows (lib/backend/cuda/top_k.cu, radix.cuh): a row in parts, in one pass or in several, whatever
 * the order of its numbers, with ties, as the reference finds them. */
#include "backend_pair.h"
#include "harness.h"

#include <math.h>
#include <string.h>

typedef float filling(size_t row, size_t j, size_t n);

static float ascending(size_t row, size_t j, size_t n) {
    (void)row;
    return (float)j / (float)n;
}
static float descending(size_t row, size_t j, size_t n) {
    return -ascending(row, j, n);
}
static float all_equal(size_t row, size_t j, size_t n) {
    (void)j, (void)n;
    return (float)row + 1;
}
static float a_few_values(size_t row, size_t j, size_t n) {
    (void)n;
    return (float)((j * 7919 + row) % 13) - 6;
}
static float scattered(size_t row, size_t j, size_t n) {
    return (float)((j * 2654435761u + row * 40503u) % n) / (float)n - 0.5f;
}
static float with_none(size_t row, size_t j, size_t n) {
    return j % 3 ? NAN : j % 2 ? -INFINITY : scattered(row, j, n);
}

static filling *const fillings[] = {ascending, descending, all_equal, a_few_values, scattered, with_none};
/* Rows in one part and in several, whose length is and is not a multiple of four. */
static const struct { size_t rows, n; } shapes[] = {{1, 20000}, {3, 17001}, {2, 3000}};
enum { FILLINGS = sizeof fillings / sizeof *fillings, SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(test_the_largest_of_long_rows) {
    static const size_t ks[] = {1, 50, 256, 257, 1500};
    size_t rows = shapes[_i % SHAPES].rows, n = shapes[_i % SHAPES].n;
    pair p = pair_open(DEVICE_EMULATED - DEVICE_CPU);
    float *scores = ra_malloc(rows * n, sizeof *scores);
    for (size_t i = 0; i < rows * n; i++) scores[i] = fillings[_i / SHAPES](i / n, i % n, n);
    float *on_scores = pair_put(&p, scores, rows * n * sizeof *scores);
    ra_codes a = {0}, b = {0};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        float above = i % 2 ? 0 : -INFINITY;
        PAIR_RUN(p, top_k, (scores, rows, n, ks[i], above, &a), (on_scores, rows, n, ks[i], above, &b));
        size_t entries = ra_codes_entries(&a);
        ck_assert_mem_eq(b.start, a.start, (rows + 1) * sizeof *a.start);
        if (entries == 0) continue;
        ck_assert_mem_eq(b.index, a.index, entries * sizeof *a.index);
        ck_assert_mem_eq(b.value, a.value, entries * sizeof *a.value);
    }
    ra_codes_release(&a);
    ra_codes_release(&b);
    pair_drop(&p, BLOCKS(on_scores));
    forget(BLOCKS(scores));
    pair_close(&p);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_top_k, 60, FILLINGS *SHAPES, test_the_largest_of_long_rows)
