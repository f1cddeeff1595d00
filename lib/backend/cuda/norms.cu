/* LayerNorm and BatchNorm of u [rows, n], forward and backward (torch.nn.LayerNorm, torch.nn.BatchNorm1d).
 * With xhat = (u - mean) rstd and dxhat = gamma dy,
 *     y = gamma xhat + beta,   du = rstd (dxhat - avg(dxhat) - xhat avg(dxhat xhat))
 * where averages are over the row or over the batch, as the statistics are. Sums are float64. */
#include "backend/cuda/columns.cuh"

enum { TILE = 4 * ROW_THREADS };

static __device__ inline float normalized(const cuda_norm &norm, float u, size_t i) {
    return (u - norm.mean[i]) * norm.rstd[i];
}

/* mean, rstd [rows]. One block per row.
 *
 * 4 bytes per number (the second reading comes from the cache) for four operations in float64: bound by
 * memory if there are enough float64 units. */
extern "C" __global__ void ra_row_statistics(const float *u, size_t rows, size_t n, double epsilon,
                                             float *mean, float *rstd) {
    __shared__ double warps[MOST_WARPS];
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x) {
        const float *row = u + i * n;
        double sum = 0, squares = 0;
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) sum += row[j];
        double middle = block_sum(sum, warps) / (double)n;
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) squares += (row[j] - middle) * (row[j] - middle);
        double variance = block_sum(squares, warps) / (double)n;
        if (threadIdx.x > 0) continue;
        mean[i] = (float)middle;
        rstd[i] = (float)(1 / sqrt(variance + epsilon));
    }
}

cudaError_t ra_cuda_row_statistics(cudaStream_t stream, const float *u, size_t rows, size_t n, double epsilon,
                                   float *mean, float *rstd) {
    if (rows == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_row_statistics, u, rows, n,
                 epsilon, mean, rstd);
}

/* y [rows,n]; y may be u. One block per row and tile of its columns: there may be few rows.
 *
 * 8 bytes per number (the four factors of a row or a column come from the cache) for four operations: bound
 * by memory. */
extern "C" __global__ void ra_normalize(bool by_row, cuda_norm norm, const float *u, float *y, size_t rows,
                                        size_t n) {
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x)
        for (size_t j = (size_t)blockIdx.y * blockDim.x + threadIdx.x; j < n;
             j += (size_t)gridDim.y * blockDim.x)
            y[i * n + j] = normalized(norm, u[i * n + j], by_row ? i : j) * norm.gamma[j] + norm.beta[j];
}

cudaError_t ra_cuda_normalize(cudaStream_t stream, bool by_row, cuda_norm norm, const float *u, float *y,
                              size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    unsigned tiles = blocks_for((n + TILE - 1) / TILE, MOST_TILES);
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS), tiles), threads_for(n), ra_normalize, by_row,
                 norm, u, y, rows, n);
}

/* total [2,n] <- dy xhat, and dy
 *
 * 8 bytes per number for five operations, three in float64: bound by memory if there are enough float64
 * units. */
extern "C" __global__ void ra_norm_sums(bool by_row, cuda_norm norm, const float *u, const float *dy,
                                        size_t rows, size_t n, double *out) {
    __shared__ column_memory held;
    size_t column = column_of_thread();
    sum_columns<2>(rows, n, out, held, [=](size_t row, double *sum) {
        size_t at = row * n + column;
        double gradient = dy[at];
        sum[0] += gradient * normalized(norm, u[at], by_row ? row : column);
        sum[1] += gradient;
    });
}

cudaError_t ra_cuda_norm_sums(cudaStream_t stream, bool by_row, cuda_norm norm, const float *u,
                              const float *dy, size_t rows, size_t n, double *partial, double *total) {
    return start_columns<2>(stream, rows, n, partial, total, ra_norm_sums, by_row, norm, u, dy, rows, n);
}

/* dy [rows,n] <- du, averages over the row. One block per row.
 *
 * 12 bytes per number (the second readings come from the cache) for some 15 operations, ten in float64: bound
 * by memory if there are enough float64 units. */
extern "C" __global__ void ra_layer_norm_backward(cuda_norm norm, const float *u, float *dy, size_t rows,
                                                  size_t n) {
    __shared__ double warps[MOST_WARPS];
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x) {
        const float *row = u + i * n;
        float *gradient = dy + i * n;
        double sum = 0, dot = 0;
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) {
            double dxhat = (double)norm.gamma[j] * gradient[j];
            sum += dxhat;
            dot += dxhat * normalized(norm, row[j], i);
        }
        sum = block_sum(sum, warps) / (double)n;
        dot = block_sum(dot, warps) / (double)n;
        for (size_t j = threadIdx.x; j < n; j += blockDim.x)
            gradient[j] = (float)(norm.rstd[i] * ((double)norm.gamma[j] * gradient[j] - sum -
                                                  normalized(norm, row[j], i) * dot));
    }
}

/* The same with averages over the batch: sums [2,n] / count. 12 bytes and some 10 operations per number. */
extern "C" __global__ void ra_batch_norm_backward(cuda_norm norm, const float *u, const double *sums,
                                                  double count, float *dy, size_t rows, size_t n) {
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x)
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) {
            size_t at = i * n + j;
            double centered = dy[at] - sums[n + j] / count - normalized(norm, u[at], j) * sums[j] / count;
            dy[at] = (float)((double)norm.gamma[j] * norm.rstd[j] * centered);
        }
}

cudaError_t ra_cuda_norm_backward(cudaStream_t stream, bool by_row, cuda_norm norm, const float *u,
                                  const double *sums, double count, float *dy, size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    dim3 grid(blocks_for(rows, MOST_BLOCKS));
    if (by_row) return start(stream, grid, threads_for(n), ra_layer_norm_backward, norm, u, dy, rows, n);
    return start(stream, grid, threads_for(n), ra_batch_norm_backward, norm, u, sums, count, dy, rows, n);
}
