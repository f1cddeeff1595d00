/* LayerNorm and BatchNorm of u [rows, n], forward and backward (torch.nn.LayerNorm, torch.nn.BatchNorm1d).
 * With xhat = (u - mean) rstd and dxhat = gamma dy,
 *     y = gamma xhat + beta,   du = rstd (dxhat - avg(dxhat) - xhat avg(dxhat xhat))
 * where averages are over the row or over the batch, as the statistics are. Sums are float64. */
#include "backend/cuda/columns.cuh"
#include "backend/cuda/rows.cuh"

enum { TILE_PACKS = 4 }; /* of a thread in ra_normalize */

static __device__ inline float normalized(const cuda_norm &norm, float u, size_t i) {
    return (u - norm.mean[i]) * norm.rstd[i];
}

/* What multiplies a number that is (u - mean) rstd, and is added. */
template <int width>
static __device__ inline pack<float, width> scaled(const cuda_norm &norm, pack<float, width> xhat, size_t j) {
    pack<float, width> gamma = load<float, width>(norm.gamma + j), beta = load<float, width>(norm.beta + j);
    for (int c = 0; c < width; c++) xhat.element[c] = xhat.element[c] * gamma.element[c] + beta.element[c];
    return xhat;
}

/* mean, rstd [rows], y [rows,n]; y may be u. One block per row, which holds it in registers: 8 bytes per number (the
 * factors of columns come from the cache) for four operations in float64 and four others: bound by memory if there are
 * enough float64 units. */
template <int width, int packs>
static __device__ void layer_norm(const cuda_norm &norm, const float *u, size_t rows, size_t n,
                                  double epsilon, float *mean, float *rstd, float *y) {
    __shared__ double warps[MOST_WARPS];
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        const float *row = u + b * n;
        float *out = y + b * n;
        held_row<width, packs> held;
        double sum = 0, squares = 0;
        auto read = [=](size_t j) { return load<float, width>(row + j); };
        held.fill(n, read, [&](size_t, const pack<float, width> &part) {
            for (int c = 0; c < width; c++) sum += part.element[c];
        });
        double middle = block_sum(sum, warps) / (double)n;
        held.each(n, read, [&](size_t, const pack<float, width> &part) {
            for (int c = 0; c < width; c++)
                squares += (part.element[c] - middle) * (part.element[c] - middle);
        });
        double variance = block_sum(squares, warps) / (double)n;
        float center = (float)middle, factor = (float)(1 / sqrt(variance + epsilon));
        if (threadIdx.x == 0) {
            mean[b] = center;
            rstd[b] = factor;
        }
        held.each(n, read, [&](size_t j, pack<float, width> part) {
            for (int c = 0; c < width; c++) part.element[c] = (part.element[c] - center) * factor;
            store<float, width>(out + j, scaled<width>(norm, part, j));
        });
    }
}

ROW_KERNELS_OF(ra_layer_norm, layer_norm, NORM_PACKS,
               (cuda_norm norm, const float *u, size_t rows, size_t n, double epsilon, float *mean,
                float *rstd, float *y),
               (norm, u, rows, n, epsilon, mean, rstd, y));

static bool norm_is_wide(const cuda_norm &norm, const float *u, const float *y, size_t n) {
    return is_wide(u, n * sizeof *u) && is_wide(y, 0) && is_wide(norm.gamma, 0) && is_wide(norm.beta, 0);
}

cudaError_t ra_cuda_layer_norm(cudaStream_t stream, cuda_norm norm, const float *u, size_t rows, size_t n,
                               double epsilon, float *mean, float *rstd, float *y) {
    if (rows == 0) return cudaSuccess;
    unsigned threads;
    row_kernel which = row_kernel_for(n, norm_is_wide(norm, u, y, n), NORM_PACKS, &threads);
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads, ra_layer_norm_kernels[which], norm, u,
                 rows, n, epsilon, mean, rstd, y);
}

/* (factor u - mean) rstd gamma + beta */
template <int width>
static __device__ inline pack<float, width> by_column(const cuda_norm &norm, pack<float, width> part,
                                                      float factor, size_t j) {
    pack<float, width> mean = load<float, width>(norm.mean + j), rstd = load<float, width>(norm.rstd + j);
    for (int c = 0; c < width; c++)
        part.element[c] = (part.element[c] * factor - mean.element[c]) * rstd.element[c];
    return scaled<width>(norm, part, j);
}

