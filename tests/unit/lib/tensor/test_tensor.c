/* Element types, conversions, sparse codes (lib/tensor/{codes,convert,vectors}.c), and the allocator
 * (lib/base/memory.c). */
#include "harness.h"
#include "ra_memory.h"
#include "ra_tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_dtype_names) {
    ra_dtype dtype;
    ck_assert(ra_dtype_from_name("bf16", &dtype) && dtype == RA_BF16);
    ck_assert(ra_dtype_from_name("F32", &dtype) && dtype == RA_F32);
    ck_assert(!ra_dtype_from_name("F8", &dtype));
    for (int i = 0; i < RA_DTYPE_COUNT; i++) {
        ck_assert(ra_dtype_from_name(ra_dtype_name((ra_dtype)i), &dtype));
        ck_assert_int_eq(dtype, i);
    }
}
END_TEST

/* Every 16-bit pattern goes to float32 and back unchanged (a NaN stays a NaN). */
START_TEST(test_narrow_types_round_trip_over_all_patterns) {
    uint16_t *patterns = ra_malloc(65536, sizeof *patterns), *back = ra_malloc(65536, sizeof *back);
    float *wide = ra_malloc(65536, sizeof *wide);
    for (uint32_t i = 0; i < 65536; i++) patterns[i] = (uint16_t)i;
    for (ra_dtype dtype = RA_F16; dtype <= RA_BF16; dtype++) {
        ra_convert_to_f32(dtype, patterns, wide, 65536);
        ra_convert_from_f32(dtype, wide, back, 65536);
        for (uint32_t i = 0; i < 65536; i++)
            if (isnan(wide[i])) {
                float again;
                ra_convert_to_f32(dtype, &back[i], &again, 1);
                ck_assert(isnan(again));
            } else
                ck_assert_uint_eq(back[i], patterns[i]);
    }
    ra_free(patterns);
    ra_free(back);
    ra_free(wide);
}
END_TEST

START_TEST(test_rounding_is_to_nearest_even) {
    static const struct {
        ra_dtype dtype;
        float value;
        uint16_t expected;
    } table[] = {
        {RA_F16, 1.0f + 0x1p-11f, 0x3c00},     /* halfway: to even, down */
        {RA_F16, 1.0f + 3 * 0x1p-11f, 0x3c02}, /* halfway: to even, up */
        {RA_F16, 1.0f + 0x1p-11f + 0x1p-20f, 0x3c01},
        {RA_F16, 65504, 0x7bff},
        {RA_F16, 65520, 0x7c00},    /* overflows */
        {RA_F16, 0x1p-25f, 0x0000}, /* half of the smallest subnormal: to even */
        {RA_BF16, 1.0f + 0x1p-8f, 0x3f80},
        {RA_BF16, 1.0f + 3 * 0x1p-8f, 0x3f82},
        {RA_BF16, -0.0f, 0x8000},
        {RA_BF16, INFINITY, 0x7f80},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint16_t bits;
        ra_convert_from_f32(table[i].dtype, &table[i].value, &bits, 1);
        ck_assert_uint_eq(bits, table[i].expected);
    }
}
END_TEST

/* Between two neighbors of float16, subnormals and infinity among them: halfway to the even one, a little
 * less or more to the nearer one. */
START_TEST(test_every_float16_is_rounded_to) {
    for (uint32_t i = 0; i < 0x7c00; i++) {
        uint16_t pattern[2] = {(uint16_t)i, (uint16_t)(i + 1)}, found[6];
        float wide[2];
        ra_convert_to_f32(RA_F16, pattern, wide, 2);
        if (i + 1 == 0x7c00) wide[1] = 65536; /* where the next one would be */
        float middle = (wide[0] + wide[1]) / 2;
        const float values[6] = {nextafterf(middle, 0),  middle,  nextafterf(middle, INFINITY),
                                 -nextafterf(middle, 0), -middle, -nextafterf(middle, INFINITY)};
        ra_convert_from_f32(RA_F16, values, found, 6);
        for (uint32_t j = 0; j < 6; j++) {
            uint32_t up = j % 3 == 1 ? i & 1 : j % 3 == 2;
            ck_assert_uint_eq(found[j], (i + up) | (j < 3 ? 0 : 0x8000));
        }
    }
}
END_TEST

