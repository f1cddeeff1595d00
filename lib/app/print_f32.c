/* Printing float32.
 *
 * A float32 v = c * 2^q owns the interval halfway to its neighbors; every decimal in it reads back as v (its ends belong to
 * it when c is even, since ties go to even). With 10^k <= width < 10^(k+1) the interval holds at least one multiple of 10^k
 * and at most one of 10^(k+1). So: the multiple of 10^(k+1) if it is inside, otherwise of the two multiples of 10^k around v
 * the one inside, or the nearer one. No search, no loop over digits; this is the method of R. Giulietti, "The Schubfach way
 * to render doubles" (2020). The products are rounded to odd: the last bit says whether anything was cut off, so comparisons
 * with integers stay exact.
 *
 * The method needs no branch, so several numbers go through it side by side in a vector (print_f32_lanes.h), which takes a
 * fifth of the instructions. What a number looks like follows from its exponent and how many digits it has: a table says
 * for each of these forms from where its characters come, and one instruction moves them there.
 *
 * `make check-numbers` compares every float32 there is with std::to_chars. */
#include "app/print_f32.h"
#include "app/digits.h"
#include "app/powers.h"

#include <stdbool.h>

/* ---- one number ---------------------------------------------------------------------------------------- */

/* significand * 10^exponent; the significand may end in zeros. */
typedef struct short_decimal {
    uint32_t significand;
    int exponent;
} short_decimal;

/* factor * 10^-k * 2^..., whose integer part is wanted: the upper half of the product, rounded to odd. The
 * power is one unit too large, never too small, so a product that should be whole has a tiny fraction. No
 * float32 has a true fraction that small, which tells the two apart: below 2^-31 it counts as none. */
static inline uint32_t scale(uint64_t power_above, uint32_t factor) {
    unsigned __int128 product = (unsigned __int128)power_above * factor;
    return (uint32_t)(product >> 64) | ((uint32_t)(product >> 32) > 1);
}

/* The shortest decimal that rounds to c * 2^q, the bits of a positive float32 being `bits`. */
static inline short_decimal shortest(uint32_t bits) {
    uint32_t fraction = bits & 0x7fffff, biased = bits >> 23;
    uint32_t c = biased ? fraction | 0x800000 : fraction;
    int q = (int)(biased ? biased : 1) - 150;
    /* At a power of two the neighbor below is half as far as the one above. */
    bool uneven = fraction == 0 && biased > 1;
    int k = uneven ? log10_of_three_quarters_of_2(q) : log10_of_2(q);

    /* In quarters of 10^k: the number and the ends of its interval. All shifts are 1..4. */
    int shift = q + log2_of_10(-k) + 1;
    uint64_t g = power(-k) + 1;
    uint32_t below = scale(g, (4 * c - 2 + uneven) << shift);
    uint32_t exact = scale(g, (4 * c) << shift);
    uint32_t above = scale(g, (4 * c + 2) << shift);
    uint32_t low = below + (c & 1), high = above - (c & 1); /* ties go to even: ends belong to an even c */

    uint32_t floor = exact / 4;
    uint32_t tens = floor / 10 * 10;
    bool ten_below = low <= 4 * tens, ten_above = 4 * tens + 40 <= high;
    if (ten_below != ten_above) return (short_decimal){tens + (ten_above ? 10 : 0), k};

    bool one_below = low <= 4 * floor, one_above = 4 * floor + 4 <= high;
    uint32_t middle = 4 * floor + 2;
    bool up = one_below != one_above ? one_above : exact > middle || (exact == middle && (floor & 1));
    return (short_decimal){floor + up, k};
}

static inline size_t print_positional(char *out, char first, uint64_t rest, size_t digits, int exponent) {
    if (exponent < 0) {
        memcpy(out, "0.000000", 8);
        out[1 - exponent] = first;
        store8(out + 2 - exponent, rest + ASCII_ZEROS);
        return (size_t)(1 - exponent) + digits;
    }
    size_t whole = (size_t)exponent + 1; /* digits before the point */
    out[0] = first;
    store8(out + 1, rest + ASCII_ZEROS);
    if (digits <= whole) return whole; /* the zeros that are missing are in `rest` */
    out[whole] = '.';
    store8(out + whole + 1, (rest + ASCII_ZEROS) >> (8 * exponent));
    return digits + 1;
}