/* y [rows,n]; y may be u. One block per row and tile of its columns: there may be few rows.
 *
 * 8 bytes per number (the four factors of a column come from the cache) for four operations: bound by memory. */
template <int width>
static __device__ void normalize(const cuda_norm &norm, const float *u, float *y, size_t n) {
    for_packs<width, 4>(((size_t)blockIdx.y * blockDim.x + threadIdx.x) * width,
                        (size_t)gridDim.y * blockDim.x * width, n,
                        [=](size_t j) { return load<float, width>(u + j); },
                        [&](size_t j, const pack<float, width> &part) {
                            store<float, width>(y + j, by_column<width>(norm, part, 1, j));
                        });
}

extern "C" __global__ void ra_normalize(bool wide, cuda_norm norm, const float *u, float *y, size_t rows,
                                        size_t n) {
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x)
        if (wide)
            normalize<PACK>(norm, u + i * n, y + i * n, n);
        else
            normalize<1>(norm, u + i * n, y + i * n, n);
}

/* The same for rows that are first divided by the root of the mean of their squares. One block per row, which holds it in
 * registers; 8 bytes per number, too. */
template <int width, int packs>
static __device__ void rms_norm(const cuda_norm &norm, double epsilon, const float *u, float *y, size_t rows,
                                size_t n) {
    __shared__ double warps[MOST_WARPS];
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        const float *row = u + b * n;
        float *out = y + b * n;
        held_row<width, packs> held;
        double sum = 0;
        auto read = [=](size_t j) { return load<float, width>(row + j); };
        held.fill(n, read, [&](size_t, const pack<float, width> &part) {
            for (int c = 0; c < width; c++) sum += (double)part.element[c] * part.element[c];
        });
        float factor = (float)(1 / sqrt(block_sum(sum, warps) / (double)n + epsilon));
        held.each(n, read, [&](size_t j, const pack<float, width> &part) {
            store<float, width>(out + j, by_column<width>(norm, part, factor, j));
        });
    }
}

ROW_KERNELS_OF(ra_rms_norm, rms_norm, RMS_PACKS,
               (cuda_norm norm, double epsilon, const float *u, float *y, size_t rows, size_t n),
               (norm, epsilon, u, y, rows, n));

cudaError_t ra_cuda_normalize(cudaStream_t stream, cuda_norm norm, double epsilon, const float *u, float *y,
                              size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    bool wide = norm_is_wide(norm, u, y, n) && is_wide(norm.mean, 0) && is_wide(norm.rstd, 0);
    unsigned threads;
    if (epsilon > 0) {
        row_kernel which = row_kernel_for(n, wide, RMS_PACKS, &threads);
        return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads, ra_rms_norm_kernels[which], norm,
                     epsilon, u, y, rows, n);
    }
    size_t packs = wide ? n / PACK : n;
    threads = threads_for(packs);
    unsigned tiles = blocks_for((packs + TILE_PACKS * threads - 1) / (TILE_PACKS * threads), MOST_TILES);
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS), tiles), threads, ra_normalize, wide, norm, u, y,
                 rows, n);
}

/* total [2,n] <- dy xhat, and dy
 *
 * 8 bytes per number for five operations, three in float64: bound by memory if there are enough float64
 * units. */
extern "C" __global__ void ra_norm_sums(bool by_row, cuda_norm norm, const float *u, const float *dy,
                                        size_t rows, size_t n, double *out) {
    __shared__ column_memory held;
    size_t column = column_of_thread();
    struct numbers {
        float dy, u, mean, rstd;
    };
    sum_columns<2>(
        rows, n, out, held,
        [=](size_t row) {
            size_t at = row * n + column, of = by_row ? row : column;
            return numbers{dy[at], u[at], norm.mean[of], norm.rstd[of]};
        },
        [](const numbers &at, double *sum) {
            double gradient = at.dy;
            sum[0] += gradient * ((at.u - at.mean) * at.rstd);
            sum[1] += gradient;
        });
}

cudaError_t ra_cuda_norm_sums(cudaStream_t stream, bool by_row, cuda_norm norm, const float *u,
                              const float *dy, size_t rows, size_t n, double *partial, double *total) {
    return start_columns<2>(stream, rows, n, partial, total, ra_norm_sums, by_row, norm, u, dy, rows, n);
}

