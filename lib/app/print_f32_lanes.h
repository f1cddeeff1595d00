/* print_f32_lanes.h - print_f32.c for LANES numbers at once; included once for each kind of machine, with VARIANT(name), the
 * TARGET of its code, its REGISTER with the INTRINSIC(name)s for it, and GATHER(table, indices). No header: it has no guard.
 *
 * It follows shortest() and number_print_f32() step by step. A condition is a lane of ones or of zeros. */

#define lanes VARIANT(lanes)
#define signed_lanes VARIANT(signed_lanes)
#define words VARIANT(words)
#define halves VARIANT(halves)
#define floats VARIANT(floats)

typedef uint64_t lanes __attribute__((vector_size(8 * LANES), may_alias));
typedef int64_t signed_lanes __attribute__((vector_size(8 * LANES)));
typedef uint32_t words __attribute__((vector_size(8 * LANES)));
typedef uint16_t halves __attribute__((vector_size(8 * LANES)));
typedef uint32_t floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define ALL(x) ((lanes){0} + (uint64_t)(x))
/* Signed, for what is far below 2^63: AVX2 has no other comparison. */
#define LESS(a, b) ((lanes)((signed_lanes)(a) < (signed_lanes)(b)))
#define SAME(a, b) ((lanes)((a) == (b)))
#define CHOOSE(condition, a, b) (((condition) & (a)) | (~(condition) & (b)))
/* The product of the lower halves, in one instruction. */
#define TIMES(a, b) ((lanes)INTRINSIC(mul_epu32)((REGISTER)(a), (REGISTER)(b)))

TARGET INLINE lanes VARIANT(scale)(lanes power_above, lanes factor) {
    lanes product = TIMES(power_above >> 32, factor) + (TIMES(power_above, factor) >> 32);
    return product >> 32 | (LESS(ALL(1), product & 0xffffffff) & 1);
}

/* x < 10^8; its digits a byte, the first one in the lowest. */
TARGET INLINE lanes VARIANT(split)(lanes x) {
    lanes thousands = TIMES(x, ALL(3518437209)) >> 45; /* x / 10000 */
    words fours = (words)(thousands + ((x - TIMES(thousands, ALL(10000))) << 32));
    words hundreds = (fours * 10486) >> 20;
    halves pairs = (halves)(hundreds + ((fours - 100 * hundreds) << 16));
    halves tens = (pairs * 103) >> 10;
    return (lanes)(tens + ((pairs - 10 * tens) << 8));
}

/* How many bytes there are up to the last one that is not zero. */
TARGET INLINE lanes VARIANT(count)(lanes digits) {
    digits |= digits >> 8;
    digits |= digits >> 16;
    digits |= digits >> 32;
    REGISTER ones = INTRINSIC(min_epu8)((REGISTER)digits, (REGISTER)ALL(0x0101010101010101));
    return (lanes)INTRINSIC(sad_epu8)(ones, (REGISTER)ALL(0));
}

/* LANES numbers: how many tenths of powers of ten they are, in 7 to 9 digits, and the exponent, to which BIAS is added so that
 * nothing here is negative. What it says of other than normal numbers is nonsense. */
enum { VARIANT(BIAS) = 64 };
#define BIAS VARIANT(BIAS)

TARGET INLINE lanes VARIANT(shortest)(lanes bits, lanes *exponent) {
    lanes fraction = bits & 0x7fffff, biased = bits >> 23, c = fraction | 0x800000;
    lanes uneven = SAME(fraction, ALL(0)) & LESS(ALL(1), biased);
    lanes k = (TIMES(biased, ALL(LOG10_OF_2)) + ((BIAS << LOG10_SHIFT) - 150 * LOG10_OF_2) -
               (uneven & THREE_QUARTERS)) >>
              LOG10_SHIFT;
    *exponent = k;

    lanes at = 2 * BIAS - k; /* of 10^-k in the table */
    _Static_assert(POWER_MIN == -BIAS, "the table begins with 10^-BIAS");
    lanes log2 =
        (TIMES(at, ALL(LOG2_OF_10)) + ((256 << LOG2_SHIFT) - BIAS * LOG2_OF_10)) >> LOG2_SHIFT; /* + 256 */
    lanes shift = log2 + biased - (256 + 149);
    lanes g = (lanes)GATHER(powers_of_ten, (REGISTER)at) + 1;
    lanes below = VARIANT(scale)(g, ((c << 2) - 2 - uneven) << shift);
    lanes exact = VARIANT(scale)(g, (c << 2) << shift);
    lanes above = VARIANT(scale)(g, ((c << 2) + 2) << shift);
    lanes low = below + (c & 1), high = above - (c & 1);

    lanes floor = exact >> 2, floor4 = floor << 2;
    lanes tens = TIMES(floor, ALL(0xcccccccd)) >> 35, tens4 = (tens << 5) + (tens << 3);
    lanes ten_below = ~LESS(tens4, low), ten_above = ~LESS(high, tens4 + 40);
    lanes one_below = ~LESS(floor4, low), one_above = ~LESS(high, floor4 + 4);
    lanes middle = floor4 + 2, nearer = LESS(middle, exact) | (SAME(middle, exact) & -(floor & 1));
    lanes up = CHOOSE(one_below ^ one_above, one_above, nearer);
    return CHOOSE(ten_below ^ ten_above, (tens << 3) + (tens << 1) + (ten_above & 10), floor - up);
}

