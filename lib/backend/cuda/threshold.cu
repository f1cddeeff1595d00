/* The scores that are positive and reach their threshold: counted first, so that the host can reserve memory,
 * then written by ascending index.
 *
 * Counting moves 4 n bytes per row, writing 4 n and 8 per entry; 4 n more for the first rows if each latent
 * has its own threshold. Two comparisons a score: bound by memory. */
#include "backend/cuda/select.cuh"

static __device__ inline bool reaches(float score, float threshold) {
    return score > 0 && score >= threshold;
}

template <int width> struct compared { pack<float, width> score, threshold; };

template <int width>
static __device__ inline uint32_t count_row(const float *row, size_t n, const float *thresholds,
                                            float threshold) {
    uint32_t found = 0;
    for_packs<width, 4>((size_t)threadIdx.x * width, (size_t)blockDim.x * width, n,
                        [=](size_t j) {
                            compared<width> at = {};
                            at.score = load<float, width>(row + j);
                            if (thresholds) at.threshold = load<float, width>(thresholds + j);
                            return at;
                        },
                        [&](size_t, const compared<width> &at) {
                            for (int c = 0; c < width; c++)
                                found += reaches(at.score.element[c],
                                                 thresholds ? at.threshold.element[c] : threshold);
                        });
    return found;
}

extern "C" __global__ void ra_threshold_count(bool wide, const float *scores, size_t rows, size_t n,
                                              const float *thresholds, float threshold, uint32_t *count) {
    __shared__ uint32_t total;
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        if (threadIdx.x == 0) total = 0;
        __syncthreads();
        const float *row = scores + b * n;
        uint32_t found = wide ? count_row<PACK>(row, n, thresholds, threshold)
                              : count_row<1>(row, n, thresholds, threshold);
        if (found) atomicAdd(&total, found);
        __syncthreads();
        if (threadIdx.x == 0) count[b] = total; /* this thread clears it next */
    }
}

extern "C" __global__ void ra_threshold_fill(const float *scores, size_t rows, size_t n,
                                             const float *thresholds, float threshold,
                                             const uint64_t *start_of, int32_t *index, float *value) {
    __shared__ tile_counts counts;
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        const float *row = scores + b * n;
        uint64_t done = start_of[b], end = start_of[b + 1]; /* less than it has, if the host's memory ends */
        for (size_t from = 0; from < n; from += TILES_AHEAD * blockDim.x) {
            float score[TILES_AHEAD], bar[TILES_AHEAD];
#pragma unroll
            for (unsigned tile = 0; tile < TILES_AHEAD; tile++) {
                size_t j = from + tile * blockDim.x + threadIdx.x;
                score[tile] = j < n ? row[j] : 0;
                bar[tile] = thresholds && j < n ? thresholds[j] : threshold;
            }
#pragma unroll
            for (unsigned tile = 0; tile < TILES_AHEAD; tile++) {
                size_t j = from + tile * blockDim.x + threadIdx.x;
                bool taken = reaches(score[tile], bar[tile]);
                tally before, total;
                rank_in_tile(taken, false, &counts, tile, &before, &total);
                if (taken && done + before.sure < end) {
                    index[done + before.sure] = (int32_t)j;
                    value[done + before.sure] = score[tile];
                }
                done += total.sure;
            }
        } /* an even number of tiles: the next row's first does not take the place of the last one's counts */
    }
}

cudaError_t ra_cuda_threshold_count(cudaStream_t stream, const float *scores, size_t rows, size_t n,
                                    const float *thresholds, float threshold, uint32_t *count) {
    if (rows == 0) return cudaSuccess;
    bool wide = is_wide(scores, n * sizeof *scores) && is_wide(thresholds, 0);
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(wide ? n / PACK : n),
                 ra_threshold_count, wide, scores, rows, n, thresholds, threshold, count);
}

cudaError_t ra_cuda_threshold_fill(cudaStream_t stream, const float *scores, size_t rows, size_t n,
                                   const float *thresholds, float threshold, const uint64_t *start_of,
                                   int32_t *index, float *value) {
    if (rows == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_threshold_fill, scores, rows,
                 n, thresholds, threshold, start_of, index, value);
}
