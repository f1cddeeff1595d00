/* select.cuh - selections in the order of the indices: where in a row's result does a thread's entry go?
 *
 * A block goes over a row in tiles of one number a thread. In a tile, ballots say which lanes of a warp have
 * an entry, counts by warp stand in shared memory, and each thread adds up those of the warps before its own:
 * entries come out by rising index without sorting. One barrier a tile: the counts of two tiles have places
 * of their own, and whoever writes a tile's has passed the barrier of the one between. */
#ifndef RA_BACKEND_CUDA_SELECT_CUH
#define RA_BACKEND_CUDA_SELECT_CUH

#include "backend/cuda/kernel.cuh"

/* Of two kinds at once: entries that are in for sure, and those that may be. */
typedef struct tally {
    uint32_t sure, maybe;
} tally;

typedef struct tile_counts {
    uint32_t warp[2][MOST_WARPS]; /* sure << 16 | maybe */
} tile_counts;

/* before <- how many stand before this thread's in the tile; total <- how many there are in it. All threads
 * call it. */
static __device__ inline void rank_in_tile(bool sure, bool maybe, tile_counts *counts, unsigned tile,
                                           tally *before, tally *total) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, lower = (1u << lane) - 1;
    unsigned sure_lanes = __ballot_sync(ALL_LANES, sure), maybe_lanes = __ballot_sync(ALL_LANES, maybe);
    uint32_t *place = counts->warp[tile % 2];
    if (lane == 0) place[warp] = (uint32_t)__popc(sure_lanes) << 16 | (uint32_t)__popc(maybe_lanes);
    __syncthreads();
    uint32_t ahead = 0, all = 0;
    for (unsigned w = 0; w < blockDim.x / WARP; w++) {
        if (w == warp) ahead = all;
        all += place[w];
    }
    before->sure = (ahead >> 16) + (uint32_t)__popc(sure_lanes & lower);
    before->maybe = (ahead & 0xffff) + (uint32_t)__popc(maybe_lanes & lower);
    total->sure = all >> 16;
    total->maybe = all & 0xffff;
}

#endif
