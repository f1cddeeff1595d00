/* Numbers between text and binary.
 *
 * The problem: writing a reconstruction with snprintf takes several times as long as computing it, and
 * strtof is no better on the way in. Both are general; a float32 is small. All it takes is one table of
 * powers of ten, 64 bits each, and a few multiplications of 64 x 64 bits per number.
 *
 * Scanning. The text is w * 10^q, with w the digits as an integer (SWAR: eight digits per step) and q the
 * exponent less the digits of the fraction. w * 10^q is multiplied out to 64 significant bits, of which
 * float32 keeps 24. The other 40 decide the rounding, and they are known to within a few units in the last
 * place; only when they lie that close to one half does the approximation not suffice. Then either the
 * product is exact after all (10^0..10^27 have no rounding in the table), or the digits go to strtof, which
 * is exact and slow and which hardly any number needs. Digits beyond the 19 that fit w widen the error by one
 * more unit of w, nothing else.
 *
 * Printing. A float32 v = c * 2^q owns the interval halfway to its neighbors; every decimal in it reads back
 * as v (its ends belong to it when c is even, since ties go to even). With 10^k <= width < 10^(k+1) the
 * interval holds at least one multiple of 10^k and at most one of 10^(k+1). So: the multiple of 10^(k+1) if
 * it is inside, otherwise of the two multiples of 10^k around v the one inside, or the nearer one. No search,
 * no loop over digits; this is the method of R. Giulietti, "The Schubfach way to render doubles" (2020). The
 * products are rounded to odd: the last bit says whether anything was cut off, so comparisons with integers
 * stay exact. `bench_numbers --all` reads back every float32 there is.
 *
 * Why not a library: the good ones are C++, or bring tables of 10 KB for the 53 bits that are not needed
 * here.
 */
#include "app/numbers.h"

#include <stdlib.h>
#include <string.h>

/* ---- powers of ten ---------------------------------------------------------------------------------- */

/* 10^q = power(q) * 2^(log2_of_10(q) - 63), power(q) in [2^63, 2^64) and cut off, exact for q = 0..27. From
 *
 *     from fractions import Fraction as F
 *     for q in range(-64, 46): print('0x%016x' % int(F(10) ** q / F(2) ** ((q * 217706 >> 16) - 63)))
 */
enum { POWER_MIN = -64, POWER_MAX = 45, POWER_EXACT_MAX = 27 };

