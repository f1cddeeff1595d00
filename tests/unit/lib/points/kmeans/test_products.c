/* lib/points/kmeans/products.c: scores are as near as is told, and the same wherever they are computed. */
#include "harness.h"

#include "data_files.h"
#include "devices.h"
#include "points/kmeans/products.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE = 1100, CAPACITY = 70 };

static const struct {
    size_t d, candidates, rows;
} shapes[] = {{3, 5, SAMPLE}, {64, CAPACITY, 97}, {70, 65, SAMPLE}, {768, 9, 1025}, {1040, 1, 48}};

enum { SHAPES = sizeof shapes / sizeof *shapes };

static const struct {
    const char *name;
    size_t threads;
} backends[] = {{"cpu", 1}, {"cpu", 3}, {"reference", 1}, {"cuda-emulated", 1}};

enum { BACKENDS = sizeof backends / sizeof *backends };

/* Rows of several scales; rows of zeros. */
static float *make_sample(size_t d) {
    float *x = malloc(SAMPLE * d * sizeof *x);
    test_fill(x, SAMPLE * d, d);
    for (size_t i = 0; i < SAMPLE * d; i++) x[i] *= i / d % 9 == 1 ? 100 : i / d % 9 == 4 ? 0 : 1;
    return x;
}

static void assert_near(const ra_seed_products *products, const size_t *positions, size_t count, size_t rows,
                        const float *score) {
    size_t d = products->d;
    double share = ra_filter_share(products->backend, d);
    for (size_t c = 0; c < count; c++)
        for (size_t i = 0; i < rows; i++) {
            size_t at = positions[c];
            const float *x = products->vector + at * d, *y = products->vector + i * d;
            double lost = (double)products->lost[at] * (double)products->whole[i] +
                          (double)products->whole[at] * (double)products->lost[i],
                   norms = ra_dot_f64(x, x, d) + ra_dot_f64(y, y, d);
            ck_assert_double_eq_tol((double)score[c * rows + i], -2 * ra_dot_f64(x, y, d),
                                    2 * lost + share * norms + 1e-30);
            ck_assert_double_le(lost, 0.02 * norms); /* 1 / 127 twice, of halves of a step at most */
        }
}

START_TEST(test_scores_are_near_and_the_same_everywhere) {
    size_t d = shapes[_i].d, count = shapes[_i].candidates, rows = shapes[_i].rows, entries = count * rows;
    float *x = make_sample(d), *score[BACKENDS];
    size_t positions[CAPACITY];
    for (size_t c = 0; c < count; c++) positions[c] = c * 31 % SAMPLE;
    for (size_t b = 0; b < BACKENDS; b++) {
        ra_backend *backend =
            device_open_named(backends[b].name, &(ra_backend_options){.threads = backends[b].threads});
        ra_seed_products products;
        ra_ok(ra_seed_products_init(&products, backend, x, SAMPLE, d, CAPACITY, &err));
        score[b] = malloc(entries * sizeof(float));
        for (int again = 0; again < 2; again++) /* what was there before leaves nothing behind */
            ra_ok(ra_seed_scores(&products, again ? positions : &(size_t){7}, again ? count : 1, rows,
                                 score[b], &err));
        assert_near(&products, positions, count, rows, score[b]);
        for (size_t i = 0; d >= 64 && i < entries; i++) ck_assert_float_eq(score[0][i], score[b][i]);
        ra_seed_products_release(&products);
        ra_backend_release(backend);
    }
    for (size_t b = 0; b < BACKENDS; b++) free(score[b]);
    free(x);
}
END_TEST

static ra_status start(ra_backend *backend, const float *x, size_t d, ra_error *err) {
    ra_seed_products products;
    ra_status status = ra_seed_products_init(&products, backend, x, SAMPLE, d, CAPACITY, err);
    ra_seed_products_release(&products);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    float *x = make_sample(64);
    ra_backend *backend = backend_of("cpu", 1);
    fails_at_each_allocation(start(backend, x, 64, &err));
    fails_at_each_allocation(start(backend, x, 5, &err));
    ra_backend_release(backend);
    free(x);
}
END_TEST

TEST_CASES_LOOP(seed_products, 30, SHAPES, test_scores_are_near_and_the_same_everywhere)
TEST_CASES(seed_products_memory, test_every_allocation_may_fail)
