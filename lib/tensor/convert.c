/* float16 and bfloat16 to and from float32. half.h widens; narrowing rounds to nearest, ties to even, in
 * integer arithmetic for the same reason (and because not every compiler has _Float16). */
#include "ra_tensor.h"
#include "base/multiversion.h"
#include "tensor/half.h"

#include <math.h>
#include <string.h>

RA_MULTIVERSION static void f16_to_f32(const uint16_t *restrict source, float *restrict target, size_t n) {
    for (size_t i = 0; i < n; i++) target[i] = ra_f16_to_f32(source[i]);
}

/* Exponents differ by 112 and mantissas by 13 bits; a carry out of the mantissa gives the next exponent, and
 * out of the largest exponent infinity. Adding a number below 2^-14 to 0.5, whose last bit is 2^-24, rounds
 * it to a multiple of the smallest subnormal. */
RA_MULTIVERSION static void f32_to_f16(const float *restrict source, uint16_t *restrict target, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = ra_bits_of_float(source[i]), size = bits & 0x7fffffff;
        uint32_t normal = (size - (112u << 23) + 0xfff + ((size >> 13) & 1)) >> 13;
        uint32_t subnormal = ra_bits_of_float(ra_float_of_bits(size) + 0.5f) - 0x3f000000;
        uint32_t half = size < 0x38800000 ? subnormal : normal;
        half = size < 0x47800000 ? half : 0x7c00;                          /* 2^16 */
        half = size > 0x7f800000 ? 0x7e00 | ((size >> 13) & 0x3ff) : half; /* NaN stays NaN */
        target[i] = (uint16_t)(half | (bits >> 16 & 0x8000));
    }
}

RA_MULTIVERSION static void bf16_to_f32(const uint16_t *restrict source, float *restrict target, size_t n) {
    for (size_t i = 0; i < n; i++) target[i] = ra_bf16_to_f32(source[i]);
}

RA_MULTIVERSION static void f32_to_bf16(const float *restrict source, uint16_t *restrict target, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = ra_bits_of_float(source[i]), rounded = bits + 0x7fff + ((bits >> 16) & 1);
        uint32_t quiet = (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded; /* NaN stays NaN */
        target[i] = (uint16_t)(quiet >> 16);
    }
}

RA_MULTIVERSION static void f64_to_f32(const double *restrict source, float *restrict target, size_t n) {
    for (size_t i = 0; i < n; i++) target[i] = (float)source[i];
}

RA_MULTIVERSION static void f32_to_f64(const float *restrict source, double *restrict target, size_t n) {
    for (size_t i = 0; i < n; i++) target[i] = (double)source[i];
}

/* TYPE_to_f32(): a plain conversion of each element. */
#define WIDEN(name, type)                                                                                    \
    RA_MULTIVERSION static void name##_to_f32(const type *source, float *target, size_t n) {                 \
        for (size_t i = 0; i < n; i++) target[i] = (float)source[i];                                         \
    }
WIDEN(i64, int64_t)
WIDEN(i32, int32_t)
WIDEN(i16, int16_t)
WIDEN(u16, uint16_t)
WIDEN(i8, int8_t)
WIDEN(u8, uint8_t)
#undef WIDEN

void ra_convert_to_f32(ra_dtype dtype, const void *source, float *target, size_t n) {
    switch (dtype) {
    case RA_F32:
        memcpy(target, source, n * sizeof *target);
        break;
    case RA_F16:
        f16_to_f32(source, target, n);
        break;
    case RA_BF16:
        bf16_to_f32(source, target, n);
        break;
    case RA_F64:
        f64_to_f32(source, target, n);
        break;
    case RA_I64:
        i64_to_f32(source, target, n);
        break;
    case RA_I32:
        i32_to_f32(source, target, n);
        break;
    case RA_I16:
        i16_to_f32(source, target, n);
        break;
    case RA_U16:
        u16_to_f32(source, target, n);
        break;
    case RA_I8:
        i8_to_f32(source, target, n);
        break;
    case RA_U8:
        u8_to_f32(source, target, n);
        break;
    case RA_DTYPE_COUNT:
        break;
    }
}

void ra_convert_from_f32(ra_dtype dtype, const float *source, void *target, size_t n) {
    if (dtype == RA_F32) memcpy(target, source, n * sizeof *source);
    if (dtype == RA_F16) f32_to_f16(source, target, n);
    if (dtype == RA_BF16) f32_to_bf16(source, target, n);
    if (dtype == RA_F64) f32_to_f64(source, target, n);
}

RA_MULTIVERSION static uint32_t any_not_finite(const float *values, size_t n) {
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) { found |= (ra_bits_of_float(values[i]) & 0x7f800000u) == 0x7f800000u; }
    return found;
}

size_t ra_find_not_finite(const float *values, size_t n) {
    enum { BLOCK = 4096 }; /* whole blocks without branches, then the position */
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t count = n - from < BLOCK ? n - from : BLOCK;
        if (!any_not_finite(values + from, count)) continue;
        for (size_t i = from; i < from + count; i++)
            if (!isfinite(values[i])) return i;
    }
    return n;
}
