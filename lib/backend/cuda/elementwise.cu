/* Operations that touch every number once: axpby, relu and conversions, then copies of rows and factors of
 * rows. */
#include "backend/cuda/half.cuh"

enum { THREADS = 256 };

template <typename... Parameters, typename... Arguments>
static inline cudaError_t start_streaming(cudaStream_t stream, size_t n, void (*kernel)(Parameters...),
                                          Arguments... arguments) {
    if (n == 0) return cudaSuccess;
    unsigned blocks = blocks_for((n + THREADS * PACK - 1) / (THREADS * PACK), STREAMING_BLOCKS);
    return start(stream, dim3(blocks), threads_for(n), kernel, arguments..., n);
}

/* y [n] <- alpha x + beta y. A factor of 0 leaves its operand unread.
 *
 * 12 bytes and 3 operations per number (8 bytes when one factor is 0): bound by memory. */
template <int width> struct operands { pack<float, width> x, y; };

template <int width>
static __device__ void axpby(size_t from, size_t n, float alpha, const float *x, float beta, float *y) {
    for_grid_packs<width, 2>(
        from, n,
        [=](size_t i) {
            operands<width> at = {};
            if (alpha != 0) at.x = load<float, width>(x + i);
            if (beta != 0) at.y = load<float, width>(y + i);
            return at;
        },
        [=](size_t i, const operands<width> &at) {
            pack<float, width> result;
            for (int c = 0; c < width; c++)
                result.element[c] =
                    (alpha != 0 ? alpha * at.x.element[c] : 0) + (beta != 0 ? beta * at.y.element[c] : 0);
            store<float, width>(y + i, result);
        });
}

extern "C" __global__ void ra_axpby(bool wide, float alpha, const float *x, float beta, float *y, size_t n) {
    FOR_ALL(axpby, wide, n, alpha, x, beta, y);
}

cudaError_t ra_cuda_axpby(cudaStream_t stream, float alpha, const float *x, float beta, float *y, size_t n) {
    return start_streaming(stream, n, ra_axpby, is_wide(y, 0) && is_wide(x, 0), alpha, x, beta, y);
}

/* y [n] <- max(x, 0); y may be x.
 *
 * 8 bytes and one comparison per number: bound by memory. */
template <int width> static __device__ void relu(size_t from, size_t n, const float *x, float *y) {
    for_grid_packs<width, 4>(
        from, n, [=](size_t i) { return load<float, width>(x + i); },
        [=](size_t i, pack<float, width> a) {
            for (int c = 0; c < width; c++) a.element[c] = a.element[c] > 0 ? a.element[c] : 0;
            store<float, width>(y + i, a);
        });
}

extern "C" __global__ void ra_relu(bool wide, const float *x, float *y, size_t n) {
    FOR_ALL(relu, wide, n, x, y);
}

cudaError_t ra_cuda_relu(cudaStream_t stream, const float *x, float *y, size_t n) {
    return start_streaming(stream, n, ra_relu, is_wide(y, 0) && is_wide(x, 0), x, y);
}

/* target [n] <- source [n], numbers of 16 bits.
 *
 * 6 bytes and a conversion per number: bound by memory. */
template <int width, typename T>
static __device__ void widen_all(size_t from, size_t n, const T *source, float *target) {
    for_grid_packs<width, 4>(
        from, n, [=](size_t i) { return load<T, width>(source + i); },
        [=](size_t i, const pack<T, width> &a) {
            pack<float, width> b;
            for (int c = 0; c < width; c++) b.element[c] = widen(a.element[c]);
            store<float, width>(target + i, b);
        });
}

extern "C" __global__ void ra_widen_f16(bool wide, const void *source, float *target, size_t n) {
    FOR_ALL(widen_all, wide, n, (const f16 *)source, target);
}
extern "C" __global__ void ra_widen_bf16(bool wide, const void *source, float *target, size_t n) {
    FOR_ALL(widen_all, wide, n, (const bf16 *)source, target);
}

