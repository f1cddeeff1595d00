/* C [m,n] <- A B^T for a few rows of A, with B in its own type: a search, which reads all atoms for one query.
 *
 * A warp has some rows of B, whose loads of 16 bytes are in flight together, and a few rows of A, which the first-level
 * cache holds. Sums are float32, one per lane, added as a tree.
 *
 * n k (bytes of an element) for m <= AT_ONCE, 2 m operations per element: half an operation per byte and row of A in
 * float32, one in half; bound by memory. */
#include "backend/cuda/half.cuh"

enum { WARPS = ROW_THREADS / WARP, ROWS = 4, AT_ONCE = 4 };

/* Beyond its end, B has its last row once more, whose sums are not written. */
template <typename T, int width>
static __device__ void dots(const float *a, size_t m, const T *b, size_t n, size_t k, float *c, size_t ldc) {
    constexpr int at_once = width < 4 ? width : 4; /* numbers of A */
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    size_t first = (size_t)blockIdx.y * AT_ONCE, count = min((unsigned)(m - first), (unsigned)AT_ONCE);
    for (size_t row = ((size_t)blockIdx.x * WARPS + warp) * ROWS; row < n;
         row += (size_t)gridDim.x * WARPS * ROWS) {
        float sum[ROWS][AT_ONCE] = {};
        for (size_t j = (size_t)lane * width; j < k; j += WARP * width) {
            pack<T, width> y[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) y[r] = load<T, width>(b + (row + r < n ? row + r : n - 1) * k + j);
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) {
                if (i >= (int)count) break;
                const float *from = a + (first + i) * k + j;
                pack<float, at_once> x[width / at_once];
#pragma unroll
                for (int e = 0; e < width; e += at_once) x[e / at_once] = load<float, at_once>(from + e);
#pragma unroll
                for (int e = 0; e < width; e++)
#pragma unroll
                    for (int r = 0; r < ROWS; r++)
                        sum[r][i] += x[e / at_once].element[e % at_once] * widen(y[r].element[e]);
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) {
                for (int step = WARP / 2; step; step /= 2)
                    sum[r][i] += __shfl_xor_sync(ALL_LANES, sum[r][i], step);
                if (lane == 0 && row + r < n && i < (int)count) c[(first + i) * ldc + row + r] = sum[r][i];
            }
    }
}

#define DOTS_KERNEL(name, type, width)                                                                       \
    extern "C" __global__ void name(const float *a, size_t m, const void *b, size_t n, size_t k, float *c,   \
                                    size_t ldc) {                                                            \
        dots<type, width>(a, m, (const type *)b, n, k, c, ldc);                                              \
    }
DOTS_KERNEL(ra_dots_f32, float, 4)
DOTS_KERNEL(ra_dots_f16, f16, 8)
DOTS_KERNEL(ra_dots_bf16, bf16, 8)
DOTS_KERNEL(ra_dots_f32_narrow, float, 1)
DOTS_KERNEL(ra_dots_f16_narrow, f16, 1)
DOTS_KERNEL(ra_dots_bf16_narrow, bf16, 1)

typedef void dots_kernel(const float *, size_t, const void *, size_t, size_t, float *, size_t);

cudaError_t ra_cuda_dots(cudaStream_t stream, const float *a, size_t m, cuda_width width, const void *b,
                         size_t n, size_t k, float *c, size_t ldc) {
    static dots_kernel *const kernels[][2] = {{ra_dots_f32_narrow, ra_dots_f32},
                                              {ra_dots_f16_narrow, ra_dots_f16},
                                              {ra_dots_bf16_narrow, ra_dots_bf16}};
    if (m == 0 || n == 0) return cudaSuccess;
    size_t groups = (m + AT_ONCE - 1) / AT_ONCE;
    if (groups > MOST_TILES) return cudaErrorInvalidConfiguration;
    bool wide = is_wide(b, k * (width == CUDA_WIDTH_F32 ? 4 : 2)) && is_wide(a, k * sizeof *a);
    return start(stream,
                 dim3(blocks_for((n + WARPS * ROWS - 1) / (WARPS * ROWS), MOST_BLOCKS), (unsigned)groups),
                 ROW_THREADS, kernels[width][wide], a, m, b, n, k, c, ldc);
}
