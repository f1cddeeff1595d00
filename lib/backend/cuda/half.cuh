/* half.cuh - numbers of 16 bits, each with a type of its own, so that templates can tell them apart. */
#ifndef RA_BACKEND_CUDA_HALF_CUH
#define RA_BACKEND_CUDA_HALF_CUH

#include "backend/cuda/kernel.cuh"

#include <cuda_fp16.h>

struct f16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};

static __device__ inline float widen(float x) {
    return x;
}
static __device__ inline float widen(f16 x) {
    return __half2float(__ushort_as_half(x.bits));
}
static __device__ inline float widen(bf16 x) {
    return __uint_as_float((uint32_t)x.bits << 16);
}

/* To the nearest, of two to the even one; a NaN stays one. */
static __device__ inline bf16 narrow(float x) {
    uint32_t bits = __float_as_uint(x);
    if (x != x) return bf16{(uint16_t)(bits >> 16 | 0x40)};
    return bf16{(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

#endif
