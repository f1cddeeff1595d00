/* Entries of sparse codes one by one: to and from dense scores, and their sums by latent. */
#include "backend/cuda/kernel.cuh"

enum { WARPS = ROW_THREADS / WARP, MOST_PARTS = 64 };

/* value [entries] <- dense [B,K] at each entry + beta value. One block per part of a row's entries.
 *
 * 12 bytes per entry (4 more with beta), of which 4 are read in pieces of 32: bound by memory. */
extern "C" __global__ void ra_gather_entries(cuda_codes codes, size_t latents, const float *dense, float beta,
                                             float *value) {
    for (size_t b = blockIdx.x; b < codes.rows; b += gridDim.x) {
        const float *row = dense + b * latents;
        for (uint64_t e = codes.start[b] + (uint64_t)blockIdx.y * blockDim.x + threadIdx.x;
             e < codes.start[b + 1]; e += (uint64_t)gridDim.y * blockDim.x)
            value[e] = row[codes.index[e]] + (beta != 0 ? beta * value[e] : 0);
    }
}

/* dense [B,K] += alpha value at each entry; a row names a latent once.
 *
 * 16 bytes per entry, of which 8 are read and written in pieces of 32: bound by memory. */
extern "C" __global__ void ra_scatter_entries(cuda_codes codes, size_t latents, float alpha, float *dense) {
    for (size_t b = blockIdx.x; b < codes.rows; b += gridDim.x) {
        float *row = dense + b * latents;
        for (uint64_t e = codes.start[b] + (uint64_t)blockIdx.y * blockDim.x + threadIdx.x;
             e < codes.start[b + 1]; e += (uint64_t)gridDim.y * blockDim.x)
            row[codes.index[e]] += alpha * codes.value[e];
    }
}

static dim3 grid_over(const cuda_codes &codes, unsigned threads) {
    return dim3(blocks_for(codes.rows, MOST_BLOCKS),
                blocks_for((codes.longest + threads - 1) / threads, MOST_PARTS));
}

cudaError_t ra_cuda_gather_entries(cudaStream_t stream, cuda_codes codes, size_t latents, const float *dense,
                                   float beta, float *value) {
    if (codes.rows == 0 || codes.longest == 0) return cudaSuccess;
    unsigned threads = threads_for(codes.longest);
    return start(stream, grid_over(codes, threads), threads, ra_gather_entries, codes, latents, dense, beta,
                 value);
}

cudaError_t ra_cuda_scatter_entries(cudaStream_t stream, cuda_codes codes, size_t latents, float alpha,
                                    float *dense) {
    if (codes.rows == 0 || codes.longest == 0) return cudaSuccess;
    unsigned threads = threads_for(codes.longest);
    return start(stream, grid_over(codes, threads), threads, ra_scatter_entries, codes, latents, alpha,
                 dense);
}

/* out [K] <- the sum of value[entry] over the entries of each latent. A warp has one latent;
 * each lane has one sum, and the lanes are added as a tree.
 *
 * 8 bytes per entry (its value in a piece of 32) and 16 per latent, one addition per entry: bound by
 * memory. */
extern "C" __global__ void ra_latent_sums(cuda_by_latent codes, const float *value, float *out) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (size_t l = (size_t)blockIdx.x * WARPS + warp; l < codes.latents; l += (size_t)gridDim.x * WARPS) {
        float sum = 0;
        for (uint32_t e = codes.division.start[l] + lane; e < codes.division.start[l + 1]; e += WARP)
            sum += value[codes.entry[e]];
        for (int step = WARP / 2; step; step /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, step);
        int32_t row = codes.position ? codes.position[l] : (int32_t)l;
        if (lane == 0 && row >= 0) out[row] = sum;
    }
}

cudaError_t ra_cuda_latent_sums(cudaStream_t stream, cuda_by_latent codes, const float *value, float *out) {
    if (codes.latents == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for((codes.latents + WARPS - 1) / WARPS, MOST_BLOCKS)), ROW_THREADS,
                 ra_latent_sums, codes, value, out);
}

/* gradient [entries] <- scale, or -scale where the value is negative; the sum of |value|. 8 bytes per entry: bound by
 * memory. */
template <int width>
static __device__ inline void add_magnitudes(size_t from, size_t n, const float *value, float scale,
                                             float *gradient, double *sum) {
    for_grid_packs<width, 4>(
        from, n, [=](size_t e) { return load<float, width>(value + e); },
        [=](size_t e, pack<float, width> part) {
            for (int c = 0; c < width; c++) {
                *sum += fabs((double)part.element[c]);
                part.element[c] = part.element[c] < 0 ? -scale : scale;
            }
            store<float, width>(gradient + e, part);
        });
}

extern "C" __global__ void ra_magnitude_parts(bool wide, const float *value, size_t entries, float scale,
                                              float *gradient, double *partial) {
    __shared__ double warps[MOST_WARPS];
    double sum = 0;
    FOR_ALL(add_magnitudes, wide, entries, value, scale, gradient, &sum);
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

cudaError_t ra_cuda_magnitudes(cudaStream_t stream, const float *value, size_t entries, float scale,
                               float *gradient, double *partial, double *sum) {
    unsigned parts = ra_cuda_sum_parts(entries);
    cudaError_t status =
        start(stream, dim3(parts), ROW_THREADS, ra_magnitude_parts, is_wide(value, 0) && is_wide(gradient, 0),
              value, entries, scale, gradient, partial);
    return status != cudaSuccess ? status : ra_cuda_add_sum_parts(stream, partial, parts, sum);
}
