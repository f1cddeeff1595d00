/* scan.cuh - running sums over the threads of a block. */
#ifndef RA_BACKEND_CUDA_SCAN_CUH
#define RA_BACKEND_CUDA_SCAN_CUH

#include "backend/cuda/kernel.cuh"

enum { SCAN_THREADS = 1024 };

/* Threads of the one block that scans n numbers, and how many in a row each of them has: a multiple of 4, so that no two
 * threads write bytes of one word. */
static inline unsigned scan_threads(size_t n) {
    size_t wanted = (n / 4 + WARP) / WARP * WARP;
    return wanted < SCAN_THREADS ? (unsigned)wanted : (unsigned)SCAN_THREADS;
}
static __device__ inline size_t scan_share(size_t n) {
    return ((n + blockDim.x - 1) / blockDim.x + 3) / 4 * 4;
}

/* The sum over this lane and those before it. All lanes call it. */
template <typename T> static __device__ inline T warp_scan(T value) {
    unsigned lane = threadIdx.x % WARP;
    for (unsigned step = 1; step < WARP; step *= 2) {
        T other = __shfl_up_sync(ALL_LANES, value, step);
        if (lane >= step) value += other;
    }
    return value;
}

/* before <- the sums over the threads before this one; total <- over all. `warps` is shared memory, for one call. */
template <typename T, int sums>
static __device__ inline void block_scan(const T (&value)[sums], T (&warps)[sums][MOST_WARPS],
                                         T (&before)[sums], T (&total)[sums]) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int i = 0; i < sums; i++) {
        T upto = warp_scan(value[i]);
        before[i] = upto - value[i];
        if (lane == WARP - 1) warps[i][warp] = upto;
    }
    __syncthreads();
    for (int i = 0; i < sums; i++) {
        total[i] = 0;
        for (unsigned w = 0; w < blockDim.x / WARP; w++) {
            if (w < warp) before[i] += warps[i][w];
            total[i] += warps[i][w];
        }
    }
}

#endif
