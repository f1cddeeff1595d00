/* cuda_fp16.h - the two conversions that the kernels use. */
#ifndef RA_EMULATION_CUDA_FP16_H
#define RA_EMULATION_CUDA_FP16_H

#include "tensor/half.h"

struct __half {
    unsigned short bits;
};

static inline __half __ushort_as_half(unsigned short bits) {
    return __half{bits};
}

static inline float __half2float(__half half) {
    return ra_f16_to_f32(half.bits);
}

#endif