/* clang-format off */
static const uint64_t powers[POWER_MAX - POWER_MIN + 1] = {
    0xa87fea27a539e9a5, 0xd29fe4b18e88640e, 0x83a3eeeef9153e89, 0xa48ceaaab75a8e2b, 0xcdb02555653131b6,
    0x808e17555f3ebf11, 0xa0b19d2ab70e6ed6, 0xc8de047564d20a8b, 0xfb158592be068d2e, 0x9ced737bb6c4183d,
    0xc428d05aa4751e4c, 0xf53304714d9265df, 0x993fe2c6d07b7fab, 0xbf8fdb78849a5f96, 0xef73d256a5c0f77c,
    0x95a8637627989aad, 0xbb127c53b17ec159, 0xe9d71b689dde71af, 0x9226712162ab070d, 0xb6b00d69bb55c8d1,
    0xe45c10c42a2b3b05, 0x8eb98a7a9a5b04e3, 0xb267ed1940f1c61c, 0xdf01e85f912e37a3, 0x8b61313bbabce2c6,
    0xae397d8aa96c1b77, 0xd9c7dced53c72255, 0x881cea14545c7575, 0xaa242499697392d2, 0xd4ad2dbfc3d07787,
    0x84ec3c97da624ab4, 0xa6274bbdd0fadd61, 0xcfb11ead453994ba, 0x81ceb32c4b43fcf4, 0xa2425ff75e14fc31,
    0xcad2f7f5359a3b3e, 0xfd87b5f28300ca0d, 0x9e74d1b791e07e48, 0xc612062576589dda, 0xf79687aed3eec551,
    0x9abe14cd44753b52, 0xc16d9a0095928a27, 0xf1c90080baf72cb1, 0x971da05074da7bee, 0xbce5086492111aea,
    0xec1e4a7db69561a5, 0x9392ee8e921d5d07, 0xb877aa3236a4b449, 0xe69594bec44de15b, 0x901d7cf73ab0acd9,
    0xb424dc35095cd80f, 0xe12e13424bb40e13, 0x8cbccc096f5088cb, 0xafebff0bcb24aafe, 0xdbe6fecebdedd5be,
    0x89705f4136b4a597, 0xabcc77118461cefc, 0xd6bf94d5e57a42bc, 0x8637bd05af6c69b5, 0xa7c5ac471b478423,
    0xd1b71758e219652b, 0x83126e978d4fdf3b, 0xa3d70a3d70a3d70a, 0xcccccccccccccccc, 0x8000000000000000,
    0xa000000000000000, 0xc800000000000000, 0xfa00000000000000, 0x9c40000000000000, 0xc350000000000000,
    0xf424000000000000, 0x9896800000000000, 0xbebc200000000000, 0xee6b280000000000, 0x9502f90000000000,
    0xba43b74000000000, 0xe8d4a51000000000, 0x9184e72a00000000, 0xb5e620f480000000, 0xe35fa931a0000000,
    0x8e1bc9bf04000000, 0xb1a2bc2ec5000000, 0xde0b6b3a76400000, 0x8ac7230489e80000, 0xad78ebc5ac620000,
    0xd8d726b7177a8000, 0x878678326eac9000, 0xa968163f0a57b400, 0xd3c21bcecceda100, 0x84595161401484a0,
    0xa56fa5b99019a5c8, 0xcecb8f27f4200f3a, 0x813f3978f8940984, 0xa18f07d736b90be5, 0xc9f2c9cd04674ede,
    0xfc6f7c4045812296, 0x9dc5ada82b70b59d, 0xc5371912364ce305, 0xf684df56c3e01bc6, 0x9a130b963a6c115c,
    0xc097ce7bc90715b3, 0xf0bdc21abb48db20, 0x96769950b50d88f4, 0xbc143fa4e250eb31, 0xeb194f8e1ae525fd,
    0x92efd1b8d0cf37be, 0xb7abc627050305ad, 0xe596b7b0c643c719, 0x8f7e32ce7bea5c6f, 0xb35dbf821ae4f38b,
};
/* clang-format on */

static inline uint64_t power(int q) {
    return powers[q - POWER_MIN];
}

/* floor(log2(10^q)), floor(log10(2^q)) and floor(log10(3/4 * 2^q)) for the exponents that occur here. */
static inline int log2_of_10(int q) {
    return (q * 217706) >> 16;
}

static inline int log10_of_2(int q) {
    return (q * 315653) >> 20;
}

static inline int log10_of_three_quarters_of_2(int q) {
    return (q * 315653 - 131008) >> 20;
}

static const uint32_t small_powers[] = {1,      10,      100,      1000,      10000,
                                        100000, 1000000, 10000000, 100000000, 1000000000};

/* ---- eight digits in a word ------------------------------------------------------------------------- */