static inline size_t print_scientific(char *out, char first, uint64_t rest, size_t digits, int exponent) {
    out[0] = first;
    out[1] = '.';
    store8(out + 2, rest + ASCII_ZEROS);
    size_t n = digits > 1 ? digits + 1 : 1;
    out[n++] = 'e';
    if (exponent < 0) out[n++] = '-';
    return n + print_u64((uint64_t)(exponent < 0 ? -exponent : exponent), out + n);
}

/* Numbers whose first digit counts 10^-4 .. 10^8 have no exponent. */
enum { POSITIONAL_MIN = -4, POSITIONAL_MAX = 8 };

size_t number_print_f32(float v, char *out) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    size_t sign = bits >> 31;
    bits &= 0x7fffffff;
    *out = '-';
    out += sign;
    if (__builtin_expect(bits == 0, 0)) {
        memcpy(out, "0.0", 3);
        return sign ? 4 : 1;
    }
    if (__builtin_expect(bits >= 0x7f800000, 0)) {
        memcpy(out - sign, "null", 4);
        return 4;
    }
    short_decimal found = shortest(bits);
    /* Nine digits, the first one apart: padded with zeros at the end, so that those there and those of the
     * number itself are dropped together. */
    int padding = 0;
    while (found.significand < small_powers[8 - padding]) padding++;
    uint32_t nine = found.significand * small_powers[padding];
    uint64_t rest = split_digits(nine % 100000000);
    char first = (char)('0' + nine / 100000000);
    size_t digits = rest ? 9 - (size_t)__builtin_clzll(rest) / 8 : 1;
    int exponent = found.exponent + 8 - padding; /* of the first digit */
    bool positional = exponent >= POSITIONAL_MIN && exponent <= POSITIONAL_MAX;
    return sign + (positional ? print_positional : print_scientific)(out, first, rest, digits, exponent);
}

/* ---- many numbers -------------------------------------------------------------------------------------- */

static size_t print_one_by_one(const float *values, size_t n, char *out) {
    char *start = out;
    for (size_t i = 0; i < n; i++) {
        out += number_print_f32(values[i], out);
        *out++ = ',';
    }
    return (size_t)(out - start);
}

enum { ROW_BLOCK = 64 }; /* numbers that the vectors below take at a time */

#if defined(__x86_64__) && !defined(RA_SANITIZE)
#include <immintrin.h>

/* The 16 characters that texts are made of: the digits behind the first one, the first one, and these. */
enum { FROM_FIRST = 8, FROM_POINT, FROM_MINUS, FROM_E, FROM_TENS, FROM_ONES, FROM_COMMA, FROM_ZERO };

/* Character i of a number with n digits whose first one counts 10^e. Exponents of -5 and -10, 9 and 10 stand for all that
 * are as long. */
#define FROM_DIGIT(j) ((j) == 0 ? FROM_FIRST : (j)-1)
#define FROM_EXPONENT(e, j)                                                                                  \
    ((j) == 0                              ? FROM_E                                                          \
     : (e) < 0 && (j) == 1                 ? FROM_MINUS                                                      \
     : (j) - ((e) < 0) == EXPONENT_SIZE(e) ? FROM_ONES                                                       \
     : (j) - ((e) < 0) < EXPONENT_SIZE(e)  ? FROM_TENS                                                       \
                                           : FROM_COMMA)
#define EXPONENT_SIZE(e) ((e) < -9 || (e) > 9 ? 2 : 1)
#define DIGITS_SIZE(n) ((n) > 1 ? (n) + 1 : 1) /* with their point, behind the first one */
#define FROM_SCIENTIFIC(e, n, i)                                                                             \
    ((i) >= DIGITS_SIZE(n) ? FROM_EXPONENT(e, (i)-DIGITS_SIZE(n))                                            \
     : (i) == 0            ? FROM_FIRST                                                                      \
     : (i) == 1            ? FROM_POINT                                                                      \
                           : FROM_DIGIT((i)-1))
#define FROM_FRACTION(e, n, i)                                                                               \
    ((i) == 1              ? FROM_POINT                                                                      \
     : (i) < 1 - (e)       ? FROM_ZERO                                                                       \
     : (i) < 1 - (e) + (n) ? FROM_DIGIT((i)-1 + (e))                                                         \
                           : FROM_COMMA)
#define FROM_WHOLE(e, n, i)                                                                                  \
    ((i) <= (e)                    ? FROM_DIGIT(i)                                                           \
     : (n) <= (e) + 1 || (i) > (n) ? FROM_COMMA                                                              \
     : (i) == (e) + 1              ? FROM_POINT                                                              \
                                   : FROM_DIGIT((i)-1))