START_TEST(test_finds_the_first_value_that_is_not_finite) {
    enum { COUNT = 10000 };
    float *values = ra_calloc(COUNT, sizeof *values);
    ck_assert_uint_eq(ra_find_not_finite(values, COUNT), COUNT);
    static const size_t places[] = {0, 1, 4095, 4096, 9999};
    for (size_t i = 0; i < 5; i++) {
        values[places[i]] = i % 2 ? NAN : -INFINITY;
        ck_assert_uint_eq(ra_find_not_finite(values, COUNT), places[i]);
        values[places[i]] = 3e38f;
    }
    ra_free(values);
}
END_TEST

START_TEST(test_codes_to_dense_and_back) {
    static const float z[2 * 4] = {0, 1, 0, -2, 0, 0, 0, 0};
    float back[8];
    ra_codes codes = {0};
    ra_ok(ra_codes_from_dense(&codes, z, 2, 4, &err));
    ck_assert_uint_eq(ra_codes_entries(&codes), 2);
    ck_assert_int_eq(codes.index[1], 3);
    ck_assert_uint_eq(codes.start[2], 2);
    ra_codes_to_dense(&codes, back);
    ck_assert_mem_eq(back, z, sizeof z);
    ra_codes_release(&codes);
}
END_TEST

/* Rows of any length, with entries at the ends of what is looked at together; zeros with a sign are none. */
START_TEST(test_codes_of_long_rows) {
    enum { MOST = 200 };
    for (size_t latents = 1; latents <= MOST; latents++) {
        static float z[2 * MOST], back[2 * MOST];
        ra_codes codes = {0};
        size_t entries = 0, used = 0;
        for (size_t i = 0; i < 2 * latents; i++) {
            bool active = i == 0 || i % 64 == 63 || i % 64 == 0 || i + 1 == latents || i + 1 == 2 * latents;
            z[i] = active ? (float)(i + 1) : i % 3 ? 0.f : -0.f;
            entries += active;
        }
        ra_ok(ra_codes_from_dense(&codes, z, 2, latents, &err));
        ck_assert_uint_eq(ra_codes_entries(&codes), entries);
        for (size_t i = 0; i < 2 * latents; i++) {
            if (z[i] == 0) continue;
            ck_assert_int_eq(codes.index[used], (int)(i % latents));
            ck_assert_float_eq(codes.value[used++], z[i]);
        }
        ra_codes_to_dense(&codes, back);
        for (size_t i = 0; i < 2 * latents; i++) ck_assert_float_eq(back[i], z[i]);
        ra_codes_release(&codes);
    }
}
END_TEST

static void expect_dense(const ra_codes *codes, const float *z, size_t rows) {
    float dense[6 * 4];
    ck_assert_uint_eq(codes->rows, rows);
    ck_assert_uint_eq(codes->latents, 4);
    ck_assert_uint_eq(codes->start[0], 0);
    ra_codes_to_dense(codes, dense);
    ck_assert_mem_eq(dense, z, rows * 4 * sizeof *z);
}

START_TEST(test_codes_are_cut_and_joined) {
    static const float z[6 * 4] = {0, 1, 0, -2, /**/ 0, 0, 0, 0, /**/ 5, 3, 0, 4,
                                   0, 0, 0, 0,  /**/ 6, 0, 0, 0, /**/ 0, 0, 0, 0};
    ra_codes codes = {0}, part = {0}, joined = {0};
    ra_ok(ra_codes_from_dense(&codes, z, 6, 4, &err));
    for (size_t size = 1; size <= 6; size++) {
        ra_ok(ra_codes_reserve(&joined, 0, 4, 0, &err));
        for (size_t first = 0; first < 6; first += size) {
            size_t rows = 6 - first < size ? 6 - first : size;
            ra_ok(ra_codes_slice(&codes, first, rows, &part, &err));
            expect_dense(&part, z + first * 4, rows);
            ra_ok(ra_codes_append(&joined, &part, &err));
            expect_dense(&joined, z, first + rows);
        }
    }
    ra_ok(ra_codes_slice(&codes, 6, 0, &part, &err));
    ck_assert_uint_eq(part.rows, 0);
    ra_ok(ra_codes_append(&joined, &part, &err));
    expect_dense(&joined, z, 6);
    ra_codes_release(&codes);
    ra_codes_release(&part);
    ra_codes_release(&joined);
}
END_TEST

