/* The oracle is glibc: strtof is correctly rounded, and printf is exact for any number of digits. */
#include "harness.h"
#include "app/numbers.h"
#include "ra_memory.h"
#include "base/random.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bits_of(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* ---- scanning --------------------------------------------------------------------------------------- */

/* In loops over millions of numbers, a check is an `if`, because each ck_assert() writes to Check's
 * report. */

/* Scans all of `written`, in memory that ends with it, so that a sanitizer notices a read beyond the end. */
static bool scan(const char *written, float *value, ra_status *why) {
    size_t n = strlen(written);
    char *exact = malloc(n ? n : 1);
    if (!exact) ck_abort();
    memcpy(exact, written, n);
    const char *rest = number_scan_f32(exact, exact + n, value, why);
    if (rest && rest != exact + n)
        ck_abort_msg("%s: %zu characters were taken", written, (size_t)(rest - exact));
    free(exact);
    return rest;
}

static void check_like_strtof(const char *written) {
    float expected = strtof(written, NULL), value = 0;
    ra_status why = RA_OK;
    bool scanned = scan(written, &value, &why);
    if (isinf(expected) && (scanned || why != RA_ERR_NOT_FINITE))
        ck_abort_msg("%s must be refused as too large", written);
    if (!isinf(expected) && (!scanned || bits_of(value) != bits_of(expected)))
        ck_abort_msg("%s: %a instead of %a", written, value, expected);
}

/* v and its neighborhood, written in ways that are easy and hard to round. */
static void check_around(float v) {
    static const char *const formats[] = {"%.0e",  "%.3e",  "%.6e",  "%.8e",  "%.16e",
                                          "%.17e", "%.18e", "%.19e", "%.25e", "%.160e"};
    double above = nextafterf(v, v < 0 ? -INFINITY : INFINITY);
    if (isinf(above)) above = 2.0 * (v < 0 ? -0x1p127 : 0x1p127);
    double middle = ((double)v + above) / 2; /* exact in float64 */
    double numbers[] = {v, middle, nextafter(middle, 0), nextafter(middle, 2 * above)};
    char out[256];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
            snprintf(out, sizeof out, formats[f], numbers[i]);
            check_like_strtof(out);
        }
    /* The exact middle, with one more digit far to the right. */
    snprintf(out, sizeof out, "%.180e", middle);
    char *exponent = strchr(out, 'e');
    exponent[-1] = '1';
    check_like_strtof(out);
}

START_TEST(test_scans_like_strtof_at_every_exponent) {
    static const uint32_t edges[] = {0, 1, 2, 0x3fffff, 0x400000, 0x400001, 0x7ffffe, 0x7fffff};
    ra_random random;
    ra_random_seed(&random, 1);
    for (uint32_t exponent = 0; exponent < 255; exponent++)
        for (size_t i = 0; i < sizeof edges / sizeof *edges + 8; i++) {
            bool edge = i < sizeof edges / sizeof *edges;
            uint32_t mantissa = edge ? edges[i] : (uint32_t)ra_random_below(&random, 1 << 23);
            float v = from_bits(exponent << 23 | mantissa);
            check_around(i % 2 ? -v : v);
        }
}
END_TEST

START_TEST(test_scans_like_strtof_random_decimals) {
    ra_random random;
    ra_random_seed(&random, 2);
    for (int i = 0; i < 200000; i++) {
        char out[64];
        uint64_t digits = ra_random_u64(&random) >> ra_random_below(&random, 64);
        int exponent = (int)ra_random_below(&random, 130) - 75;
        snprintf(out, sizeof out, "%s%llue%d", i % 2 ? "-" : "", (unsigned long long)digits, exponent);
        check_like_strtof(out);
        snprintf(out, sizeof out, "0.%019llu", (unsigned long long)digits); /* 19 and 20 digits */
        check_like_strtof(out);
        snprintf(out, sizeof out, "%d.%llu", i % 1000, (unsigned long long)digits);
        check_like_strtof(out);
    }
}
END_TEST

