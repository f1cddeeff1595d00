/* One step of Adam, with the projection of the rows that follows it: every number of a parameter and its moments is read
 * and written once.
 *
 * 28 bytes and some 12 operations per number, including a division and a root: bound by memory. A row without
 * a gradient costs 24 bytes per number, a row that never had one 4 bytes in all (8 per number with decay or a
 * projection). A projection adds two to four operations in float64 and no bytes, but for rows that registers do not hold
 * (rows.cuh), 8 per number from and to the cache. */
#include "backend/cuda/rows.cuh"

typedef cuda_adam_factors factors;

/* What a step reads of some numbers, all of it before it writes any. */
template <int width> struct moving { pack<float, width> parameter, gradient, first, second; };

template <int width>
static __device__ inline moving<width> fetch(const float *parameter, const float *gradient,
                                             const float *first, const float *second, size_t i) {
    moving<width> at = {};
    at.parameter = load<float, width>(parameter + i);
    if (gradient) at.gradient = load<float, width>(gradient); /* a row that rests has none */
    at.first = load<float, width>(first + i);
    at.second = load<float, width>(second + i);
    return at;
}

/* first, second <- the moments; returns the parameter. */
template <int width>
static __device__ inline pack<float, width> move(const factors &s, moving<width> at, float *first,
                                                 float *second, size_t i) {
    for (int c = 0; c < width; c++) {
        float g = at.gradient.element[c] * s.scale;
        float m = at.first.element[c] + s.rest1 * (g - at.first.element[c]);
        float v = s.beta2 * at.second.element[c] + s.rest2 * g * g;
        at.first.element[c] = m;
        at.second.element[c] = v;
        at.parameter.element[c] =
            at.parameter.element[c] * s.keep - s.rate * m / (sqrtf(v) * s.root + s.epsilon);
    }
    store<float, width>(first + i, at.first);
    store<float, width>(second + i, at.second);
    return at.parameter;
}

/* ---- all numbers alike ---------------------------------------------------------------------------------- */

template <int width>
static __device__ void adam_all(size_t from, size_t n, const factors &s, float *parameter,
                                const float *gradient, float *first, float *second) {
    for_grid_packs<width, 1>(
        from, n, [=](size_t i) { return fetch<width>(parameter, gradient + i, first, second, i); },
        [&](size_t i, const moving<width> &at) {
            store<float, width>(parameter + i, move<width>(s, at, first, second, i));
        });
}

extern "C" __global__ void ra_adam_all(bool wide, factors s, float *parameter, const float *gradient,
                                       float *first, float *second, size_t n) {
    FOR_ALL(adam_all, wide, n, s, parameter, gradient, first, second);
}

/* ---- row by row ----------------------------------------------------------------------------------------- */

/* One block per row. */
template <int width, int packs>
static __device__ void adam_rows(const factors &s, float *parameter, const float *gradient,
                                 const int32_t *gradient_row, float *first, float *second, size_t rows,
                                 size_t n) {
    __shared__ double warps[MOST_WARPS];
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        int32_t from = gradient_row ? gradient_row[b] : 0;
        const float *g = !gradient_row ? gradient + b * n : from >= 0 ? gradient + (size_t)from * n : NULL;
        bool moves = from >= RA_CUDA_ROW_STILL, projects = s.projection != CUDA_PROJECT_NOTHING;
        if (!moves && !projects && s.keep == 1) continue;
        float *row = parameter + b * n;
        held_row<width, packs> held;
        double sum = 0;
        held.fill(n, [&](size_t j) {
            pack<float, width> part;
            if (moves) {
                part = move<width>(s, fetch<width>(parameter, g ? g + j : NULL, first, second, b * n + j),
                                   first, second, b * n + j);
            } else {
                part = load<float, width>(row + j);
                for (int c = 0; c < width; c++) part.element[c] *= s.keep;
            }
            if (!projects || !packs) store<float, width>(row + j, part);
            for (int c = 0; projects && c < width; c++) sum += projection_sum(s.projection, part.element[c]);
            return part;
        });
        if (!projects) continue;
        float factor = projection_factor(s.projection, block_sum(sum, warps), s.radius);
        held.each(
            n, [=](size_t j) { return load<float, width>(row + j); },
            [=](size_t j, pack<float, width> part) {
                for (int c = 0; c < width; c++)
                    part.element[c] = projected(s.projection, part.element[c], factor);
                store<float, width>(row + j, part);
            });
    }
}

ROW_KERNELS_OF(ra_adam_rows, adam_rows, HELD_PACKS,
               (factors s, float *parameter, const float *gradient, const int32_t *gradient_row, float *first,
                float *second, size_t rows, size_t n),
               (s, parameter, gradient, gradient_row, first, second, rows, n));

cudaError_t ra_cuda_adam(cudaStream_t stream, cuda_adam_factors step, float *parameter, const float *gradient,
                         const int32_t *gradient_row, float *first, float *second, size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    bool wide = is_wide(parameter, 0) && is_wide(gradient, 0) && is_wide(first, 0) && is_wide(second, 0);
    if (gradient_row || step.projection != CUDA_PROJECT_NOTHING) {
        unsigned threads;
        row_kernel which = row_kernel_for(n, wide && n % PACK == 0, HELD_PACKS, &threads);
        return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads, ra_adam_rows_kernels[which], step,
                     parameter, gradient, gradient_row, first, second, rows, n);
    }
    size_t packs = (rows * n + PACK - 1) / PACK;
    return start(stream, dim3(blocks_for((packs + ROW_THREADS - 1) / ROW_THREADS, STREAMING_BLOCKS)),
                 threads_for(wide ? packs : rows * n), ra_adam_all, wide, step, parameter, gradient, first,
                 second, rows * n);
}
