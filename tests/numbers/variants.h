/* variants.h - lib/app/print_f32.c with each of its variants that this machine can run. Included by C files alone. */
#ifndef TESTS_NUMBERS_VARIANTS_H
#define TESTS_NUMBERS_VARIANTS_H

#include "app/print_f32.h"

size_t number_print_f32_of_this_test(float v, char *out);
size_t print_f32_row_of_this_test(const float *values, size_t n, char *out);

#define number_print_f32 number_print_f32_of_this_test
#define print_f32_row print_f32_row_of_this_test
#include "app/print_f32.c"
#undef number_print_f32
#undef print_f32_row

#include <stdbool.h>

typedef struct print_variant {
    const char *name;
    size_t (*print)(const float *values, size_t n, char *out);
} print_variant;

static const print_variant print_variants[] = {
    {"any", print_one_by_one},
#if defined(__x86_64__) && !defined(RA_SANITIZE)
    {"avx2", print_avx2},
    {"avx512", print_avx512},
#endif
};

enum { PRINT_VARIANTS = sizeof print_variants / sizeof *print_variants };

static inline bool can_print(size_t which) {
#if defined(__x86_64__) && !defined(RA_SANITIZE)
    if (which == 1) return __builtin_cpu_supports("x86-64-v3");
    if (which == 2) return __builtin_cpu_supports("x86-64-v4");
#endif
    return which == 0;
}

#endif