/* Eight characters as a word, the first one in the lowest byte. */
static inline uint64_t load8(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void store8(char *p, uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(p, &word, sizeof word);
}

static const uint64_t ASCII_ZEROS = 0x3030303030303030;

/* Digits 0..9 a byte, the first one in the lowest: their number. Neighbors are joined to pairs, the pairs to
 * fours, the fours to eight; each multiplication adds ten times (a hundred times, ...) the lower lane to the
 * upper one. */
static inline uint64_t join_digits(uint64_t digits) {
    digits = (digits * (1 + (10 << 8)) >> 8) & 0x00ff00ff00ff00ff;
    digits = (digits * (1 + (100 << 16)) >> 16) & 0x0000ffff0000ffff;
    return digits * (1 + (UINT64_C(10000) << 32)) >> 32;
}

/* The way back, x < 10^8. Quotients by multiplication with a rounded reciprocal, exact in these ranges. */
static inline uint64_t split_digits(uint32_t x) {
    uint64_t fours = x / 10000 + ((uint64_t)(x % 10000) << 32);
    uint64_t hundreds = (fours * 10486 >> 20) & 0x0000007f0000007f;
    uint64_t pairs = hundreds + ((fours - 100 * hundreds) << 16);
    uint64_t tens = (pairs * 103 >> 10) & 0x000f000f000f000f;
    return tens + ((pairs - 10 * tens) << 8);
}

static inline bool is_digit(char c) {
    return (unsigned char)(c - '0') < 10;
}

/* *w <- *w followed by the digits at p (modulo 2^64); returns the first character that is none. */
static inline const char *take_digits(const char *p, const char *end, uint64_t *w) {
    while (end - p >= 8) {
        uint64_t word = load8(p) ^ ASCII_ZEROS; /* a digit is a byte below 10 now */
        uint64_t others = (word | (word + 0x7676767676767676)) & 0x8080808080808080;
        if (others) {
            /* The lowest mark is the first non-digit (carries only spoil marks above it). */
            unsigned bits = (unsigned)__builtin_ctzll(others) & ~7u;
            if (bits) *w = *w * small_powers[bits / 8] + join_digits(word << (64 - bits));
            return p + bits / 8;
        }
        *w = *w * 100000000 + join_digits(word);
        p += 8;
    }
    for (; p < end && is_digit(*p); p++) *w = *w * 10 + (uint64_t)(*p - '0');
    return p;
}

/* Writes v in decimal; up to 8 bytes behind the text may be overwritten. Returns its length. */
static size_t print_u64(uint64_t v, char *out) {
    if (v < 100000000) {
        uint64_t digits = split_digits((uint32_t)v);
        unsigned leading = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) & ~7u; /* zeros, in bits */
        store8(out, (digits + ASCII_ZEROS) >> leading);
        return 8 - leading / 8;
    }
    size_t n = print_u64(v / 100000000, out);
    store8(out + n, split_digits((uint32_t)(v % 100000000)) + ASCII_ZEROS);
    return n + 8;
}

/* ---- scanning --------------------------------------------------------------------------------------- */

/* The parts of a number as written: sign, digits with at most one point among them, exponent. */
typedef struct decimal {
    const char *digits, *digits_end;
    size_t fraction;  /* digits behind the point */
    int64_t exponent; /* as written */
    uint64_t w;       /* all digits as an integer, modulo 2^64 */
    bool negative;
} decimal;

/* Exponents are cut off here: beyond it, no body is long enough to bring the number back into range. */
static const int64_t EXPONENT_LIMIT = INT64_C(1) << 58;

static const char *scan_exponent(const char *p, const char *end, int64_t *exponent) {
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end || !is_digit(*p)) return NULL;
    int64_t value = 0;
    for (; p < end && is_digit(*p); p++)
        if (value < EXPONENT_LIMIT) value = value * 10 + (*p - '0');
    *exponent = negative ? -value : value;
    return p;
}

/* The grammar: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static inline const char *scan_decimal(const char *p, const char *end, decimal *number) {
    number->negative = p < end && *p == '-';
    p += number->negative;
    if (p == end || !is_digit(*p)) return NULL;
    number->digits = p;
    number->w = (uint64_t)(*p++ - '0');
    if (p < end && is_digit(*p)) {
        if (number->w == 0) return NULL; /* a leading zero */
        p = take_digits(p, end, &number->w);
    }
    number->fraction = 0;
    if (p < end && *p == '.') {
        const char *point = p++;
        p = take_digits(p, end, &number->w);
        number->fraction = (size_t)(p - point) - 1;
        if (!number->fraction) return NULL;
    }
    number->digits_end = p;
    number->exponent = 0;
    if (p < end && (*p | 0x20) == 'e') p = scan_exponent(p + 1, end, &number->exponent);
    return p;
}

const char *number_skip(const char *p, const char *end) {
    decimal number;
    return scan_decimal(p, end, &number);
}

/* The first `most` significant digits of a number that has more, and what is left of it. */
typedef struct leading_digits {
    size_t count;      /* digits taken */
    int64_t exponent;  /* of ten, for the integer that they form */
    bool rest_nonzero; /* there was more than zeros behind them */
} leading_digits;

static leading_digits take_leading(const decimal *number, size_t most, char *out) {
    leading_digits taken = {0};
    size_t behind = 0; /* digits not taken */
    for (const char *p = number->digits; p < number->digits_end; p++) {
        if (*p == '.' || (*p == '0' && !taken.count)) continue;
        if (taken.count < most) {
            out[taken.count++] = *p;
        } else {
            behind++;
            taken.rest_nonzero |= *p != '0';
        }
    }
    taken.exponent = number->exponent - (int64_t)number->fraction + (int64_t)behind;
    return taken;
}

