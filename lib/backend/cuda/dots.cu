/* C [m,n] <- A B^T + bias for a few rows of A, with B in its own type: a search, which reads all atoms for one query, and codes
 * of a few rows.
 *
 * A warp has some rows of B, whose loads of 16 bytes are in flight together, and a few rows of A, which the first-level
 * cache holds. The blocks of the same rows of B start one after the other, so that B comes from memory once and then from
 * the cache. Sums are float32, one per lane, added as a tree.
 *
 * n k (bytes of an element) from memory, as much again from the cache for each further MANY rows of A, and 2 m operations
 * per element: half an operation per byte and row of A in float32, one in half; bound by memory for a few rows of A. */
#include "backend/cuda/half.cuh"

enum { WARPS = ROW_THREADS / WARP, ROWS = 4, FEW = 4, MANY = 8 };

/* Beyond its end, B has its last row once more, whose sums are not written. */
template <typename T, int width, int at_once>
static __device__ void dots(const float *a, size_t m, const T *b, size_t n, size_t k, const float *bias,
                            float *c, size_t ldc) {
    constexpr int loaded = width < 4 ? width : 4; /* numbers of A */
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    size_t first = (size_t)blockIdx.x * at_once, count = min((unsigned)(m - first), (unsigned)at_once);
    for (size_t row = ((size_t)blockIdx.y * WARPS + warp) * ROWS; row < n;
         row += (size_t)gridDim.y * WARPS * ROWS) {
        float sum[ROWS][at_once] = {};
        for (size_t j = (size_t)lane * width; j < k; j += WARP * width) {
            pack<T, width> y[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) y[r] = load<T, width>(b + (row + r < n ? row + r : n - 1) * k + j);
#pragma unroll
            for (int i = 0; i < at_once; i++) {
                if (i >= (int)count) break;
                const float *from = a + (first + i) * k + j;
                pack<float, loaded> x[width / loaded];
#pragma unroll
                for (int e = 0; e < width; e += loaded) x[e / loaded] = load<float, loaded>(from + e);
#pragma unroll
                for (int e = 0; e < width; e++)
#pragma unroll
                    for (int r = 0; r < ROWS; r++)
                        sum[r][i] += x[e / loaded].element[e % loaded] * widen(y[r].element[e]);
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int i = 0; i < at_once; i++) {
                for (int step = WARP / 2; step; step /= 2)
                    sum[r][i] += __shfl_xor_sync(ALL_LANES, sum[r][i], step);
                if (lane == 0 && row + r < n && i < (int)count)
                    c[(first + i) * ldc + row + r] = bias ? sum[r][i] + bias[row + r] : sum[r][i];
            }
    }
}

#define DOTS_KERNEL(name, type, width, at_once)                                                              \
    extern "C" __global__ void name(const float *a, size_t m, const void *b, size_t n, size_t k,             \
                                    const float *bias, float *c, size_t ldc) {                               \
        dots<type, width, at_once>(a, m, (const type *)b, n, k, bias, c, ldc);                               \
    }
DOTS_KERNEL(ra_dots_f32, float, 4, FEW)
DOTS_KERNEL(ra_dots_f16, f16, 8, FEW)
DOTS_KERNEL(ra_dots_bf16, bf16, 8, FEW)
DOTS_KERNEL(ra_dots_f32_many, float, 4, MANY)
DOTS_KERNEL(ra_dots_f16_many, f16, 8, MANY)
DOTS_KERNEL(ra_dots_bf16_many, bf16, 8, MANY)
DOTS_KERNEL(ra_dots_f32_narrow, float, 1, FEW)
DOTS_KERNEL(ra_dots_f16_narrow, f16, 1, FEW)
DOTS_KERNEL(ra_dots_bf16_narrow, bf16, 1, FEW)

typedef void dots_kernel(const float *, size_t, const void *, size_t, size_t, const float *, float *, size_t);

cudaError_t ra_cuda_dots(cudaStream_t stream, const float *a, size_t m, cuda_width width, const void *b,
                         size_t n, size_t k, const float *bias, float *c, size_t ldc) {
    static dots_kernel *const kernels[][3] = {{ra_dots_f32_narrow, ra_dots_f32, ra_dots_f32_many},
                                              {ra_dots_f16_narrow, ra_dots_f16, ra_dots_f16_many},
                                              {ra_dots_bf16_narrow, ra_dots_bf16, ra_dots_bf16_many}};
    if (m == 0 || n == 0) return cudaSuccess;
    bool wide = is_wide(b, k * (width == CUDA_WIDTH_F32 ? 4 : 2)) && is_wide(a, k * sizeof *a);
    size_t at_once = wide && m > FEW ? MANY : FEW, groups = (m + at_once - 1) / at_once;
    if (groups > MOST_BLOCKS) return cudaErrorInvalidConfiguration;
    unsigned tiles = blocks_for((n + WARPS * ROWS - 1) / (WARPS * ROWS), MOST_TILES);
    return start(stream, dim3((unsigned)groups, tiles), ROW_THREADS,
                 kernels[width][wide ? 1 + (at_once == MANY) : 0], a, m, b, n, k, bias, c, ldc);
}
