/* columns.cuh - sums over the rows of a matrix, in float64, the same bits each time.
 *
 * A block has a tile of 32 columns and a part of the rows; a warp reads 128 bytes of a row, each of its lanes
 * adds up one column, and the warps' sums are added at the end, in order. There are enough parts to keep a
 * large device busy; a second kernel adds them. The division depends on the shape only. */
#ifndef RA_BACKEND_CUDA_COLUMNS_CUH
#define RA_BACKEND_CUDA_COLUMNS_CUH

#include "backend/cuda/kernel.cuh"

enum { COLUMN_WARPS = ROW_THREADS / WARP, COLUMN_SUMS = 2, COLUMNS_AHEAD = 8 };

/* A block's shared memory: the sums by warp and lane. */
typedef double column_memory[COLUMN_SUMS][COLUMN_WARPS][WARP];

static __device__ inline size_t column_of_thread() {
    return (size_t)blockIdx.x * WARP + threadIdx.x % WARP;
}

/* out [parts, sums, n] <- for each part, the sums that `add(fetch(row), sum)` adds to, for the thread's column;
 * COLUMNS_AHEAD rows are fetched before the first is added */
template <int sums, typename Fetch, typename Add>
static __device__ inline void sum_columns(size_t rows, size_t n, double *out, column_memory &held,
                                          const Fetch &fetch, const Add &add) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    size_t column = column_of_thread(), part_rows = (rows + gridDim.y - 1) / gridDim.y,
           first = blockIdx.y * part_rows, last = first + part_rows < rows ? first + part_rows : rows;
    double sum[sums] = {};
    if (column < n) {
        size_t row = first + warp;
        for (; row + (COLUMNS_AHEAD - 1) * COLUMN_WARPS < last; row += COLUMNS_AHEAD * COLUMN_WARPS) {
            decltype(fetch(row)) at[COLUMNS_AHEAD];
#pragma unroll
            for (int a = 0; a < COLUMNS_AHEAD; a++) at[a] = fetch(row + a * COLUMN_WARPS);
            keep_order();
#pragma unroll
            for (int a = 0; a < COLUMNS_AHEAD; a++) add(at[a], sum);
        }
        for (; row < last; row += COLUMN_WARPS) add(fetch(row), sum);
    }
    for (int s = 0; s < sums; s++) held[s][warp][lane] = sum[s];
    __syncthreads();
    if (warp >= sums || column >= n) return;
    double total = 0;
    for (unsigned w = 0; w < COLUMN_WARPS; w++) total += held[warp][w][lane];
    out[((size_t)blockIdx.y * sums + warp) * n + column] = total;
}

/* Starts a kernel that calls sum_columns(), and if there are several parts, the one that adds them
 * (columns.cu); `out` is the kernel's last parameter. */
cudaError_t add_column_parts(cudaStream_t stream, const double *partial, size_t parts, size_t n,
                             double *total);

template <int sums, typename... Parameters, typename... Arguments>
static inline cudaError_t start_columns(cudaStream_t stream, size_t rows, size_t n, double *partial,
                                        double *total, void (*kernel)(Parameters...),
                                        Arguments... arguments) {
    size_t parts = ra_cuda_column_parts(rows, n), tiles = (n + WARP - 1) / WARP;
    if (n == 0) return cudaSuccess;
    if (tiles > MOST_BLOCKS) return cudaErrorInvalidConfiguration;
    cudaError_t status = start(stream, dim3((unsigned)tiles, (unsigned)parts), ROW_THREADS, kernel,
                               arguments..., parts > 1 ? partial : total);
    if (status != cudaSuccess || parts == 1) return status;
    return add_column_parts(stream, partial, parts, sums * n, total);
}

#endif
