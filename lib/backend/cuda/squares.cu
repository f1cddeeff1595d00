/* Sums of squares of several arrays, in float64, in two launches: the partial sums of all, and a block for each array that
 * adds its own. The division and the order of each sum are those of `dot` (sums.cu). */
#include "backend/cuda/kernel.cuh"

template <int width>
static __device__ inline void add_squares(size_t from, size_t n, const float *x, size_t parts, double *sum) {
    for_packs<width, 2>(
        from + ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * width, parts * blockDim.x * width, n,
        [=](size_t i) { return load<float, width>(x + i); },
        [=](size_t, const pack<float, width> &at) {
            for (int c = 0; c < width; c++) *sum += (double)at.element[c] * at.element[c];
        });
}

/* partial [arrays, RA_CUDA_SUM_PARTS]. Block (p, a) has part p of array a.
 *
 * 4 bytes and one float64 multiplication and addition per number: bound by memory where the float64 units are half as many
 * as the others. */
extern "C" __global__ void ra_square_parts(cuda_arrays arrays, double *partial) {
    __shared__ double warps[MOST_WARPS];
    const float *x = arrays.x[blockIdx.y];
    size_t n = arrays.n[blockIdx.y], parts = arrays.parts[blockIdx.y];
    if (blockIdx.x >= parts) return;
    bool wide = (uintptr_t)x % (PACK * sizeof *x) == 0;
    double sum = 0;
    FOR_ALL(add_squares, wide, n, x, parts, &sum);
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) partial[(size_t)blockIdx.y * RA_CUDA_SUM_PARTS + blockIdx.x] = sum;
}

extern "C" __global__ void ra_square_totals(cuda_arrays arrays, const double *partial, double *totals) {
    __shared__ double warps[MOST_WARPS];
    double sum = 0;
    for (unsigned i = threadIdx.x; i < arrays.parts[blockIdx.x]; i += blockDim.x)
        sum += partial[(size_t)blockIdx.x * RA_CUDA_SUM_PARTS + i];
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) totals[blockIdx.x] = sum;
}

cudaError_t ra_cuda_squares(cudaStream_t stream, cuda_arrays arrays, double *partial, double *totals) {
    unsigned most = 1;
    if (arrays.count == 0) return cudaSuccess;
    for (unsigned a = 0; a < arrays.count; a++) {
        arrays.parts[a] = ra_cuda_sum_parts(arrays.n[a]);
        if (arrays.parts[a] > most) most = arrays.parts[a];
    }
    cudaError_t status =
        start(stream, dim3(most, arrays.count), ROW_THREADS, ra_square_parts, arrays, partial);
    if (status != cudaSuccess) return status;
    return start(stream, dim3(arrays.count), threads_for(most), ra_square_totals, arrays,
                 (const double *)partial, totals);
}
