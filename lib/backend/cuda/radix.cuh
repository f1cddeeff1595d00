/* radix.cuh - the k-th largest of some numbers, by a block: eight of its bits at a time, from the top. It counts digits in
 * shared memory, then finds the digit of the k-th largest. Bits are transformed to have the order of the numbers. */
#ifndef RA_BACKEND_CUDA_RADIX_CUH
#define RA_BACKEND_CUDA_RADIX_CUH

#include "backend/cuda/select.cuh"

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, GROUP = 16, GROUPS = DIGITS / GROUP };

/* Bits in the order of the scores; -0 and 0 are the same. */
static __device__ inline uint32_t ordered(float score) {
    uint32_t bits = __float_as_uint(score + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

typedef struct choice {
    uint32_t digit, left,
        of;   /* the k-th largest is the left-th largest of those with this digit, which are `of` */
    bool few; /* there are at most k */
} choice;

typedef struct select_memory {
    uint32_t count[DIGITS], group[GROUPS];
    choice chosen;
} select_memory;

/* From the largest digit down until `left` are covered; two steps of 16, so that one thread does not have to
 * read 256 counts. */
static __device__ inline choice choose(select_memory *memory, uint32_t left) {
    if (threadIdx.x < GROUPS) {
        uint32_t sum = 0;
        for (unsigned i = 0; i < GROUP; i++) sum += memory->count[threadIdx.x * GROUP + i];
        memory->group[threadIdx.x] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        choice found = {0, left, 0, false};
        int group = GROUPS - 1;
        while (group >= 0 && memory->group[group] < found.left) found.left -= memory->group[group--];
        if (group < 0)
            found.few = true;
        else {
            found.digit = (uint32_t)group * GROUP + GROUP - 1;
            while (memory->count[found.digit] < found.left) found.left -= memory->count[found.digit--];
            found.of = memory->count[found.digit];
        }
        memory->chosen = found;
    }
    __syncthreads();
    return memory->chosen;
}

/* How the k-th largest splits n numbers: those above `limit` are larger, and of `of` that equal it, `equals` are among the
 * k largest. If there are at most k: 0, 0, which selects all of them, since no number has these bits. */
typedef struct split {
    uint32_t limit, equals, of;
} split;

/* all(count): calls count(bits) with the bits of each number that counts; each thread does so for its share of them. All
 * threads call it and get the same. */
template <typename All>
static __device__ inline split find_split(uint32_t k, select_memory *memory, const All &all) {
    uint32_t known = 0;
    split found = {0, k, 0};
    for (int shift = 32 - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        for (unsigned i = threadIdx.x; i < DIGITS; i += blockDim.x) memory->count[i] = 0;
        __syncthreads();
        all([=](uint32_t bits) {
            if ((bits & known) == found.limit) atomicAdd(&memory->count[bits >> shift & (DIGITS - 1)], 1u);
        });
        __syncthreads();
        choice chosen = choose(memory, found.equals);
        if (chosen.few) return {0, 0, 0};
        found.equals = chosen.left;
        found.of = chosen.of;
        found.limit |= chosen.digit << shift;
        known |= (uint32_t)(DIGITS - 1) << shift;
    }
    return found;
}

#endif
