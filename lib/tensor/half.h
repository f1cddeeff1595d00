/* half.h - one float16 or bfloat16 number as float32, in integer arithmetic that a compiler vectorizes (its
 * own conversion takes at least one instruction per number). Exact for every bit pattern, including
 * subnormals, infinities and NaN. */
#ifndef RA_TENSOR_HALF_H
#define RA_TENSOR_HALF_H

#include <stdint.h>
#include <string.h>

static inline float ra_float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t ra_bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Moved to their float32 position, exponent and mantissa are too small by 2^112, also for subnormals; the
 * exponent 31 means infinity or NaN. */
static inline float ra_f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = (uint32_t)(half & 0x7fff) << 13;
    uint32_t bits = ra_bits_of_float(ra_float_of_bits(magnitude) * 0x1p112f);
    return ra_float_of_bits(bits | sign | (magnitude >= 0x0f800000u ? 0x7f800000u : 0));
}

static inline float ra_bf16_to_f32(uint16_t half) {
    return ra_float_of_bits((uint32_t)half << 16);
}

#endif
