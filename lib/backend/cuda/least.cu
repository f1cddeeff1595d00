/* The least of each row of scores, for k-means: 16 bytes go to the host in place of a row. A warp has one row.
 *
 * 4 bytes per score, which the product before has just written, and 8 per column, which the cache holds; two additions and
 * three comparisons: bound by memory, or the cache. */
#include "backend/cuda/kernel.cuh"

enum { WARPS = ROW_THREADS / WARP };

static __device__ inline void take_lower(cuda_least *least, float low, int32_t at) {
    if (low < least->low) {
        least->second_low = least->low;
        least->low = low;
        least->first = at;
    } else if (low < least->second_low) {
        least->second_low = low;
    }
}

/* What another lane has found. Of equals, the first column is the first. */
static __device__ inline void merge(cuda_least *least, cuda_least other) {
    bool swap =
        other.low < least->low || (other.low == least->low && (uint32_t)other.first < (uint32_t)least->first);
    cuda_least front = swap ? other : *least, back = swap ? *least : other;
    least->high = other.high < least->high ? other.high : least->high;
    least->low = front.low;
    least->first = front.first;
    least->second_low = back.low < front.second_low ? back.low : front.second_low;
}

template <int width> struct columns { pack<float, width> score, low, high; };

template <int width>
static __device__ inline void look_at(const float *row, size_t n, const float *low, const float *high,
                                      cuda_least *least) {
    for_packs<width, 2>((size_t)(threadIdx.x % WARP) * width, (size_t)WARP * width, n,
                        [=](size_t i) {
                            return columns<width>{load<float, width>(row + i), load<float, width>(low + i),
                                                  load<float, width>(high + i)};
                        },
                        [=](size_t i, const columns<width> &at) {
                            for (int c = 0; c < width; c++) {
                                float above = at.score.element[c] + at.high.element[c];
                                least->high = above < least->high ? above : least->high;
                                take_lower(least, at.score.element[c] + at.low.element[c], (int32_t)(i + c));
                            }
                        });
}

extern "C" __global__ void ra_least_scores(bool wide, const float *scores, size_t rows, size_t n,
                                           const float *low, const float *high, cuda_least *out) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const float none = INFINITY;
    for (size_t b = (size_t)blockIdx.x * WARPS + warp; b < rows; b += (size_t)gridDim.x * WARPS) {
        const float *row = scores + b * n;
        cuda_least least = {none, none, none, -1};
        if (wide)
            look_at<PACK>(row, n, low, high, &least);
        else
            look_at<1>(row, n, low, high, &least);
        for (int step = WARP / 2; step; step /= 2) {
            cuda_least other = {__shfl_xor_sync(ALL_LANES, least.high, step),
                                __shfl_xor_sync(ALL_LANES, least.low, step),
                                __shfl_xor_sync(ALL_LANES, least.second_low, step),
                                __shfl_xor_sync(ALL_LANES, least.first, step)};
            merge(&least, other);
        }
        if (lane == 0) out[b] = least;
    }
}

cudaError_t ra_cuda_least_scores(cudaStream_t stream, const float *scores, size_t rows, size_t n,
                                 const float *low, const float *high, cuda_least *least) {
    if (rows == 0) return cudaSuccess;
    bool wide = is_wide(scores, n * sizeof *scores) && is_wide(low, 0) && is_wide(high, 0);
    return start(stream, dim3(blocks_for((rows + WARPS - 1) / WARPS, MOST_BLOCKS)), ROW_THREADS,
                 ra_least_scores, wide, scores, rows, n, low, high, least);
}
