/* kernel.cuh - what every kernel file shares: starting a kernel, sizes of grids, loads of 16 bytes, sums over
 * a block.
 *
 * It uses C++ only for typed launches: cudaLaunchKernelEx() is a function, so the sources contain no <<<>>>
 * and also compile with a host compiler (tests/emulation/). */
#ifndef RA_BACKEND_CUDA_KERNEL_CUH
#define RA_BACKEND_CUDA_KERNEL_CUH

#include <cuda_runtime.h>

#include "backend/cuda/launch.h"

enum { WARP = 32, MOST_WARPS = 32, ROW_THREADS = 256 };
#define ALL_LANES 0xffffffffu

/* Blocks of a grid: one per piece of work, up to the most a grid may have; kernels continue in strides of
 * the grid. A build that checks kernels has few blocks, so that every kernel has to. */
static inline unsigned blocks_for(size_t pieces, size_t most) {
#ifdef RA_CUDA_MOST_BLOCKS
    if (most > RA_CUDA_MOST_BLOCKS) most = RA_CUDA_MOST_BLOCKS;
#endif
    return (unsigned)(pieces < 1 ? 1 : pieces < most ? pieces : most);
}

enum { MOST_BLOCKS = 1 << 24, MOST_TILES = 65535, STREAMING_BLOCKS = 4096 };

/* Threads of a block that works on rows of n numbers: whole warps, no more than have work. */
static inline unsigned threads_for(size_t n) {
    return n >= ROW_THREADS ? (unsigned)ROW_THREADS
           : n <= WARP      ? (unsigned)WARP
                            : (unsigned)((n + WARP - 1) / WARP * WARP);
}

/* Rows that need no sum over them, several to a block where they are short: a row's share of the threads is whole warps, or a
 * power of two below one. */
static inline unsigned lanes_for(size_t n) {
    unsigned lanes = 1;
    while (lanes < n && lanes < WARP) lanes *= 2;
    return n > WARP ? threads_for(n) : lanes;
}

template <typename... Parameters, typename... Arguments>
static inline cudaError_t start(cudaStream_t stream, dim3 grid, unsigned threads,
                                void (*kernel)(Parameters...), Arguments... arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

/* Starts a kernel whose first parameter is the share, for so many rows of n packs. */
template <typename... Parameters, typename... Arguments>
static inline cudaError_t start_rows(cudaStream_t stream, size_t rows, size_t n,
                                     void (*kernel)(Parameters...), Arguments... arguments) {
    unsigned lanes = lanes_for(n), at_once = ROW_THREADS / lanes;
    return start(stream, dim3(blocks_for((rows + at_once - 1) / at_once, MOST_BLOCKS)), lanes * at_once,
                 kernel, lanes, arguments...);
}

/* In such a kernel: each(row, lane) for each row of this thread. */
template <typename Each>
static __device__ inline void for_rows(unsigned lanes, size_t rows, const Each &each) {
    unsigned at_once = blockDim.x / lanes, lane = threadIdx.x % lanes;
    for (size_t i = (size_t)blockIdx.x * at_once + threadIdx.x / lanes; i < rows;
         i += (size_t)gridDim.x * at_once)
        each(i, lane);
}

/* `width` elements that one instruction loads or stores: 16 bytes if pointers and rows allow it (is_wide),
 * otherwise one element. */
template <typename T, int width> struct alignas(sizeof(T) * width) pack { T element[width]; };

template <typename T, int width> static __device__ inline pack<T, width> load(const T *from) {
    return *reinterpret_cast<const pack<T, width> *>(from);
}

template <typename T, int width> static __device__ inline void store(T *to, const pack<T, width> &what) {
    *reinterpret_cast<pack<T, width> *>(to) = what;
}

/* May rows of `bytes` bytes behind this pointer be read in pieces of 16? */
static inline bool is_wide(const void *pointer, size_t bytes) {
    return ((uintptr_t)pointer | bytes) % 16 == 0;
}

/* Loads above it are not moved behind it, to where they are used one by one. */
static __device__ inline void keep_order() {
    asm volatile("" ::: "memory");
}

/* For every pack of `width` numbers from `first` on, in steps of `stride`, as far as whole ones reach: use(i, fetch(i)).
 * So many packs are fetched before the first is used: a thread waits for memory once for all of them. `use` may write
 * what was fetched, and nothing that others fetch. */
template <int width, int ahead, typename Fetch, typename Use>
static __device__ inline void for_packs(size_t first, size_t stride, size_t n, const Fetch &fetch,
                                        const Use &use) {
    size_t i = first;
    for (; i + (ahead - 1) * stride + width <= n; i += ahead * stride) {
        decltype(fetch(i)) held[ahead];
#pragma unroll
        for (int a = 0; a < ahead; a++) held[a] = fetch(i + a * stride);
        keep_order();
#pragma unroll
        for (int a = 0; a < ahead; a++) use(i + a * stride, held[a]);
    }
    for (; i + width <= n; i += stride) use(i, fetch(i));
}

/* The same over all threads of a grid. */
template <int width, int ahead, typename Fetch, typename Use>
static __device__ inline void for_grid_packs(size_t from, size_t n, const Fetch &fetch, const Use &use) {
    for_packs<width, ahead>(from + ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * width,
                            (size_t)gridDim.x * blockDim.x * width, n, fetch, use);
}

enum { PACK = 4 };

/* All n numbers: by packs, and the rest (or all, if pointers are not aligned) one by one. */
#define FOR_ALL(operation, wide, n, ...)                                                                     \
    do {                                                                                                     \
        size_t whole_ = (wide) ? (n) / PACK * PACK : 0;                                                      \
        operation<PACK>(0, whole_, __VA_ARGS__);                                                             \
        operation<1>(whole_, n, __VA_ARGS__);                                                                \
    } while (0)

/* The sum of all threads' values, always added in the same order, with the same bits for every thread.
 * `warps` is shared memory. */
static __device__ inline double block_sum(double value, double *warps) {
    for (int step = WARP / 2; step; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    __syncthreads(); /* threads may still read the sums of the previous row */
    if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = value;
    __syncthreads();
    double sum = 0;
    for (unsigned warp = 0; warp < blockDim.x / WARP; warp++) sum += warps[warp];
    return sum;
}

#endif