TARGET INLINE void VARIANT(convert)(const float *values, row_block *to, size_t i) {
    lanes all = __builtin_convertvector(*(const floats *)values, lanes), bits = all & 0x7fffffff, e;
    lanes found = VARIANT(shortest)(bits, &e);
    lanes below9 = LESS(found, ALL(100000000)), below8 = LESS(found, ALL(10000000));
    lanes nine = TIMES(found, 1 + (below9 & 9) + (below8 & 90));
    lanes first = TIMES(nine, ALL(1441151881)) >> 57; /* nine / 10^8 */
    lanes rest = VARIANT(split)(nine - TIMES(first, ALL(100000000)));
    e += 8 + below9 + below8; /* of the first digit, and BIAS */

    lanes negative = LESS(e, ALL(BIAS)), size = ((e - BIAS) ^ negative) - negative;
    lanes tens = (TIMES(size, ALL(103)) >> 10), ones = size - ((tens << 3) + (tens << 1));
    lanes digits = rest + ASCII_ZEROS;
    lanes others = first + (tens << 32) + (ones << 40) +
                   ('0' | '.' << 8 | '-' << 16 | (uint64_t)'e' << 24 | (uint64_t)'0' << 32 |
                    (uint64_t)'0' << 40 | (uint64_t)',' << 48 | (uint64_t)'0' << 56);

    const uint64_t lowest = BIAS + FIRST_FORM, highest = BIAS + LAST_FORM;
    lanes tiny = LESS(e, ALL(lowest + 1)), two = LESS(e, ALL(BIAS - 9)), huge = LESS(ALL(highest), e);
    lanes row = CHOOSE(tiny, lowest + 1 + two, CHOOSE(huge, ALL(highest), e)) - lowest;
    lanes form = (row << 3) + row + VARIANT(count)(rest);
    lanes zero = SAME(bits, ALL(0));
    lanes odd = LESS(bits, ALL(0x800000)) | LESS(ALL(0x7f7fffff), bits);
    form = CHOOSE(odd, ALL(NO_FORM), form);
    form = CHOOSE(zero, ZERO_FORM + (all >> 31), form);
    *(lanes *)(to->form + i) = form;
    *(lanes *)(to->digits + i) = digits;
    *(lanes *)(to->others + i) = others;
}

TARGET INLINE char *VARIANT(write)(const float *values, size_t n, const row_block *from, char *out) {
    for (size_t i = 0; i < n; i++) {
        if (__builtin_expect(from->form[i] == NO_FORM, 0)) {
            out += number_print_f32(values[i], out);
            *out++ = ',';
            continue;
        }
        const uint8_t *form = forms[from->form[i]];
        __m128i characters = _mm_set_epi64x((long long)from->others[i], (long long)from->digits[i]);
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        *out = '-';
        out += bits >> 31;
        _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(characters, _mm_load_si128((const __m128i *)form)));
        out += form[FORM_SIZE - 1];
    }
    return out;
}

TARGET static size_t VARIANT(print)(const float *values, size_t n, char *out) {
    char *start = out;
    for (size_t from = 0; from < n; from += ROW_BLOCK) {
        row_block block;
        size_t count = n - from < ROW_BLOCK ? n - from : ROW_BLOCK, i = 0;
        for (; i + LANES <= count; i += LANES) VARIANT(convert)(values + from + i, &block, i);
        if (i < count) {
            float rest[LANES] = {0};
            memcpy(rest, values + from + i, (count - i) * sizeof *rest);
            VARIANT(convert)(rest, &block, i);
        }
        out = VARIANT(write)(values + from, count, &block, out);
    }
    return (size_t)(out - start);
}

#undef lanes
#undef signed_lanes
#undef words
#undef halves
#undef floats
#undef ALL
#undef LESS
#undef SAME
#undef CHOOSE
#undef TIMES
#undef BIAS
#undef VARIANT
#undef LANES
#undef TARGET
#undef INTRINSIC
#undef REGISTER
#undef GATHER
