/* rows.cuh - operations that need a sum over a row before they can write it: a block has a row and holds it in registers
 * in between, so memory is read once. A row longer than that is read again, mostly from the cache.
 *
 * Rows of up to ROW_MOST_THREADS packs have a thread for each; those of up to LONG_THREADS times as many as an operation can
 * hold per thread without running out of registers, several: 16 are 32,768 numbers. */
#ifndef RA_BACKEND_CUDA_ROWS_CUH
#define RA_BACKEND_CUDA_ROWS_CUH

#include "backend/cuda/kernel.cuh"

enum { ROW_MOST_THREADS = 1024, LONG_THREADS = 512, NOT_HELD = 0 };

/* Packs of a thread that are read before the first is used, of a row that is held (where a thread holds so many) and of others. */
enum { HELD_AHEAD = 4, NOT_HELD_AHEAD = 2 };

/* A thread's part of a row of n numbers, a multiple of `width`. */
template <int width, int packs> struct held_row {
    pack<float, width> part[packs ? packs : 1];

    /* of(j) for each of the thread's packs, whose first number is j; what it returns is held. */
    template <typename Part> __device__ inline void fill(size_t n, const Part &of) {
        if (packs) {
#pragma unroll
            for (int i = 0; i < packs; i++) {
                size_t j = ((size_t)i * blockDim.x + threadIdx.x) * width;
                if (j < n) part[i] = of(j);
            }
        } else
            for (size_t j = (size_t)threadIdx.x * width; j < n; j += (size_t)blockDim.x * width) (void)of(j);
    }

    /* The same, and use(j, part) when some packs are on their way. */
    template <typename Read, typename Use>
    __device__ inline void fill(size_t n, const Read &read, const Use &use) {
        if (!packs) each(n, read, use);
#pragma unroll
        for (int first = 0; first < packs; first += HELD_AHEAD) {
            constexpr int count = packs < HELD_AHEAD ? packs : HELD_AHEAD;
#pragma unroll
            for (int i = first; i < first + count; i++) {
                size_t j = ((size_t)i * blockDim.x + threadIdx.x) * width;
                if (j < n) part[i] = read(j);
            }
            keep_order();
#pragma unroll
            for (int i = first; i < first + count; i++) {
                size_t j = ((size_t)i * blockDim.x + threadIdx.x) * width;
                if (j < n) use(j, part[i]);
            }
        }
    }

    /* What is held becomes part(j, part); `again` reads it anew if it is not, and `of` writes it. */
    template <typename Again, typename Part>
    __device__ inline void change(size_t n, const Again &again, const Part &of) {
        if (packs) {
#pragma unroll
            for (int i = 0; i < packs; i++) {
                size_t j = ((size_t)i * blockDim.x + threadIdx.x) * width;
                if (j < n) part[i] = of(j, part[i]);
            }
        } else
            for_packs<width, NOT_HELD_AHEAD>(
                (size_t)threadIdx.x * width, (size_t)blockDim.x * width, n, again,
                [&](size_t j, const pack<float, width> &read) { (void)of(j, read); });
    }

    /* Calls use(j, part) with what is held; `again` reads it anew if it is not. */
    template <typename Again, typename Use>
    __device__ inline void each(size_t n, const Again &again, const Use &use) const {
        if (packs) {
#pragma unroll
            for (int i = 0; i < packs; i++) {
                size_t j = ((size_t)i * blockDim.x + threadIdx.x) * width;
                if (j < n) use(j, part[i]);
            }
        } else
            for_packs<width, NOT_HELD_AHEAD>((size_t)threadIdx.x * width, (size_t)blockDim.x * width, n,
                                             again, use);
    }
};

/* Which of an operation's four kernels, and with how many threads: a pack per thread, several, a row that is not held, and
 * one that cannot be read in packs. */
typedef enum row_kernel { ROW_SHORT, ROW_LONG, ROW_LONGEST, ROW_NARROW, ROW_KERNELS } row_kernel;

/* Packs per thread; those of a norm, which computes more in float64, are fewer. */
enum { HELD_PACKS = 16, NORM_PACKS = 8, RMS_PACKS = 4 };

static inline row_kernel row_kernel_for(size_t n, bool wide, size_t held, unsigned *threads) {
    size_t packs = n / PACK, least = (packs + held - 1) / held;
    *threads = threads_for(n);
    if (!wide) return ROW_NARROW;
    *threads = ROW_MOST_THREADS;
    if (packs > ROW_MOST_THREADS && packs > LONG_THREADS * held) return ROW_LONGEST;
    size_t wanted = packs <= ROW_MOST_THREADS ? packs : least < ROW_THREADS ? (size_t)ROW_THREADS : least;
    *threads = (unsigned)((wanted + WARP - 1) / WARP * WARP) + (wanted ? 0 : (unsigned)WARP);
    return packs <= ROW_MOST_THREADS ? ROW_SHORT : ROW_LONG;
}

/* The four kernels of an operation: `body` is a template over width and packs; `held` of these per thread in the second. */
#define ROW_KERNELS_OF(name, body, held, parameters, arguments)                                              \
    extern "C" __global__ void __launch_bounds__(ROW_MOST_THREADS) name parameters {                         \
        body<PACK, 1> arguments;                                                                             \
    }                                                                                                        \
    extern "C" __global__ void __launch_bounds__(LONG_THREADS) name##_long parameters {                      \
        body<PACK, held> arguments;                                                                          \
    }                                                                                                        \
    extern "C" __global__ void __launch_bounds__(ROW_MOST_THREADS) name##_longest parameters {               \
        body<PACK, NOT_HELD> arguments;                                                                      \
    }                                                                                                        \
    extern "C" __global__ void __launch_bounds__(ROW_MOST_THREADS) name##_narrow parameters {                \
        body<1, NOT_HELD> arguments;                                                                         \
    }                                                                                                        \
    static void(*const name##_kernels[ROW_KERNELS])                                                          \
        parameters = {name, name##_long, name##_longest, name##_narrow}

/* ---- projections --------------------------------------------------------------------------------------- */

/* What ra_projection sums up over a row, and what it then does with it. */
static __device__ inline double projection_sum(cuda_projection which, float x) {
    switch (which) {
    case CUDA_PROJECT_SIMPLEX:
        return x > 0 ? x : 0;
    case CUDA_PROJECT_UNIT_L1:
        return fabs((double)x);
    default:
        return (double)x * x;
    }
}

static __device__ inline float projection_factor(cuda_projection which, double sum, float radius) {
    switch (which) {
    case CUDA_PROJECT_BALL:
        return sqrt(sum) <= radius ? 1 : (float)(radius / sqrt(sum));
    case CUDA_PROJECT_UNIT_L2:
        return (float)(1 / (sqrt(sum) + 1e-8));
    default:
        return (float)(1 / (sum + 1e-8));
    }
}

static __device__ inline float projected(cuda_projection which, float x, float factor) {
    if (which == CUDA_PROJECT_SIMPLEX) return x > 0 ? x * factor : 0;
    return x * factor;
}

#endif
