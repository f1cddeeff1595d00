/* Sums over everything, in float64: partial sums by block, and one block that adds them. The division depends
 * on n and on whether arrays are aligned, and every sum has one order, so the result has the same bits each time. */
#include "backend/cuda/kernel.cuh"

enum { PAIRS_PER_BLOCK = 4096 };

unsigned ra_cuda_sum_parts(size_t n) {
    return blocks_for((n + PAIRS_PER_BLOCK - 1) / PAIRS_PER_BLOCK, RA_CUDA_SUM_PARTS);
}

static __device__ inline double sum_of_parts(const double *partial, unsigned parts, double *warps) {
    double sum = 0;
    for (unsigned i = threadIdx.x; i < parts; i += blockDim.x) sum += partial[i];
    return block_sum(sum, warps);
}

extern "C" __global__ void ra_sum_parts(const double *partial, unsigned parts, double *total) {
    __shared__ double warps[MOST_WARPS];
    double sum = sum_of_parts(partial, parts, warps);
    if (threadIdx.x == 0) *total = sum;
}

extern "C" __global__ void ra_sum_parts_rounded(const double *partial, unsigned parts, float *out) {
    __shared__ double warps[MOST_WARPS];
    double sum = sum_of_parts(partial, parts, warps);
    if (threadIdx.x == 0) *out = (float)sum;
}

cudaError_t ra_cuda_add_sum_parts(cudaStream_t stream, const double *partial, unsigned parts, double *total) {
    return start(stream, dim3(1), threads_for(parts), ra_sum_parts, partial, parts, total);
}

/* x . y
 *
 * 8 bytes and one float64 multiplication and addition per pair: bound by memory, but on GPUs with 1 float64
 * unit for 64 it comes near their limit. */
template <int width> struct operands { pack<float, width> a, b; };

template <int width>
static __device__ inline operands<width> fetch(const float *a, const float *b, size_t i) {
    return {load<float, width>(a + i), load<float, width>(b + i)};
}

template <int width>
static __device__ inline void add_products(size_t from, size_t n, const float *x, const float *y,
                                           double *sum) {
    for_grid_packs<width, 2>(
        from, n, [=](size_t i) { return fetch<width>(x, y, i); },
        [=](size_t, const operands<width> &at) {
            for (int c = 0; c < width; c++) *sum += (double)at.a.element[c] * at.b.element[c];
        });
}

extern "C" __global__ void ra_dot_parts(bool wide, const float *x, const float *y, size_t n,
                                        double *partial) {
    __shared__ double warps[MOST_WARPS];
    double sum = 0;
    FOR_ALL(add_products, wide, n, x, y, &sum);
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

cudaError_t ra_cuda_dot(cudaStream_t stream, const float *x, const float *y, size_t n, double *partial,
                        double *sum) {
    unsigned parts = ra_cuda_sum_parts(n);
    cudaError_t status = start(stream, dim3(parts), ROW_THREADS, ra_dot_parts, is_wide(x, 0) && is_wide(y, 0),
                               x, y, n, partial);
    if (status != cudaSuccess) return status;
    return ra_cuda_add_sum_parts(stream, partial, parts, sum);
}

cudaError_t ra_cuda_dot_into(cudaStream_t stream, const float *x, const float *y, size_t n, double *partial,
                             float *out) {
    unsigned parts = ra_cuda_sum_parts(n);
    cudaError_t status = start(stream, dim3(parts), ROW_THREADS, ra_dot_parts, is_wide(x, 0) && is_wide(y, 0),
                               x, y, n, partial);
    if (status != cudaSuccess) return status;
    return start(stream, dim3(1), threads_for(parts), ra_sum_parts_rounded, partial, parts, out);
}

/* g [n] <- scale (a - b), in float64 and rounded once; ||a - b||^2. g may be a or b.
 *
 * 12 bytes and four operations in float64 per number, two conversions among them: bound by memory where the
 * float64 units are half as many as the others, by those where they are few. */
template <int width>
static __device__ inline void add_gaps(size_t from, size_t n, const float *a, const float *b, double scale,
                                       float *g, double *sum) {
    for_grid_packs<width, 2>(
        from, n, [=](size_t i) { return fetch<width>(a, b, i); },
        [=](size_t i, const operands<width> &at) {
            pack<float, width> scaled;
            for (int c = 0; c < width; c++) {
                double gap = (double)at.a.element[c] - (double)at.b.element[c];
                *sum += gap * gap;
                scaled.element[c] = (float)(scale * gap);
            }
            store<float, width>(g + i, scaled);
        });
}

extern "C" __global__ void ra_squared_error_parts(bool wide, const float *a, const float *b, size_t n,
                                                  double scale, float *g, double *partial) {
    __shared__ double warps[MOST_WARPS];
    double sum = 0;
    FOR_ALL(add_gaps, wide, n, a, b, scale, g, &sum);
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

cudaError_t ra_cuda_squared_error(cudaStream_t stream, const float *a, const float *b, size_t n, double scale,
                                  float *g, double *partial, double *sum) {
    unsigned parts = ra_cuda_sum_parts(n);
    cudaError_t status = start(stream, dim3(parts), ROW_THREADS, ra_squared_error_parts,
                               is_wide(a, 0) && is_wide(b, 0) && is_wide(g, 0), a, b, n, scale, g, partial);
    if (status != cudaSuccess) return status;
    return ra_cuda_add_sum_parts(stream, partial, parts, sum);
}
