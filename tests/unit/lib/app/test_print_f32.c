/* lib/app/{print_f32,powers}.c, with each of the variants of print_f32_lanes.h that this machine can run. */
#include "numbers/variants.h"
#include "harness.h"
#include "base/random.h"
#include "app/text.h"
#include "app/numbers.h"

#include <math.h>
#include <stdlib.h>

enum { MANY = 4096 };

static float from_bits(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Each number as number_print_f32() has it, and a comma. */
static size_t expected_of(const float *values, size_t n, char *out) {
    char *p = out;
    for (size_t i = 0; i < n; i++) {
        p += number_print_f32(values[i], p);
        *p++ = ',';
    }
    return (size_t)(p - out);
}

static void assert_prints(const float *values, size_t n) {
    size_t room = n * (NUMBER_F32_MAX + 1);
    char *expected = malloc(room + 1), *out = malloc(room + 1); /* the row may write up to there */
    if (!expected || !out) ck_abort();
    size_t size = expected_of(values, n, expected);
    for (size_t v = 0; v < PRINT_VARIANTS; v++) {
        if (!can_print(v)) continue;
        memset(out, '?', room + 1);
        size_t printed = print_variants[v].print(values, n, out);
        if (printed != size || memcmp(out, expected, size) != 0)
            ck_abort_msg("%s writes\n%.*s instead of\n%.*s", print_variants[v].name, (int)printed, out,
                         (int)size, expected);
        ck_assert_int_eq(out[room], '?');
    }
    free(expected);
    free(out);
}

/* Every exponent with mantissas that are easy and hard, so every form and every length; what is no number among them. */
START_TEST(test_prints_each_form_as_alone) {
    static const uint32_t edges[] = {0, 1, 2, 3, 0x3fffff, 0x400000, 0x400001, 0x7ffffe, 0x7fffff};
    enum { EDGES = sizeof edges / sizeof *edges, EACH = EDGES + 23 };
    static float values[256 * EACH];
    ra_random random;
    ra_random_seed(&random, 1);
    size_t n = 0;
    for (uint32_t exponent = 0; exponent < 256; exponent++)
        for (uint32_t i = 0; i < EACH; i++) {
            uint32_t mantissa = i < EDGES ? edges[i] : (uint32_t)ra_random_below(&random, 1 << 23);
            values[n++] = from_bits((uint32_t)ra_random_below(&random, 2) << 31 | exponent << 23 | mantissa);
        }
    assert_prints(values, n);
}
END_TEST

/* Numbers of few digits, as people write them: 1e-12 .. 999e12. */
START_TEST(test_prints_round_numbers_as_alone) {
    static float values[999 * 25];
    size_t n = 0;
    for (int exponent = -12; exponent <= 12; exponent++)
        for (int i = 1; i < 1000; i++) values[n++] = (float)(i * pow(10, exponent)) * (i % 2 ? 1 : -1);
    assert_prints(values, n);
}
END_TEST

START_TEST(test_prints_random_bits_as_alone) {
    static float values[MANY];
    ra_random random;
    ra_random_seed(&random, 2);
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < MANY; i++) values[i] = from_bits((uint32_t)ra_random_u64(&random));
        assert_prints(values, MANY);
    }
}
END_TEST

/* A number that is printed by itself stands at each place of a vector, and rows end anywhere. */
START_TEST(test_prints_rows_of_any_length) {
    static const float odd[] = {0.f, -0.f, 0x1p-149f, -0x1.8p-140f, INFINITY, -INFINITY, NAN};
    float values[3 * ROW_BLOCK];
    for (size_t n = 0; n <= 2 * ROW_BLOCK + 9; n++)
        for (size_t which = 0; which < sizeof odd / sizeof *odd; which++) {
            for (size_t i = 0; i < n; i++) values[i] = (float)i * 0.37f + 1e-3f;
            if (n) values[(n * 7 + which) % n] = odd[which];
            assert_prints(values, n);
        }
}
END_TEST

START_TEST(test_arrays_end_with_a_bracket) {
    static const struct {
        size_t n;
        const char *text;
    } cases[] = {{0, "[]"}, {1, "[0.5]"}, {2, "[0.5,-0.0]"}, {4, "[0.5,-0.0,0,1e-7]"}};
    static const float values[] = {0.5f, -0.f, 0, 1e-7f};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text out = {0};
        text_f32_array(&out, values, cases[i].n);
        ck_assert_uint_eq(out.size, strlen(cases[i].text));
        ck_assert_mem_eq(out.data, cases[i].text, out.size);
        text_release(&out);
    }
}
END_TEST

TEST_CASES(print_f32, test_prints_each_form_as_alone, test_prints_round_numbers_as_alone,
           test_prints_random_bits_as_alone, test_prints_rows_of_any_length, test_arrays_end_with_a_bracket)
