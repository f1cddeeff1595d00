/* Norms of rows and projections by them: one block per row, a sum over it in float64, then a scaling of it.
 *
 * A norm moves 4 bytes per number, a projection 8 bytes per number from and to memory (the second reading of
 * a row comes from the cache), and does one or two operations in float64 and one in float32 for them. A
 * consumer's GPU does 1 float64 operation for 64 in float32; that is still more than one a number read at its
 * bandwidth: bound by memory. */
#include "backend/cuda/kernel.cuh"

/* each row of W [rows, n] <- relu(row) / (sum + 1e-8) */
extern "C" __global__ void ra_project_simplex(float *W, size_t rows, size_t n) {
    __shared__ double warps[MOST_WARPS];
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x) {
        float *row = W + i * n;
        double sum = 0;
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) sum += row[j] > 0 ? row[j] : 0;
        float scale = (float)(1 / (block_sum(sum, warps) + 1e-8));
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) row[j] = row[j] > 0 ? row[j] * scale : 0;
    }
}

cudaError_t ra_cuda_project_simplex(cudaStream_t stream, float *W, size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_project_simplex, W, rows, n);
}

/* each row of R [rows, n] <- row * min(1, radius / ||row||) */
extern "C" __global__ void ra_project_ball(float *R, size_t rows, size_t n, float radius) {
    __shared__ double warps[MOST_WARPS];
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x) {
        float *row = R + i * n;
        double sum = 0;
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) sum += (double)row[j] * row[j];
        double norm = sqrt(block_sum(sum, warps));
        if (norm <= radius) continue; /* all threads have the same sum */
        float scale = (float)(radius / norm);
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) row[j] *= scale;
    }
}

cudaError_t ra_cuda_project_ball(cudaStream_t stream, float *R, size_t rows, size_t n, float radius) {
    if (rows == 0 || n == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_project_ball, R, rows, n,
                 radius);
}

/* norms [rows] <- sum |x| (l1), or sqrt(sum x^2), of each row of x [rows, n] */
extern "C" __global__ void ra_row_norms(const float *x, size_t rows, size_t n, bool l1, double *norms) {
    __shared__ double warps[MOST_WARPS];
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x) {
        const float *row = x + i * n;
        double sum = 0;
        for (size_t j = threadIdx.x; j < n; j += blockDim.x)
            sum += l1 ? fabs((double)row[j]) : (double)row[j] * row[j];
        sum = block_sum(sum, warps);
        if (threadIdx.x == 0) norms[i] = l1 ? sum : sqrt(sum);
    }
}

cudaError_t ra_cuda_row_norms(cudaStream_t stream, const float *x, size_t rows, size_t n, bool l1,
                              double *norms) {
    if (rows == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_row_norms, x, rows, n, l1,
                 norms);
}