START_TEST(test_ties_go_to_even) {
    static const struct {
        const char *written;
        float value;
    } cases[] = {
        {"16777217", 16777216.f},
        {"16777219", 16777220.f},
        {"-16777217", -16777216.f},
        {"16777217.0", 16777216.f},
        {"8388608.5", 8388608.f},
        {"8388609.5", 8388610.f},
        {"4194304.25", 4194304.f},
        {"33554434", 33554432.f},
        {"1.6777217e7", 16777216.f},
        {"9007199791611904", 0x1p53f},
        {"167772170e-1", 16777216.f},
        {"16777217.0000000000000000000000000000000000000001", 16777218.f},
        {"16777216.9999999999999999999999999999999999999999", 16777216.f},
        {"1.00000005960464477539062500", 1.f},
        {"1.000000059604644775390625000000000000000000000000000000000001", 1.00000012f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float value = 0;
        ra_status why;
        ck_assert(scan(cases[i].written, &value, &why));
        ck_assert_msg(bits_of(value) == bits_of(cases[i].value), "%s: %.9g", cases[i].written, value);
    }
}
END_TEST

START_TEST(test_scans_any_number_of_digits) {
    enum { MANY = 5000 };
    static char out[MANY + 512];
    float value;
    ra_status why;

    int n = snprintf(out, sizeof out, "0.%0*de%d", MANY, 1, MANY); /* 10^-MANY, times 10^MANY */
    ck_assert_int_lt(n, (int)sizeof out);
    ck_assert(scan(out, &value, &why));
    ck_assert_float_eq(value, 1);

    memset(out, '0', MANY);
    out[0] = '1';
    snprintf(out + MANY, 64, "e-%d", MANY - 1);
    ck_assert(scan(out, &value, &why));
    ck_assert_float_eq(value, 1);

    /* Half of the least subnormal is a tie, to zero; the least bit more is not. */
    n = snprintf(out, sizeof out, "%.200f", 0x1p-150);
    ck_assert(scan(out, &value, &why));
    ck_assert_uint_eq(bits_of(value), 0);
    memset(out + n, '0', MANY);
    snprintf(out + n + MANY, 8, "1");
    ck_assert(scan(out, &value, &why));
    ck_assert_uint_eq(bits_of(value), 1);
    for (int digits = 15; digits < 130; digits++) {
        snprintf(out, sizeof out, "%.*e", digits, 0x1p-150);
        check_like_strtof(out);
    }
}
END_TEST

START_TEST(test_refuses_what_is_too_large_and_keeps_what_is_tiny) {
    static const char *const large[] = {"1e999",
                                        "3.5e38",
                                        "-3.5e38",
                                        "1e39",
                                        "340282356779733661637539395458142568448",
                                        "3.4028235677973366163753939545814256845e38",
                                        "1e99999999999999999999999",
                                        "123456789012345678901234567890123456789012"};
    float value = 7;
    ra_status why;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        ck_assert_msg(!scan(large[i], &value, &why), "%s", large[i]);
        ck_assert_int_eq(why, RA_ERR_NOT_FINITE);
    }
    ck_assert(scan("340282356779733661637539395458142568447", &value, &why));
    ck_assert_float_eq(value, FLT_MAX);
    ck_assert(scan("3.40282356779733661e38", &value, &why));
    ck_assert_float_eq(value, FLT_MAX);
    static const char *const tiny[] = {"1e-46",
                                       "1e-999",
                                       "0e999999999999999999999",
                                       "0.0e-5",
                                       "1e-99999999999999999999999",
                                       "7.006492321624085e-46"};
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++) {
        ck_assert(scan(tiny[i], &value, &why));
        ck_assert_uint_eq(bits_of(value), 0);
    }
    ck_assert(scan("-1e-999", &value, &why));
    ck_assert_uint_eq(bits_of(value), 0x80000000);
    ck_assert(scan("7.006492321624086e-46", &value, &why));
    ck_assert_uint_eq(bits_of(value), 1);
}
END_TEST

