/* digits.h - eight decimal digits in a word, for numbers.c and print_f32.c. */
#ifndef RA_APP_DIGITS_H
#define RA_APP_DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const uint32_t small_powers[] = {1,      10,      100,      1000,      10000,
                                        100000, 1000000, 10000000, 100000000, 1000000000};

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

/* Writes v in decimal; up to 8 bytes behind the text may be overwritten. Returns its length. */
static inline size_t print_u64(uint64_t v, char *out) {
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

#endif