cudaError_t ra_cuda_widen(cudaStream_t stream, cuda_width width, const void *source, float *target,
                          size_t n) {
    if (width == CUDA_WIDTH_F32) return ra_cuda_axpby(stream, 1, (const float *)source, 0, target, n);
    return start_streaming(stream, n, width == CUDA_WIDTH_F16 ? ra_widen_f16 : ra_widen_bf16,
                           is_wide(target, 0) && is_wide(source, 0), source, target);
}

/* Of a row: this lane's share of its numbers. */
template <int width>
static __device__ inline void scale_row(unsigned lanes, unsigned lane, float scale, const float *source,
                                        float *target, size_t n) {
    for_packs<width, 4>((size_t)lane * width, (size_t)lanes * width, n,
                        [=](size_t j) { return load<float, width>(source + j); },
                        [=](size_t j, pack<float, width> part) {
                            for (int c = 0; c < width; c++) part.element[c] *= scale;
                            store<float, width>(target + j, part);
                        });
}

static __device__ inline void scale_row_of(bool wide, unsigned lanes, unsigned lane, float scale,
                                           const float *source, float *target, size_t n) {
    if (wide)
        scale_row<PACK>(lanes, lane, scale, source, target, n);
    else
        scale_row<1>(lanes, lane, scale, source, target, n);
}

/* target [count,n] <- scale times the rows of source with these numbers.
 *
 * 8 n + 4 bytes and n operations per row: bound by memory. */
extern "C" __global__ void ra_gather_rows(unsigned lanes, bool wide, float scale, const float *source,
                                          const int32_t *rows, size_t count, size_t n, float *target) {
    for_rows(lanes, count, [=](size_t i, unsigned lane) {
        scale_row_of(wide, lanes, lane, scale, source + (size_t)rows[i] * n, target + i * n, n);
    });
}

cudaError_t ra_cuda_gather_rows(cudaStream_t stream, float scale, const float *source, const int32_t *rows,
                                size_t count, size_t n, float *target) {
    if (count == 0 || n == 0) return cudaSuccess;
    bool wide = is_wide(source, n * sizeof *source) && is_wide(target, 0);
    return start_rows(stream, count, wide ? n / PACK : n, ra_gather_rows, wide, scale, source, rows, count, n,
                      target);
}

/* Every row of y [rows,n] <- row [n]; y has `stride` numbers from one row to the next.
 *
 * 4 n bytes per row (the row to be copied comes from the cache), no operations: bound by memory. */
extern "C" __global__ void ra_broadcast_row(unsigned lanes, bool wide, const float *row, float *y,
                                            size_t rows, size_t n, size_t stride) {
    for_rows(lanes, rows,
             [=](size_t i, unsigned lane) { scale_row_of(wide, lanes, lane, 1, row, y + i * stride, n); });
}

cudaError_t ra_cuda_broadcast_row(cudaStream_t stream, const float *row, float *y, size_t rows, size_t n,
                                  size_t stride) {
    if (rows == 0 || n == 0) return cudaSuccess;
    bool wide = n % PACK == 0 && is_wide(row, 0) && is_wide(y, stride * sizeof *y);
    return start_rows(stream, rows, wide ? n / PACK : n, ra_broadcast_row, wide, row, y, rows, n, stride);
}

/* Each row of x [rows,n] *= its factor.
 *
 * 8 n + 8 bytes and n operations per row: bound by memory. */
extern "C" __global__ void ra_scale_rows(unsigned lanes, bool wide, const double *factor, float *x,
                                         size_t rows, size_t n) {
    for_rows(lanes, rows, [=](size_t i, unsigned lane) {
        scale_row_of(wide, lanes, lane, (float)factor[i], x + i * n, x + i * n, n);
    });
}

cudaError_t ra_cuda_scale_rows(cudaStream_t stream, const double *factor, float *x, size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    bool wide = is_wide(x, n * sizeof *x);
    return start_rows(stream, rows, wide ? n / PACK : n, ra_scale_rows, wide, factor, x, rows, n);
}