START_TEST(test_codes_that_find_no_memory_stay_as_they_are) {
    static const float z[3] = {1, 2, 3};
    for (size_t n = 1; n <= 3; n++) {
        ra_codes codes = {0}, more = {0};
        ra_ok(ra_codes_from_dense(&codes, z, 1, 3, &err));
        ra_ok(ra_codes_from_dense(&more, z, 1, 3, &err));
        ra_memory_fail_at(n);
        ra_status status = ra_codes_append(&codes, &more, NULL);
        ra_memory_fail_at(0);
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ck_assert_uint_eq(codes.rows, 1);
        ck_assert_mem_eq(codes.value, z, sizeof z);
        ra_ok(ra_codes_append(&codes, &more, &err));
        ck_assert_uint_eq(ra_codes_entries(&codes), 6);
        ra_codes_release(&codes);
        ra_codes_release(&more);
    }
}
END_TEST

START_TEST(test_shapes_as_text) {
    char buffer[32];
    ck_assert_str_eq(ra_shape_text(2, (size_t[]){3, 4}, buffer, sizeof buffer), "[3, 4]");
    ck_assert_str_eq(ra_shape_text(0, NULL, buffer, sizeof buffer), "[]");
    ck_assert_str_eq(ra_shape_text(2, (size_t[]){3, 4}, buffer, 5), "[3, ");
}
END_TEST

START_TEST(test_codes_by_latent_are_the_transposed_matrix) {
    static const float z[3 * 4] = {0, 1, 0, -2, /**/ 0, 0, 0, 0, /**/ 5, 3, 0, 4};
    static const float others[5] = {10, 20, 30, 40, 50};
    size_t start[5] = {9, 9, 9, 9, 9};
    uint32_t row[5];
    float sorted[5];
    ra_codes codes = {0};
    ra_ok(ra_codes_from_dense(&codes, z, 3, 4, &err));
    ra_codes_by_latent(&codes, codes.value, start, row, sorted);
    ck_assert_mem_eq(start, ((const size_t[5]){0, 1, 3, 3, 5}), sizeof start);
    ck_assert_mem_eq(row, ((const uint32_t[5]){2, 0, 2, 0, 2}), sizeof row);
    ck_assert_mem_eq(sorted, ((const float[5]){5, 1, 3, -2, 4}), sizeof sorted);
    ra_codes_by_latent(&codes, others, start, row, sorted);
    ck_assert_mem_eq(start, ((const size_t[5]){0, 1, 3, 3, 5}), sizeof start);
    ck_assert_mem_eq(sorted, ((const float[5]){30, 10, 40, 20, 50}), sizeof sorted);
    ra_codes_release(&codes);
}
END_TEST

START_TEST(test_the_allocator_checks_sizes_and_aligns) {
    ck_assert_ptr_null(ra_malloc(SIZE_MAX / 2, 4));
    ck_assert_ptr_null(ra_malloc(SIZE_MAX, 1));
    for (size_t size = 0; size < 300; size += 37) {
        char *block = ra_malloc(size, 1);
        ck_assert_uint_eq((uintptr_t)block % RA_MEMORY_ALIGNMENT, 0);
        memset(block, 1, size);
        block = ra_realloc(block, size + 5, 1);
        for (size_t i = 0; i < size; i++) ck_assert_int_eq(block[i], 1);
        ra_free(block);
    }
    ra_free(NULL);
    ra_memory_fail_at(2);
    void *first = ra_malloc(1, 1);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(ra_calloc(1, 1));
    ck_assert_uint_eq(ra_memory_fail_at(0), 2);
    ra_free(first);
}
END_TEST

START_TEST(test_a_large_matrix_is_refused_not_wrapped) {
    ra_matrix matrix;
    ra_fails(ra_matrix_init(&matrix, SIZE_MAX / 2, 3, &err), RA_ERR_TOO_LARGE, "too large");
    ra_fails(ra_matrix_init(&matrix, SIZE_MAX / 16, 8, &err), RA_ERR_MEMORY, "out of memory");
    ck_assert_ptr_null(matrix.data);
}
END_TEST

TEST_CASES(tensor, test_dtype_names, test_narrow_types_round_trip_over_all_patterns,
           test_rounding_is_to_nearest_even, test_every_float16_is_rounded_to,
           test_finds_the_first_value_that_is_not_finite, test_codes_to_dense_and_back,
           test_codes_of_long_rows, test_codes_are_cut_and_joined,
           test_codes_that_find_no_memory_stay_as_they_are, test_codes_by_latent_are_the_transposed_matrix,
           test_shapes_as_text, test_the_allocator_checks_sizes_and_aligns,
           test_a_large_matrix_is_refused_not_wrapped)
