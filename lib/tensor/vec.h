/* vec.h - what loops over vectors share whose source is compiled for each kind of machine (vec_tile.h).
 *
 * Thread safety: functions without state. */
#ifndef RA_TENSOR_VEC_H
#define RA_TENSOR_VEC_H

#include "ra_tensor.h"
#include "base/processor.h"
#include "tensor/half.h"

#include <string.h>

/* Sanitizers want code for plain x86-64 (base/multiversion.h). */
#if defined(__x86_64__) && !defined(RA_SANITIZE)
#define RA_VEC_X86
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE size_t size_of(ra_dtype type) {
    return type == RA_F32 ? sizeof(float) : sizeof(uint16_t);
}

typedef float four __attribute__((vector_size(16)));

INLINE four widen_four(const char *from) {
    uint16_t half[4];
    memcpy(half, from, sizeof half);
    return (four){ra_f16_to_f32(half[0]), ra_f16_to_f32(half[1]), ra_f16_to_f32(half[2]),
                  ra_f16_to_f32(half[3])};
}

#endif
