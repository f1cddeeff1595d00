/* lib/tensor/gather.c with each of the variants of lib/tensor/gather_tile.h that this machine can run; lib/base/processor.h. */
#define ra_gather_add gather_add_of_this_test
#include "tensor/gather.c"
#undef ra_gather_add
#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { ROWS = 40, MOST_COUNT = 21, GAP = 3 };

static const struct {
    const char *name;
    add_rows *add;
} variants[] = {
    {"any", add_any},
#if defined(__x86_64__) && !defined(RA_SANITIZE)
    {"avx2", add_avx2},
    {"avx512", add_avx512},
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

static const ra_dtype types[] = {RA_F32, RA_F16, RA_BF16};
enum { TYPES = sizeof types / sizeof *types };

/* Each allocation ends with its last number, so that a sanitizer sees what is read beyond. */
static void assert_sums(size_t which, ra_dtype type, size_t n, size_t count, size_t more) {
    size_t stride = n + GAP, numbers = (ROWS - 1) * stride + n, entries = count + more;
    float *rows = malloc(numbers * sizeof *rows), *y = malloc(n * sizeof *y), *before = malloc(n * sizeof *y),
          *weight = malloc((entries ? entries : 1) * sizeof *weight);
    uint32_t *index = malloc((entries ? entries : 1) * sizeof *index);
    void *narrow = malloc(numbers * ra_dtype_size(type));
    test_fill(rows, numbers, 1);
    test_fill(before, n, 2);
    test_fill(weight, entries, 3);
    for (size_t e = 0; e < entries; e++) index[e] = (uint32_t)((e * 7 + 39) % ROWS);
    ra_convert_from_f32(type, rows, narrow, numbers); /* what follows is exact in the type */
    ra_convert_to_f32(type, narrow, rows, numbers);
    memcpy(y, before, n * sizeof *y);
    const ra_gather gather = {narrow, type, stride, index, weight, count, more};
    variants[which].add(&gather, n, y);
    for (size_t j = 0; j < n; j++) {
        double sum = (double)before[j], size = fabs(sum);
        for (size_t e = 0; e < count; e++) {
            double product = (double)weight[e] * (double)rows[index[e] * stride + j];
            sum += product, size += fabs(product);
        }
        ck_assert_msg(fabs((double)y[j] - sum) <= 1e-6 * size,
                      "%s: number %zu of %zu, %zu rows: %g, expected %g", variants[which].name, j, n, count,
                      (double)y[j], sum);
    }
    free(rows), free(y), free(before), free(weight), free(index), free(narrow);
}

START_TEST(test_sums_are_right_at_every_size) {
    size_t which = (size_t)_i;
    if (!can_run(which)) return;
    for (size_t t = 0; t < TYPES; t++) {
        for (size_t n = 1; n <= 40; n++) assert_sums(which, types[t], n, 5, 2);
        for (size_t n = 90; n <= 900; n += 31) assert_sums(which, types[t], n, 9, 0);
        for (size_t count = 0; count <= MOST_COUNT; count++)
            assert_sums(which, types[t], 100, count, count % 3);
    }
}
END_TEST

/* One sum per number, in the order of the rows: whatever the width of the vectors. */
START_TEST(test_vector_width_changes_no_bit) {
    enum { N = 777, COUNT = 50 };
    float *rows = malloc((size_t)ROWS * N * sizeof *rows), weight[COUNT], first[N], second[N];
    uint32_t index[COUNT];
    test_fill(rows, (size_t)ROWS * N, 4);
    test_fill(weight, COUNT, 5);
    test_fill(first, N, 6);
    memcpy(second, first, sizeof first);
    for (uint32_t e = 0; e < COUNT; e++) index[e] = e * 11 % ROWS;
    const ra_gather gather = {rows, RA_F32, N, index, weight, COUNT, 0};
    if (VARIANTS > 2 && can_run(VARIANTS - 1)) {
        variants[VARIANTS - 2].add(&gather, N, first);
        variants[VARIANTS - 1].add(&gather, N, second);
        ck_assert_mem_eq(first, second, sizeof first);
    }
    free(rows);
}
END_TEST

/* A machine with the vectors of a level has those of the lower one, and the compiler's own name for it, where it has one, agrees. */
START_TEST(test_levels_of_processors) {
#if defined(__x86_64__) && !defined(__clang__)
    ck_assert(ra_processor_is_v3() || !ra_processor_is_v4());
    ck_assert_int_eq(ra_processor_is_v3(), !!__builtin_cpu_supports("x86-64-v3"));
    ck_assert_int_eq(ra_processor_is_v4(), !!__builtin_cpu_supports("x86-64-v4"));
#endif
}
END_TEST

TEST_CASES(gather, test_vector_width_changes_no_bit, test_levels_of_processors)
TEST_CASES_LOOP(gather_variants, 60, VARIANTS, test_sums_are_right_at_every_size)