#define IS_POSITIONAL(e) ((e) >= POSITIONAL_MIN && (e) <= POSITIONAL_MAX)
#define FROM(e, n, i)                                                                                        \
    (!IS_POSITIONAL(e) ? FROM_SCIENTIFIC(e, n, i) : (e) < 0 ? FROM_FRACTION(e, n, i) : FROM_WHOLE(e, n, i))
#define TEXT_SIZE(e, n)                                                                                      \
    (!IS_POSITIONAL(e) ? DIGITS_SIZE(n) + 1 + ((e) < 0) + EXPONENT_SIZE(e)                                   \
     : (e) < 0         ? 1 - (e) + (n)                                                                       \
     : (n) > (e) + 1   ? (n) + 1                                                                             \
                       : (e) + 1)

/* Where 15 characters come from, and how many there are with the comma. */
#define FORM(e, n)                                                                                           \
    {                                                                                                        \
        FROM(e, n, 0), FROM(e, n, 1), FROM(e, n, 2), FROM(e, n, 3), FROM(e, n, 4), FROM(e, n, 5),            \
            FROM(e, n, 6), FROM(e, n, 7), FROM(e, n, 8), FROM(e, n, 9), FROM(e, n, 10), FROM(e, n, 11),      \
            FROM(e, n, 12), FROM(e, n, 13), FROM(e, n, 14), TEXT_SIZE(e, n) + 1                              \
    }
#define FORMS(e)                                                                                             \
    FORM(e, 1), FORM(e, 2), FORM(e, 3), FORM(e, 4), FORM(e, 5), FORM(e, 6), FORM(e, 7), FORM(e, 8), FORM(e, 9)

enum { FORM_SIZE = 16, DIGITS_MAX = 9, FIRST_FORM = POSITIONAL_MIN - 2, LAST_FORM = POSITIONAL_MAX + 2 };
enum { ZERO_FORM = (LAST_FORM - FIRST_FORM + 1) * DIGITS_MAX, NEGATIVE_ZERO_FORM, NO_FORM };

static const uint8_t forms[NO_FORM][FORM_SIZE] __attribute__((aligned(FORM_SIZE))) = {
    FORMS(-10),
    FORMS(-5),
    FORMS(-4),
    FORMS(-3),
    FORMS(-2),
    FORMS(-1),
    FORMS(0),
    FORMS(1),
    FORMS(2),
    FORMS(3),
    FORMS(4),
    FORMS(5),
    FORMS(6),
    FORMS(7),
    FORMS(8),
    FORMS(9),
    FORMS(10),
    [ZERO_FORM] = {FROM_ZERO, FROM_COMMA, [FORM_SIZE - 1] = 2},
    [NEGATIVE_ZERO_FORM] = {FROM_ZERO, FROM_POINT, FROM_ZERO, FROM_COMMA, [FORM_SIZE - 1] = 4}};

/* The characters of some numbers, two words for each, and the forms that they take. */

typedef struct row_block {
    uint64_t digits[ROW_BLOCK], others[ROW_BLOCK], form[ROW_BLOCK];
} __attribute__((aligned(64))) row_block;

#define INLINE static inline __attribute__((always_inline))

#define VARIANT(name) name##_avx512
#define LANES 8
#define TARGET __attribute__((target("arch=x86-64-v4")))
#define INTRINSIC(name) _mm512_##name
#define REGISTER __m512i
#define GATHER(table, at) _mm512_i64gather_epi64(at, (const void *)(table), 8)
#include "app/print_f32_lanes.h"

#define VARIANT(name) name##_avx2
#define LANES 4
#define TARGET __attribute__((target("arch=x86-64-v3")))
#define INTRINSIC(name) _mm256_##name
#define REGISTER __m256i
#define GATHER(table, at) _mm256_i64gather_epi64((const void *)(table), at, 8)
#include "app/print_f32_lanes.h"

size_t print_f32_row(const float *values, size_t n, char *out) {
    if (__builtin_cpu_supports("x86-64-v4")) return print_avx512(values, n, out);
    if (__builtin_cpu_supports("x86-64-v3")) return print_avx2(values, n, out);
    return print_one_by_one(values, n, out);
}

#else

size_t print_f32_row(const float *values, size_t n, char *out) {
    return print_one_by_one(values, n, out);
}

#endif