/* dy [rows,n] <- du, averages over the row. One block per row, which holds dy in registers.
 *
 * 12 bytes per number (u, when it is read again, comes from the cache) for some 15 operations, ten in float64: bound
 * by memory if there are enough float64 units. */
template <int width, int packs>
static __device__ void layer_norm_backward(const cuda_norm &norm, const float *u, float *dy, size_t rows,
                                           size_t n) {
    __shared__ double warps[MOST_WARPS];
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        const float *row = u + b * n;
        float *gradient = dy + b * n, center = norm.mean[b], factor = norm.rstd[b];
        held_row<width, packs> held;
        double sum = 0, dot = 0;
        auto read = [=](size_t j) { return load<float, width>(gradient + j); };
        held.fill(n, read, [&](size_t j, const pack<float, width> &part) {
            pack<float, width> x = load<float, width>(row + j), gamma = load<float, width>(norm.gamma + j);
            for (int c = 0; c < width; c++) {
                double dxhat = (double)gamma.element[c] * part.element[c];
                sum += dxhat;
                dot += dxhat * ((x.element[c] - center) * factor);
            }
        });
        sum = block_sum(sum, warps) / (double)n;
        dot = block_sum(dot, warps) / (double)n;
        held.each(n, read, [&](size_t j, pack<float, width> part) {
            pack<float, width> x = load<float, width>(row + j), gamma = load<float, width>(norm.gamma + j);
            for (int c = 0; c < width; c++)
                part.element[c] = (float)(factor * ((double)gamma.element[c] * part.element[c] - sum -
                                                    ((x.element[c] - center) * factor) * dot));
            store<float, width>(gradient + j, part);
        });
    }
}

ROW_KERNELS_OF(ra_layer_norm_backward, layer_norm_backward, NORM_PACKS,
               (cuda_norm norm, const float *u, float *dy, size_t rows, size_t n), (norm, u, dy, rows, n));

/* The same with averages over the batch: sums [2,n] / count. 12 bytes and some 10 operations per number. */
template <int width> struct gradient_at { pack<float, width> dy, u; };

template <int width>
static __device__ void batch_norm_backward(const cuda_norm &norm, const float *u, const double *sums,
                                           double count, float *dy, size_t n) {
    for_packs<width, 2>((size_t)threadIdx.x * width, (size_t)blockDim.x * width, n,
                        [=](size_t j) {
                            return gradient_at<width>{load<float, width>(dy + j), load<float, width>(u + j)};
                        },
                        [=](size_t j, gradient_at<width> at) {
                            for (int c = 0; c < width; c++) {
                                size_t k = j + c;
                                double centered = at.dy.element[c] - sums[n + k] / count -
                                                  normalized(norm, at.u.element[c], k) * sums[k] / count;
                                at.dy.element[c] = (float)((double)norm.gamma[k] * norm.rstd[k] * centered);
                            }
                            store<float, width>(dy + j, at.dy);
                        });
}

extern "C" __global__ void ra_batch_norm_backward(bool wide, cuda_norm norm, const float *u,
                                                  const double *sums, double count, float *dy, size_t rows,
                                                  size_t n) {
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x)
        if (wide)
            batch_norm_backward<PACK>(norm, u + i * n, sums, count, dy + i * n, n);
        else
            batch_norm_backward<1>(norm, u + i * n, sums, count, dy + i * n, n);
}

cudaError_t ra_cuda_norm_backward(cudaStream_t stream, bool by_row, cuda_norm norm, const float *u,
                                  const double *sums, double count, float *dy, size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    dim3 grid(blocks_for(rows, MOST_BLOCKS));
    if (by_row) {
        unsigned threads;
        bool wide = is_wide(u, n * sizeof *u) && is_wide(dy, 0) && is_wide(norm.gamma, 0);
        row_kernel which = row_kernel_for(n, wide, NORM_PACKS, &threads);
        return start(stream, grid, threads, ra_layer_norm_backward_kernels[which], norm, u, dy, rows, n);
    }
    bool wide = is_wide(u, n * sizeof *u) && is_wide(dy, 0);
    return start(stream, grid, threads_for(wide ? n / PACK : n), ra_batch_norm_backward, wide, norm, u, sums,
                 count, dy, rows, n);
}
