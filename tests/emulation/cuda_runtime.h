/* cuda_runtime.h - the language of kernels, for a host compiler: what CUDA adds to C++ as far as
 * lib/backend/cuda uses it. A kernel is an ordinary function here; block.c runs it once a thread.
 *
 * Threads of a block take turns on one thread of the host and change only at barriers and exchanges between
 * lanes, so an atomic operation is an ordinary one, and variables that tell a thread who it is are set when
 * it gets its turn. Shared memory is a static variable, in a section of its own so that it can be filled with
 * NaN when a block begins. */
#ifndef RA_EMULATION_CUDA_RUNTIME_H
#define RA_EMULATION_CUDA_RUNTIME_H

#include "cuda_runtime_api.h"
#include "device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tuple>
#include <type_traits>

#define __global__ __attribute__((visibility("default")))
#define __device__
#define __launch_bounds__(threads)
#define __shared__ static __attribute__((section("emulation_shared")))

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {
    }
};

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};

/* ---- launching ----------------------------------------------------------------------------------------- */

/* Addresses among the parameters have to be the device's: a pointer is one, and of a struct every word that
 * looks like one is taken for one. */
template <typename T> static inline bool emulation_is_sound(const T &parameter) {
    if constexpr (std::is_pointer_v<T>)
        return !parameter || emulation_is_device((const void *)parameter);
    else if constexpr (std::is_class_v<T> && sizeof(T) % sizeof(uintptr_t) == 0) {
        uintptr_t words[sizeof(T) / sizeof(uintptr_t)];
        memcpy(words, &parameter, sizeof words);
        for (uintptr_t word : words)
            if (emulation_looks_like_address(word) && !emulation_is_device((const void *)word)) return false;
    }
    return true;
}

template <typename... Parameters> struct emulation_call {
    emulation_kernel common;
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> parameters;
};

template <typename... Parameters> static void emulation_invoke(const emulation_kernel *common) {
    auto *call = reinterpret_cast<const emulation_call<Parameters...> *>(common);
    std::apply(call->kernel, call->parameters);
}

template <typename... Parameters> static void emulation_discard(emulation_kernel *common) {
    delete reinterpret_cast<emulation_call<Parameters...> *>(common);
}

template <typename... Parameters, typename... Arguments>
static inline cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                                             Arguments &&...arguments) {
    std::tuple<Parameters...> parameters(arguments...);
    bool sound =
        std::apply([](const Parameters &...each) { return (emulation_is_sound(each) && ...); }, parameters);
    emulation_kernel common = {};
    common.invoke = emulation_invoke<Parameters...>;
    common.discard = emulation_discard<Parameters...>;
    common.function = (const void *)kernel;
    common.grid = {config->gridDim.x, config->gridDim.y, config->gridDim.z};
    common.block = {config->blockDim.x, config->blockDim.y, config->blockDim.z};
    auto *call = new emulation_call<Parameters...>{common, kernel, parameters};
    return emulation_launch(config->stream, &call->common, sound);
}

/* ---- inside a kernel ----------------------------------------------------------------------------------- */

static inline void __syncthreads() {
    emulation_barrier();
}

/* All 32 lanes of a warp exchange a value of up to 8 bytes. */
template <typename T> static inline T emulation_lane(unsigned mask, T value, unsigned lane) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emulation_exchange(mask, bits)[lane];
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename T> static inline T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    return emulation_lane(mask, value, (threadIdx.x ^ (unsigned)lanes) % 32);
}

template <typename T> static inline T __shfl_sync(unsigned mask, T value, unsigned lane) {
    return emulation_lane(mask, value, lane % 32);
}

/* The value of the lane so many before; the first ones keep their own. */
template <typename T> static inline T __shfl_up_sync(unsigned mask, T value, unsigned lanes) {
    unsigned lane = threadIdx.x % 32;
    return emulation_lane(mask, value, lane < lanes ? lane : lane - lanes);
}

static inline unsigned __ballot_sync(unsigned mask, bool vote) {
    const uint64_t *votes = emulation_exchange(mask, vote);
    unsigned result = 0;
    for (unsigned lane = 0; lane < 32; lane++) result |= (unsigned)votes[lane] << lane;
    return result;
}

static inline int __popc(unsigned bits) {
    return __builtin_popcount(bits);
}

template <typename T> __attribute__((no_sanitize("thread"))) static inline T atomicAdd(T *place, T value) {
    if (emulation_atomic) emulation_atomic(place, sizeof *place);
    T old = *place;
    *place += value;
    return old;
}

template <typename T> __attribute__((no_sanitize("thread"))) static inline T atomicOr(T *place, T value) {
    if (emulation_atomic) emulation_atomic(place, sizeof *place);
    T old = *place;
    *place |= value;
    return old;
}

template <typename T> __attribute__((no_sanitize("thread"))) static inline T atomicMax(T *place, T value) {
    if (emulation_atomic) emulation_atomic(place, sizeof *place);
    T old = *place;
    if (value > old) *place = value;
    return old;
}

static inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline unsigned min(unsigned a, unsigned b) {
    return a < b ? a : b;
}

#endif