/* The exact way, for any number of digits. A float32, or the middle between two of them, has at most 113
 * significant digits; of a longer text only matters whether anything stands behind them, and one more digit
 * says so. Written as an integer and an exponent there is no decimal point, which depends on the locale. */
static float scan_exactly(const decimal *number) {
    enum { DIGITS = 120, EXPONENT = 24 };
    char copy[DIGITS + 1 + EXPONENT];
    leading_digits taken = take_leading(number, DIGITS, copy);
    char *p = copy + taken.count;
    if (taken.rest_nonzero) {
        *p++ = '1';
        taken.exponent--;
    }
    *p++ = 'e';
    if (taken.exponent < 0) *p++ = '-';
    p += print_u64((uint64_t)(taken.exponent < 0 ? -taken.exponent : taken.exponent), p);
    *p = '\0';
    return strtof(copy, NULL);
}

/* The float32 nearest to w * 10^q, w > 0, as its bits (infinity's when it is too large); with `more`, to
 * every number between that and (w + 1) * 10^q. False when the approximation cannot tell. */
static inline bool round_decimal(uint64_t w, int64_t q, bool more, uint32_t *bits) {
    enum { INFINITY_BITS = 0x7f800000, SLACK = 64 };
    *bits = q < 0 ? 0 : INFINITY_BITS;
    if (q < POWER_MIN || q > 38) return true; /* below 2^64 * 10^-65 < 2^-150, or at least 10^39 */
    int zeros = __builtin_clzll(w);
    unsigned __int128 product = (unsigned __int128)(w << zeros) * power((int)q);
    int carry = (int)(product >> 127);
    product <<= 1 - carry;
    uint64_t top = (uint64_t)(product >> 64), low = (uint64_t)product;
    int exponent = 63 - zeros + log2_of_10((int)q) + carry; /* the number is top / 2^63 * 2^exponent */
    int drop = 40;
    if (exponent < -126) { /* a subnormal keeps fewer bits */
        *bits = 0;
        if (exponent < -150) return exponent < -151 || top < UINT64_MAX - SLACK; /* below half of the least */
        drop += -126 - exponent;
    }
    /* What is dropped, against one half. The table errs by less than one unit, which the normalization
     * doubles, and `more` by less than one unit of w, which stands at most 2^5 units high, since w has 19
     * digits then. */
    uint64_t dropped = top & (UINT64_MAX >> (64 - drop)), half = UINT64_C(1) << (drop - 1);
    uint64_t kept_twice = top >> (drop - 1);
    if (__builtin_expect(dropped - (half - SLACK) <= SLACK, 0)) {
        if (more || q < 0 || q > POWER_EXACT_MAX) return false;
        bool tie = dropped == half && low == 0;
        if (tie && !(kept_twice & 2)) kept_twice--; /* to even, which is down */
    }
    uint32_t kept = (uint32_t)((kept_twice + 1) >> 1);
    /* Adding instead of joining lets a mantissa that was rounded up to 2^24 carry into the exponent. */
    *bits = exponent < -126 ? kept : ((uint32_t)(exponent + 126) << 23) + kept;
    if (*bits > INFINITY_BITS) *bits = INFINITY_BITS;
    return true;
}

/* Numbers of more than 19 digits. */
__attribute__((noinline)) static bool round_long_decimal(const decimal *number, uint32_t *bits) {
    enum { FIT = 19 };
    char digits[FIT];
    leading_digits taken = take_leading(number, FIT, digits);
    uint64_t w = 0;
    for (size_t i = 0; i < taken.count; i++) w = w * 10 + (uint64_t)(digits[i] - '0');
    *bits = 0;
    return w == 0 || round_decimal(w, taken.exponent, taken.rest_nonzero, bits);
}

