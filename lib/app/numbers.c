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
 * Printing is in print_f32.c.
 *
 * Why not a library: the good ones are C++, or bring tables of 10 KB for the 53 bits that are not needed
 * here.
 */
#include "app/numbers.h"
#include "app/digits.h"
#include "app/powers.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- into a text ------------------------------------------------------------------------------------ */

enum { INTEGER_MAX = 32 }; /* room for print_u64() and a sign */

static inline size_t print_i64(int64_t v, char *out) {
    *out = '-';
    size_t sign = v < 0;
    return sign + print_u64(v < 0 ? -(uint64_t)v : (uint64_t)v, out + sign);
}

/* One function that appends one number, and one that appends an array of them. The array makes room for BLOCK
 * numbers at a time: one check for many, without asking for much more than is used. A row function writes a comma
 * behind each number, and the last one becomes the bracket. */
enum { BLOCK = 64 };

#define DEFINE_TEXT_NUMBER(name, type, print, room)                                                          \
    void text_##name(text *buffer, type v) {                                                                 \
        char *out = text_reserve(buffer, (room));                                                            \
        if (out) buffer->size += print(v, out);                                                              \
    }
#define DEFINE_ROW(name, type, print)                                                                        \
    static size_t print_##name##_row(const type *values, size_t n, char *out) {                              \
        char *start = out;                                                                                   \
        for (size_t i = 0; i < n; i++) {                                                                     \
            out += print(values[i], out);                                                                    \
            *out++ = ',';                                                                                    \
        }                                                                                                    \
        return (size_t)(out - start);                                                                        \
    }
#define DEFINE_TEXT_ARRAY(name, type, row, room)                                                             \
    void text_##name##_array(text *buffer, const type *values, size_t n) {                                   \
        text_append(buffer, n ? "[" : "[]", n ? 1 : 2);                                                      \
        for (size_t from = 0; from < n; from += BLOCK) {                                                     \
            size_t count = n - from < BLOCK ? n - from : BLOCK;                                              \
            char *out = text_reserve(buffer, count * ((room) + 1));                                          \
            if (!out) return;                                                                                \
            buffer->size += row(values + from, count, out);                                                  \
        }                                                                                                    \
        if (n && !buffer->failed) buffer->data[buffer->size - 1] = ']';                                      \
    }

DEFINE_TEXT_NUMBER(f32, float, number_print_f32, NUMBER_F32_MAX)
DEFINE_TEXT_NUMBER(i64, int64_t, print_i64, INTEGER_MAX)
DEFINE_TEXT_NUMBER(size, size_t, print_u64, INTEGER_MAX)
DEFINE_ROW(i32, int32_t, print_i64)
DEFINE_ROW(i64, int64_t, print_i64)
DEFINE_ROW(size, size_t, print_u64)
DEFINE_TEXT_ARRAY(f32, float, print_f32_row, NUMBER_F32_MAX)
DEFINE_TEXT_ARRAY(i32, int32_t, print_i32_row, INTEGER_MAX)
DEFINE_TEXT_ARRAY(i64, int64_t, print_i64_row, INTEGER_MAX)
DEFINE_TEXT_ARRAY(size, size_t, print_size_row, INTEGER_MAX)
