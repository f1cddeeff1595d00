/* Operations that touch every number once: y = alpha x + beta y, and copies of rows. */
#include "backend/cuda/kernel.cuh"

enum { PACK = 4, THREADS = 256 };

/* y [n] <- alpha x + beta y. A factor of 0 leaves its operand unread.
 *
 * 12 bytes and 3 operations a number (8 bytes when one factor is 0): bound by memory. */
template <int width>
static __device__ void combine(float alpha, const float *x, float beta, float *y, size_t from, size_t n) {
    size_t stride = (size_t)gridDim.x * blockDim.x * width;
    for (size_t i = from + ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * width; i + width <= n;
         i += stride) {
        pack<float, width> result = {}, a = {}, b = {};
        if (alpha != 0) a = load<float, width>(x + i);
        if (beta != 0) b = load<float, width>(y + i);
        for (int c = 0; c < width; c++)
            result.element[c] =
                (alpha != 0 ? alpha * a.element[c] : 0) + (beta != 0 ? beta * b.element[c] : 0);
        store<float, width>(y + i, result);
    }
}

extern "C" __global__ void ra_combine(float alpha, const float *x, float beta, float *y, size_t n,
                                      bool wide) {
    size_t whole = wide ? n / PACK * PACK : 0;
    combine<PACK>(alpha, x, beta, y, 0, whole);
    combine<1>(alpha, x, beta, y, whole, n);
}

cudaError_t ra_cuda_combine(cudaStream_t stream, float alpha, const float *x, float beta, float *y,
                            size_t n) {
    if (n == 0) return cudaSuccess;
    bool wide = is_wide(y, 0) && is_wide(x, 0);
    unsigned blocks = blocks_for((n + THREADS * PACK - 1) / (THREADS * PACK), STREAMING_BLOCKS);
    return start(stream, dim3(blocks), threads_for(n), ra_combine, alpha, x, beta, y, n, wide);
}

/* target [count,n] <- the rows of source with these numbers. One block a row.
 *
 * 8 n + 4 bytes a row, no operations: bound by memory. */
template <int width>
static __device__ void copy_row(const float *source, float *target, size_t from, size_t n) {
    for (size_t j = from + (size_t)threadIdx.x * width; j + width <= n; j += (size_t)blockDim.x * width)
        store<float, width>(target + j, load<float, width>(source + j));
}

extern "C" __global__ void ra_gather(const float *source, const int32_t *rows, size_t count, size_t n,
                                     float *target, bool wide) {
    for (size_t i = blockIdx.x; i < count; i += gridDim.x) {
        const float *row = source + (size_t)rows[i] * n;
        if (wide)
            copy_row<PACK>(row, target + i * n, 0, n);
        else
            copy_row<1>(row, target + i * n, 0, n);
    }
}

cudaError_t ra_cuda_gather(cudaStream_t stream, const float *source, const int32_t *rows, size_t count,
                           size_t n, float *target) {
    if (count == 0 || n == 0) return cudaSuccess;
    bool wide = is_wide(source, n * sizeof *source) && is_wide(target, 0);
    return start(stream, dim3(blocks_for(count, MOST_BLOCKS)), threads_for(wide ? n / PACK : n), ra_gather,
                 source, rows, count, n, target, wide);
}
