/* The scores that are positive and reach their threshold: counted first, so that the host can reserve memory,
 * then written by ascending index.
 *
 * Counting moves 4 n bytes per row, writing 4 n and 8 per entry; 4 n more for the first rows if each latent
 * has its own threshold. Two comparisons a score: bound by memory. */
#include "backend/cuda/select.cuh"

static __device__ inline bool reaches(const float *row, const float *thresholds, float threshold, size_t j) {
    return row[j] > 0 && row[j] >= (thresholds ? thresholds[j] : threshold);
}

extern "C" __global__ void ra_threshold_count(const float *scores, size_t rows, size_t n,
                                              const float *thresholds, float threshold, uint32_t *count) {
    __shared__ uint32_t total;
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        if (threadIdx.x == 0) total = 0;
        __syncthreads();
        uint32_t found = 0;
        for (size_t j = threadIdx.x; j < n; j += blockDim.x)
            found += reaches(scores + b * n, thresholds, threshold, j);
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
        unsigned tile = 0;
        for (size_t from = 0; from < n; from += blockDim.x, tile++) {
            size_t j = from + threadIdx.x;
            bool taken = j < n && reaches(row, thresholds, threshold, j);
            tally before, total;
            rank_in_tile(taken, false, &counts, tile, &before, &total);
            if (taken && done + before.sure < end) {
                index[done + before.sure] = (int32_t)j;
                value[done + before.sure] = row[j];
            }
            done += total.sure;
        }
        __syncthreads(); /* the last tile of this row may still be read */
    }
}

cudaError_t ra_cuda_threshold_count(cudaStream_t stream, const float *scores, size_t rows, size_t n,
                                    const float *thresholds, float threshold, uint32_t *count) {
    if (rows == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_threshold_count, scores,
                 rows, n, thresholds, threshold, count);
}

cudaError_t ra_cuda_threshold_fill(cudaStream_t stream, const float *scores, size_t rows, size_t n,
                                   const float *thresholds, float threshold, const uint64_t *start_of,
                                   int32_t *index, float *value) {
    if (rows == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_threshold_fill, scores, rows,
                 n, thresholds, threshold, start_of, index, value);
}