const char *number_scan_f32(const char *p, const char *end, float *value, ra_status *why) {
    decimal number;
    p = scan_decimal(p, end, &number);
    if (!p) {
        *why = RA_ERR_FORMAT;
        return NULL;
    }
    uint32_t bits = 0;
    bool decided;
    /* 19 digits fit w; neither the point nor a zero in front is one of them. */
    ptrdiff_t digits = number.digits_end - number.digits - (number.fraction != 0) - (*number.digits == '0');
    if (__builtin_expect(digits <= 19, 1))
        decided = number.w == 0 ||
                  round_decimal(number.w, number.exponent - (int64_t)number.fraction, false, &bits);
    else
        decided = round_long_decimal(&number, &bits);
    if (__builtin_expect(!decided, 0)) {
        float exact = scan_exactly(&number);
        memcpy(&bits, &exact, sizeof bits);
    }
    if (__builtin_expect(bits == 0x7f800000, 0)) {
        *why = RA_ERR_NOT_FINITE;
        return NULL;
    }
    bits |= (uint32_t)number.negative << 31;
    memcpy(value, &bits, sizeof bits);
    return p;
}

const char *number_scan_i64(const char *p, const char *end, int64_t *value, ra_status *why) {
    decimal number;
    *why = RA_ERR_FORMAT;
    p = scan_decimal(p, end, &number);
    if (!p) return NULL;
    if (p != number.digits_end) return NULL;
    if (number.fraction) { /* 7.0 is whole, and some clients have no other way to write it */
        const char *point = p - number.fraction - 1;
        for (const char *c = point + 1; c < p; c++)
            if (*c != '0') return NULL;
        return number_scan_i64(number.digits - number.negative, point, value, why) ? p : NULL;
    }
    *why = RA_ERR_ARGUMENT;
    uint64_t limit = (uint64_t)INT64_MAX + number.negative;
    if (number.digits_end - number.digits > 19 || number.w > limit) return NULL;
    *value = (int64_t)(number.negative ? -number.w : number.w);
    return p;
}

/* ---- printing --------------------------------------------------------------------------------------- */

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

size_t number_print_f32(float v, char *out) {
    enum { POSITIONAL_MIN = -4, POSITIONAL_MAX = 8 };
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

/* ---- into a text ------------------------------------------------------------------------------------ */

enum { INTEGER_MAX = 32 }; /* room for print_u64() and a sign */

static inline size_t print_i64(int64_t v, char *out) {
    *out = '-';
    size_t sign = v < 0;
    return sign + print_u64(v < 0 ? -(uint64_t)v : (uint64_t)v, out + sign);
}

/* One function that appends one number, and one that appends an array of them. The array makes room for BLOCK
 * numbers at a time: one check for many, without asking for much more than is used. */
#define DEFINE_TEXT_NUMBER(name, type, print, room)                                                          \
    void text_##name(text *buffer, type v) {                                                                 \
        char *out = text_reserve(buffer, (room));                                                            \
        if (out) buffer->size += print(v, out);                                                              \
    }
#define DEFINE_TEXT_ARRAY(name, type, print, room)                                                           \
    void text_##name##_array(text *buffer, const type *values, size_t n) {                                   \
        enum { BLOCK = 64 };                                                                                 \
        text_append(buffer, "[", 1);                                                                         \
        for (size_t from = 0; from < n; from += BLOCK) {                                                     \
            size_t count = n - from < BLOCK ? n - from : BLOCK;                                              \
            char *out = text_reserve(buffer, count * ((room) + 1));                                          \
            if (!out) return;                                                                                \
            char *start = out;                                                                               \
            for (size_t i = from; i < from + count; i++) {                                                   \
                if (i) *out++ = ',';                                                                         \
                out += print(values[i], out);                                                                \
            }                                                                                                \
            buffer->size += (size_t)(out - start);                                                           \
        }                                                                                                    \
        text_append(buffer, "]", 1);                                                                         \
    }

DEFINE_TEXT_NUMBER(f32, float, number_print_f32, NUMBER_F32_MAX)
DEFINE_TEXT_NUMBER(i64, int64_t, print_i64, INTEGER_MAX)
DEFINE_TEXT_NUMBER(size, size_t, print_u64, INTEGER_MAX)
DEFINE_TEXT_ARRAY(f32, float, number_print_f32, NUMBER_F32_MAX)
DEFINE_TEXT_ARRAY(i32, int32_t, print_i64, INTEGER_MAX)
DEFINE_TEXT_ARRAY(i64, int64_t, print_i64, INTEGER_MAX)
DEFINE_TEXT_ARRAY(size, size_t, print_u64, INTEGER_MAX)