START_TEST(test_the_grammar_is_that_of_json) {
    static const struct {
        const char *written;
        int taken; /* -1: refused */
    } cases[] = {
        {"0", 1},         {"-0", 2},         {"10", 2},
        {"1.5", 3},       {"-1.5e10", 7},    {"1E5", 3},
        {"1e+5", 4},      {"1e-05", 5},      {"0.10", 4},
        {"0e0", 3},       {"1,", 1},         {"1.5]", 3},
        {"1 2", 1},       {"12a", 2},        {"1.5.5", 3},
        {"1-2", 1},       {"123456789", 9},  {"1e5e5", 3},
        {"", -1},         {"-", -1},         {"+1", -1},
        {"01", -1},       {"-01", -1},       {"00", -1},
        {"1.", -1},       {".5", -1},        {"-.5", -1},
        {"1.e5", -1},     {"1e", -1},        {"1e+", -1},
        {"1ee5", -1},     {"NaN", -1},       {"nan", -1},
        {"Infinity", -1}, {"-Infinity", -1}, {"inf", -1},
        {" 1", -1},       {"--1", -1},       {"e5", -1},
        {"0x10", 1},      {"1.-5", -1},      {"012345678901234567890", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *written = cases[i].written, *end = written + strlen(written);
        float value;
        ra_status why = RA_OK;
        const char *rest = number_scan_f32(written, end, &value, &why);
        ck_assert_msg((rest ? (int)(rest - written) : -1) == cases[i].taken, "\"%s\"", written);
        if (!rest) ck_assert_int_eq(why, RA_ERR_FORMAT);
        ck_assert_ptr_eq(number_skip(written, end), rest);
    }
    static const char beyond_float32[] = "1e999";
    ck_assert_ptr_eq(number_skip(beyond_float32, beyond_float32 + 5), beyond_float32 + 5);
}
END_TEST

START_TEST(test_looks_at_nothing_beyond_the_end) {
    const char *written = "-123.456e-78";
    for (size_t n = 0; n <= strlen(written); n++) {
        char copy[16] = {0};
        memcpy(copy, written, n);
        float value = 0;
        ra_status why;
        const char *rest = number_scan_f32(written, written + n, &value, &why);
        bool complete = n && copy[n - 1] >= '0' && copy[n - 1] <= '9';
        ck_assert_int_eq(rest != NULL, complete);
        if (rest) ck_assert_uint_eq(bits_of(value), bits_of(strtof(copy, NULL)));
    }
}
END_TEST

START_TEST(test_whole_numbers) {
    static const struct {
        const char *written;
        int64_t value;
        ra_status why;
    } cases[] = {
        {"0", 0, RA_OK},
        {"-0", 0, RA_OK},
        {"42", 42, RA_OK},
        {"-7", -7, RA_OK},
        {"9223372036854775807", INT64_MAX, RA_OK},
        {"-9223372036854775808", INT64_MIN, RA_OK},
        {"9223372036854775808", 0, RA_ERR_ARGUMENT},
        {"-9223372036854775809", 0, RA_ERR_ARGUMENT},
        {"18446744073709551617", 0, RA_ERR_ARGUMENT},
        {"100000000000000000000000", 0, RA_ERR_ARGUMENT},
        {"1.0", 1, RA_OK},
        {"-12.000", -12, RA_OK},
        {"0.0", 0, RA_OK},
        {"9223372036854775808.0", 0, RA_ERR_ARGUMENT},
        {"1.5", 0, RA_ERR_FORMAT},
        {"1.01", 0, RA_ERR_FORMAT},
        {"1.0e1", 0, RA_ERR_FORMAT},
        {"1e3", 0, RA_ERR_FORMAT},
        {"01", 0, RA_ERR_FORMAT},
        {"", 0, RA_ERR_FORMAT},
        {"x", 0, RA_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *written = cases[i].written, *end = written + strlen(written);
        int64_t value = 0;
        ra_status why = RA_OK;
        const char *rest = number_scan_i64(written, end, &value, &why);
        ck_assert_msg((rest == end) == (cases[i].why == RA_OK), "\"%s\"", written);
        if (rest)
            ck_assert_int_eq(value, cases[i].value);
        else
            ck_assert_int_eq(why, cases[i].why);
    }
}
END_TEST

/* ---- printing --------------------------------------------------------------------------------------- */

static size_t check_round_trip(float v, char *out) {
    float back = 0;
    ra_status why;
    size_t n = number_print_f32(v, out);
    const char *rest = number_scan_f32(out, out + n, &back, &why);
    if (n > 15 || rest != out + n || bits_of(back) != bits_of(v))
        ck_abort_msg("%a is written %.*s", v, (int)n, out);
    return n;
}

/* The fewest digits with which "%.*e" reads back to the same number: no text of so many digits is closer. */
static void check_shortest(float v, char *out, size_t n) {
    char other[64];
    int digits = 0;
    do snprintf(other, sizeof other, "%.*e", digits++, (double)v);
    while (strtof(other, NULL) != v);
    out[n] = '\0';
    int ours = 0, zeros = 0;
    for (const char *c = out; *c && *c != 'e'; c++) {
        if (*c < '0' || *c > '9' || (*c == '0' && !ours)) continue;
        ours++;
        zeros = *c == '0' ? zeros + 1 : 0;
    }
    ours -= zeros;
    if (ours > digits) ck_abort_msg("%a is written %s, but %s is shorter", v, out, other);
    if (ours == digits && strtod(out, NULL) != strtod(other, NULL))
        ck_abort_msg("%a is written %s, but %s is closer", v, out, other);
}

START_TEST(test_two_million_random_floats_read_back) {
    ra_random random;
    ra_random_seed(&random, 3);
    char out[NUMBER_F32_MAX];
    for (int i = 0; i < 2000000; i++) {
        float v = from_bits((uint32_t)ra_random_u64(&random));
        if (!isfinite(v)) continue;
        size_t n = check_round_trip(v, out);
        if (i % 64 == 0 && v != 0) check_shortest(v, out, n);
    }
}
END_TEST

START_TEST(test_powers_of_two_and_their_neighbors) {
    char out[NUMBER_F32_MAX];
    for (int e = -149; e <= 127; e++) {
        float power = ldexpf(1, e);
        float near[] = {nextafterf(power, 0), power, nextafterf(power, INFINITY)};
        for (int i = 0; i < 3; i++) {
            if (near[i] == 0) continue;
            check_shortest(near[i], out, check_round_trip(near[i], out));
            check_round_trip(-near[i], out);
        }
    }
}
END_TEST

START_TEST(test_small_whole_numbers_and_short_fractions) {
    char out[NUMBER_F32_MAX], expected[32];
    for (int i = 1; i < 100000; i++) {
        size_t n = number_print_f32((float)i, out);
        snprintf(expected, sizeof expected, "%d", i);
        if (n != strlen(expected) || memcmp(out, expected, n) != 0)
            ck_abort_msg("%.*s instead of %s", (int)n, out, expected);
        check_shortest((float)i / 1000, out, check_round_trip((float)i / 1000, out));
    }
}
END_TEST

START_TEST(test_notation) {
    static const struct {
        float v;
        const char *written;
    } cases[] = {
        {0.f, "0"},
        {-0.f, "-0.0"},
        {1.f, "1"},
        {-1.f, "-1"},
        {0.1f, "0.1"},
        {-0.3f, "-0.3"},
        {100.f, "100"},
        {1.5f, "1.5"},
        {123456.789f, "123456.79"},
        {16777216.f, "16777216"},
        {123456792.f, "123456790"},
        {1e8f, "100000000"},
        {1e9f, "1e9"},
        {1.25e10f, "1.25e10"},
        {0.0001f, "0.0001"},
        {0.00012345679f, "0.00012345679"},
        {0.00001f, "1e-5"},
        {1e-7f, "1e-7"},
        {1.17549435e-38f, "1.1754944e-38"},
        {FLT_MAX, "3.4028235e38"},
        {-FLT_MAX, "-3.4028235e38"},
        {0x1p-149f, "1e-45"},
        {-0x1.fffffcp-127f, "-1.1754942e-38"},
        {3.1415927f, "3.1415927"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[NUMBER_F32_MAX];
        size_t n = number_print_f32(cases[i].v, out);
        ck_assert_msg(n == strlen(cases[i].written) && memcmp(out, cases[i].written, n) == 0,
                      "%.*s instead of %s", (int)n, out, cases[i].written);
    }
}
END_TEST

/* ---- into a text ------------------------------------------------------------------------------------ */

static void check_text(text *buffer, const char *expected) {
    char *block = text_detach(buffer, NULL);
    ck_assert_ptr_nonnull(block);
    ck_assert_str_eq(block, expected);
    ra_free(block);
}

START_TEST(test_numbers_and_arrays_in_a_text) {
    text out = {0};
    text_f32(&out, -2.5f);
    text_string(&out, " ");
    text_i64(&out, INT64_MIN);
    text_string(&out, " ");
    text_i64(&out, INT64_MAX);
    text_string(&out, " ");
    text_size(&out, SIZE_MAX);
    check_text(&out, "-2.5 -9223372036854775808 9223372036854775807 18446744073709551615");

    text_f32_array(&out, (float[]){1, 2.5f, -3e-9f}, 3);
    text_f32_array(&out, NULL, 0);
    text_i32_array(&out, (int32_t[]){0, INT32_MIN, INT32_MAX}, 3);
    text_i64_array(&out, (int64_t[]){-1}, 1);
    text_size_array(&out, (size_t[]){7, 100000000}, 2);
    check_text(&out, "[1,2.5,-3e-9][][0,-2147483648,2147483647][-1][7,100000000]");
}
END_TEST

START_TEST(test_integers_of_every_length) {
    char expected[32];
    uint64_t v = 0;
    for (int digits = 1; digits <= 20; digits++) {
        for (int step = -1; step <= 1; step++) {
            text out = {0};
            text_size(&out, v + (uint64_t)step);
            snprintf(expected, sizeof expected, "%llu", (unsigned long long)(v + (uint64_t)step));
            check_text(&out, expected);
        }
        v = v ? v * 10 : 10;
    }
}
END_TEST

START_TEST(test_long_arrays_read_back) {
    enum { N = 3001 };
    static float values[N];
    test_fill(values, N, 4);
    text out = {0};
    text_f32_array(&out, values, N);
    ck_assert(!out.failed);
    const char *p = out.data, *end = out.data + out.size;
    for (size_t i = 0; i < N; i++) {
        float v = 0;
        ra_status why;
        ck_assert_int_eq(*p, i ? ',' : '[');
        p = number_scan_f32(p + 1, end, &v, &why);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq(bits_of(v), bits_of(values[i]));
    }
    ck_assert_int_eq(*p, ']');
    ck_assert_ptr_eq(p + 1, end);
    text_release(&out);
}
END_TEST

START_TEST(test_short_memory_fails_the_text) {
    static const float values[1000] = {1};
    text out = {0};
    ra_memory_fail_at(2);
    text_f32_array(&out, values, 1000);
    ra_memory_fail_at(0);
    ck_assert(out.failed);
    text_f32(&out, 1);
    text_release(&out);
}
END_TEST

TEST_CASES_SLOW(numbers, 60, test_scans_like_strtof_at_every_exponent, test_scans_like_strtof_random_decimals,
                test_ties_go_to_even, test_scans_any_number_of_digits,
                test_refuses_what_is_too_large_and_keeps_what_is_tiny, test_the_grammar_is_that_of_json,
                test_looks_at_nothing_beyond_the_end, test_whole_numbers,
                test_two_million_random_floats_read_back, test_powers_of_two_and_their_neighbors,
                test_small_whole_numbers_and_short_fractions, test_notation,
                test_numbers_and_arrays_in_a_text, test_integers_of_every_length, test_long_arrays_read_back,
                test_short_memory_fails_the_text)
