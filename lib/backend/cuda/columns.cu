/* Sums of columns. */
#include "backend/cuda/columns.cuh"

enum { LEAST_ROWS = 8 * COLUMN_WARPS, ENOUGH_BLOCKS = 1024 };

/* As many parts as make ENOUGH_BLOCKS with the tiles of columns, but each has at least LEAST_ROWS rows. */
size_t ra_cuda_column_parts(size_t rows, size_t n) {
    size_t tiles = (n + WARP - 1) / WARP, wanted = tiles ? (ENOUGH_BLOCKS + tiles - 1) / tiles : 1,
           most = rows / LEAST_ROWS;
    return most < 1 ? 1 : wanted < most ? wanted : most;
}

/* total [n] <- the sum over the parts of partial [parts, n]. 8 bytes and an addition per number; there are
 * some thousands of them. */
extern "C" __global__ void ra_column_parts(const double *partial, size_t parts, size_t n, double *total) {
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x) {
        double sum = 0;
        for (size_t part = 0; part < parts; part++) sum += partial[part * n + i];
        total[i] = sum;
    }
}

cudaError_t add_column_parts(cudaStream_t stream, const double *partial, size_t parts, size_t n,
                             double *total) {
    return start(stream, dim3(blocks_for((n + ROW_THREADS - 1) / ROW_THREADS, MOST_BLOCKS)), ROW_THREADS,
                 ra_column_parts, partial, parts, n, total);
}

/* x, or (x - center)^2
 *
 * 4 bytes per number for one to three operations in float64 and a conversion: bound by memory, or by
 * the float64 units on GPUs that have one for 64 others. */
extern "C" __global__ void ra_column_sums(const float *x, size_t rows, size_t n, const double *center,
                                          double *out) {
    __shared__ column_memory held;
    size_t column = column_of_thread();
    double middle = center && column < n ? center[column] : 0;
    sum_columns<1>(
        rows, n, out, held, [=](size_t row) { return x[row * n + column]; },
        [=](float number, double *sum) {
            double value = number - middle;
            sum[0] += center ? value * value : value;
        });
}

cudaError_t ra_cuda_column_sums(cudaStream_t stream, const float *x, size_t rows, size_t n,
                                const double *center, double *partial, double *total) {
    return start_columns<1>(stream, rows, n, partial, total, ra_column_sums, x, rows, n, center);
}
