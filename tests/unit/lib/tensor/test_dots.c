/* lib/tensor/dots.c with each of the variants of lib/tensor/dots_tile.h that this machine can run. */
#define ra_dots_run dots_run_of_this_test
#define ra_dots_most_rows dots_most_rows_of_this_test
#include "tensor/dots.c"
#undef ra_dots_run
#undef ra_dots_most_rows
#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { MOST_M = 14, MOST_N = 11, MOST_K = 70, GAP = 3 };

static const struct {
    const char *name;
    void (*run)(const ra_dots *p, const target *to);
} variants[] = {
    {"any", run_any},
#if defined(__x86_64__) && !defined(RA_SANITIZE)
    {"avx2", run_avx2},
    {"avx512", run_avx512},
#endif
};

enum { VARIANTS = sizeof variants / sizeof *variants };

static bool can_run(size_t which) {
#if defined(__x86_64__) && !defined(RA_SANITIZE)
    if (which == 1) return ra_processor_is_v3();
    if (which == 2) return ra_processor_is_v4();
#endif
    return which == 0;
}

/* Rows end where their allocation ends, so that a sanitizer sees what is read beyond. */
static float *rows_of(size_t rows, size_t k, size_t ld, unsigned seed) {
    size_t count = (rows - 1) * ld + k;
    float *x = malloc((count ? count : 1) * sizeof *x);
    test_fill(x, count, seed);
    return x;
}

static const ra_dtype types[] = {RA_F32, RA_F16, RA_BF16};
enum { TYPES = sizeof types / sizeof *types };

/* Rounds the rows to the type, so that they are exact in it, and returns them in it. */
static void *in_type(ra_dtype type, float *x, size_t rows, size_t k, size_t ld) {
    size_t count = (rows - 1) * ld + k, bytes = count * ra_dtype_size(type);
    void *narrow = malloc(bytes ? bytes : 1);
    ra_convert_from_f32(type, x, narrow, count);
    ra_convert_to_f32(type, narrow, x, count);
    return narrow;
}

static void assert_products(size_t which, ra_dtype type, size_t m, size_t n, size_t k) {
    size_t lda = k + GAP, ldb = k + 2 * GAP, ldc = n + 1;
    float *a = rows_of(m, k, lda, 1), *b = rows_of(n, k, ldb, 2), *c = malloc(m * ldc * sizeof *c);
    void *narrow = in_type(type, b, n, k, ldb);
    const ra_dots dots = {.a = a, .b = narrow, .type = type, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb};
    for (int beta = 0; beta < 2; beta++) {
        for (size_t i = 0; i < m * ldc; i++) c[i] = beta ? 2 : NAN;
        variants[which].run(&dots, &(target){-0.5f, (float)beta * 3, c, ldc});
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++) {
                double sum = 0, size = 0;
                for (size_t l = 0; l < k; l++) {
                    double product = (double)a[i * lda + l] * (double)b[j * ldb + l];
                    sum += product, size += fabs(product);
                }
                double expected = -0.5 * sum + beta * 6, got = (double)c[i * ldc + j];
                ck_assert_msg(fabs(got - expected) <= 1e-6 * (size + 6),
                              "%s: [%zu,%zu] of %zu x %zu x %zu: %g, expected %g", variants[which].name, i, j,
                              m, n, k, got, expected);
            }
            /* what stands between the rows is not touched */
            if (i + 1 < m || beta) ck_assert(beta ? c[i * ldc + n] == 2 : isnan(c[i * ldc + n]));
        }
    }
    free(a), free(b), free(c), free(narrow);
}

START_TEST(test_products_are_right_at_every_size) {
    size_t which = (size_t)_i;
    if (!can_run(which)) return;
    for (size_t t = 0; t < TYPES; t++) {
        for (size_t m = 1; m <= MOST_M; m++)
            for (size_t n = 1; n <= MOST_N; n++) assert_products(which, types[t], m, n, 33);
        for (size_t k = 1; k <= MOST_K; k++) assert_products(which, types[t], 5, 7, k);
    }
}
END_TEST

/* A number of a narrow type is exact in float32, so nothing is rounded on the way: subnormals and large ones, too. */
START_TEST(test_narrow_types_give_the_bits_of_float32) {
    size_t which = (size_t)_i, k = MOST_K;
    if (!can_run(which)) return;
    float *a = rows_of(5, k, k, 7), *b = rows_of(9, k, k, 8), wide[45], narrow[45];
    for (size_t i = 0; i < 9 * k; i++) b[i] *= i % 5 == 0 ? 1e-6f : i % 7 == 0 ? 3e4f : 1;
    for (size_t t = 1; t < TYPES; t++) {
        void *half = in_type(types[t], b, 9, k, k);
        ra_dots dots = {.a = a, .b = b, .m = 5, .n = 9, .k = k, .lda = k, .ldb = k};
        variants[which].run(&dots, &(target){1, 0, wide, 9});
        dots.b = half, dots.type = types[t];
        variants[which].run(&dots, &(target){1, 0, narrow, 9});
        ck_assert_mem_eq(wide, narrow, sizeof wide);
        free(half);
    }
    free(a), free(b);
}
END_TEST

/* Joined requests rely on it: nobody's answer depends on who else asks. */
START_TEST(test_a_row_has_the_same_bits_alone_and_among_others) {
    size_t which = (size_t)_i, k = 53, n = MOST_N;
    if (!can_run(which)) return;
    float *a = rows_of(MOST_M, k, k, 3), *b = rows_of(n, k, k, 4), all[MOST_M * MOST_N], alone[MOST_N], one;
    ra_dots dots = {.a = a, .b = b, .m = MOST_M, .n = n, .k = k, .lda = k, .ldb = k};
    variants[which].run(&dots, &(target){1, 0, all, n});
    for (size_t i = 0; i < MOST_M; i++) {
        dots.a = a + i * k, dots.m = 1, dots.n = n, dots.b = b;
        variants[which].run(&dots, &(target){1, 0, alone, n});
        ck_assert_mem_eq(alone, all + i * n, sizeof alone);
        for (size_t j = 0; j < n; j++) {
            dots.b = b + j * k, dots.n = 1;
            variants[which].run(&dots, &(target){1, 0, &one, 1});
            ck_assert_mem_eq(&one, alone + j, sizeof one);
        }
    }
    free(a), free(b);
}
END_TEST

/* Both have fused multiply-adds; the one without rounds twice. */
START_TEST(test_vector_width_changes_no_bit) {
    float *a = rows_of(7, MOST_K, MOST_K, 5), *b = rows_of(9, MOST_K, MOST_K, 6), first[63], second[63];
    const ra_dots dots = {.a = a, .b = b, .m = 7, .n = 9, .k = MOST_K, .lda = MOST_K, .ldb = MOST_K};
    if (VARIANTS > 2 && can_run(VARIANTS - 1)) {
        variants[VARIANTS - 2].run(&dots, &(target){1, 0, first, 9});
        variants[VARIANTS - 1].run(&dots, &(target){1, 0, second, 9});
        ck_assert_mem_eq(first, second, sizeof first);
    }
    free(a), free(b);
}
END_TEST

TEST_CASES(dots, test_vector_width_changes_no_bit)
TEST_CASES_LOOP(dots_variants, 60, VARIANTS, test_products_are_right_at_every_size,
                test_narrow_types_give_the_bits_of_float32,
                test_a_row_has_the_same_bits_alone_and_among_others)
