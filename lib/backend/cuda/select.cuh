/* select.cuh - selections in the order of the indices: the position of a thread's entry in the result of a
 * row.
 *
 * A block reads a row in tiles of one number per thread. In a tile, ballots tell which lanes of a warp have
 * an entry, shared memory holds the count of each warp, and each thread adds the counts of the warps before
 * its own: entries are written by ascending index, without sorting. One barrier per tile is enough:
 * consecutive tiles have separate counts, and a thread that writes the counts of a tile has passed the
 * barrier of the tile before. */
#ifndef RA_BACKEND_CUDA_SELECT_CUH
#define RA_BACKEND_CUDA_SELECT_CUH

#include "backend/cuda/kernel.cuh"

/* Two kinds at once: entries that are selected for sure, and those that may be. */
typedef struct tally {
    uint32_t sure, maybe;
} tally;

/* Tiles that are read before the first is ranked: an even number, so that their counts alternate. */
enum { TILES_AHEAD = 4 };

typedef struct tile_counts {
    uint32_t warp[2][MOST_WARPS]; /* sure << 16 | maybe */
} tile_counts;

/* before <- how many entries precede this thread's in the tile; total <- how many are in it. All threads call
 * it. */
static __device__ inline void rank_in_tile(bool sure, bool maybe, tile_counts *counts, unsigned tile,
                                           tally *before, tally *total) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, lower = (1u << lane) - 1;
    unsigned sure_lanes = __ballot_sync(ALL_LANES, sure), maybe_lanes = __ballot_sync(ALL_LANES, maybe);
    uint32_t *count = counts->warp[tile % 2];
    if (lane == 0) count[warp] = (uint32_t)__popc(sure_lanes) << 16 | (uint32_t)__popc(maybe_lanes);
    __syncthreads();
    uint32_t ahead = 0, sum = 0;
    for (unsigned w = 0; w < blockDim.x / WARP; w++) {
        if (w == warp) ahead = sum;
        sum += count[w];
    }
    before->sure = (ahead >> 16) + (uint32_t)__popc(sure_lanes & lower);
    before->maybe = (ahead & 0xffff) + (uint32_t)__popc(maybe_lanes & lower);
    total->sure = sum >> 16;
    total->maybe = sum & 0xffff;
}

#endif
