/* powers.h - powers of ten as 64 bits and an exponent of two, for numbers.c and print_f32.c. */
#ifndef RA_APP_POWERS_H
#define RA_APP_POWERS_H

#include <stdint.h>

/* 10^q = power(q) * 2^(log2_of_10(q) - 63), power(q) in [2^63, 2^64) and cut off, exact for q = 0..27. */
enum { POWER_MIN = -64, POWER_MAX = 45, POWER_EXACT_MAX = 27 };

extern const uint64_t powers_of_ten[POWER_MAX - POWER_MIN + 1];

static inline uint64_t power(int q) {
    return powers_of_ten[q - POWER_MIN];
}

/* floor(log2(10^q)), floor(log10(2^q)) and floor(log10(3/4 * 2^q)) for the exponents of float32. */
enum { LOG2_OF_10 = 217706, LOG2_SHIFT = 16, LOG10_OF_2 = 315653, LOG10_SHIFT = 20, THREE_QUARTERS = 131008 };

static inline int log2_of_10(int q) {
    return (q * LOG2_OF_10) >> LOG2_SHIFT;
}

static inline int log10_of_2(int q) {
    return (q * LOG10_OF_2) >> LOG10_SHIFT;
}

static inline int log10_of_three_quarters_of_2(int q) {
    return (q * LOG10_OF_2 - THREE_QUARTERS) >> LOG10_SHIFT;
}

#endif
