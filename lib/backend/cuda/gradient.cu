/* The two operations of the backward pass on sparse codes. */
#include "backend/cuda/kernel.cuh"

enum { WARPS = ROW_THREADS / WARP, MOST_PARTS = 64, THREADS = 128, AHEAD = 4 };

/* dvalue [entries] <- g[b] . D[k] for each entry (b, k). A warp has one entry, a block one row of the
 * batch, whose g is in the cache. Sums are float32: one per lane, added as a tree.
 *
 * 4 d + 8 bytes per entry and 4 d per row of the batch, 2 d operations per entry: half an operation per byte,
 * bound by memory. */
template <int width>
static __device__ void gradient(const cuda_codes &codes, const float *g, const float *D, size_t d,
                                float *dvalue) {
    unsigned lane = threadIdx.x % WARP, warp = blockIdx.y * WARPS + threadIdx.x / WARP;
    for (size_t b = blockIdx.x; b < codes.rows; b += gridDim.x) {
        const float *row = g + b * d;
        for (uint64_t e = codes.start[b] + warp; e < codes.start[b + 1]; e += gridDim.y * WARPS) {
            const float *atom = D + (size_t)codes.index[e] * d;
            float sum = 0;
            for (size_t j = lane * width; j < d; j += WARP * width) {
                pack<float, width> x = load<float, width>(row + j), y = load<float, width>(atom + j);
#pragma unroll
                for (int c = 0; c < width; c++) sum += x.element[c] * y.element[c];
            }
            for (int step = WARP / 2; step; step /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, step);
            if (lane == 0) dvalue[e] = sum;
        }
    }
}

extern "C" __global__ void ra_decode_gradient(cuda_codes codes, const float *g, const float *D, size_t d,
                                              float *dvalue) {
    gradient<PACK>(codes, g, D, d, dvalue);
}
extern "C" __global__ void ra_decode_gradient_narrow(cuda_codes codes, const float *g, const float *D,
                                                     size_t d, float *dvalue) {
    gradient<1>(codes, g, D, d, dvalue);
}

cudaError_t ra_cuda_decode_gradient(cudaStream_t stream, cuda_codes codes, const float *g, const float *D,
                                    size_t d, float *dvalue) {
    if (codes.rows == 0 || codes.longest == 0) return cudaSuccess;
    bool wide = is_wide(g, d * sizeof *g) && is_wide(D, 0);
    dim3 grid(blocks_for(codes.rows, MOST_BLOCKS),
              blocks_for((codes.longest + WARPS - 1) / WARPS, MOST_PARTS));
    return start(stream, grid, ROW_THREADS, wide ? ra_decode_gradient : ra_decode_gradient_narrow, codes, g,
                 D, d, dvalue);
}

/* out [K,d] += value[entry] x[b] for the entries (b, k) of each latent k. A block has one part of a latent's
 * entries and a tile of columns. The sum of a latent's only part goes to its row of `out`; the sums of several
 * go to rows of `partial`, and a second kernel adds them in order. So no block adds up more than a part, however
 * many rows a latent is active in; no atomic addition is needed, and the order of a sum is fixed.
 *
 * 4 d + 12 bytes per entry and 8 d per latent with entries, 2 d operations per entry: bound by memory, and
 * by the cache where the batch fits it (B d floats). A part of several costs 8 d bytes more. */
static __device__ inline size_t row_of(const cuda_by_latent &codes, int32_t latent) {
    return (size_t)(codes.position ? codes.position[latent] : latent);
}

template <int width>
static __device__ inline void add(pack<float, width> &sum, float factor, const pack<float, width> &input) {
#pragma unroll
    for (int c = 0; c < width; c++) sum.element[c] += factor * input.element[c];
}

template <int width>
static __device__ void accumulate(const cuda_by_latent &codes, const float *value, const float *x, size_t d,
                                  size_t first, size_t last, float *out, float *partial) {
    size_t column = first + ((size_t)blockIdx.y * blockDim.x + threadIdx.x) * width;
    if (column >= last) return;
    const cuda_division &by = codes.division;
    for (size_t p = blockIdx.x, parts = by.counts->parts; p < parts; p += gridDim.x) {
        int32_t own = by.part_sum[p];
        float *row = own < 0 ? out + row_of(codes, by.part_latent[p]) * d + column
                             : partial + (size_t)own * (last - first) + (column - first);
        pack<float, width> sum = {};
        if (own < 0) sum = load<float, width>(row);
        uint32_t e = by.part_start[p], end = by.part_start[p + 1];
        for (; e + AHEAD <= end; e += AHEAD) {
            pack<float, width> input[AHEAD];
            float factor[AHEAD];
#pragma unroll
            for (int a = 0; a < AHEAD; a++) {
                input[a] = load<float, width>(x + (size_t)codes.row[e + a] * d + column);
                factor[a] = value[codes.entry[e + a]];
            }
#pragma unroll
            for (int a = 0; a < AHEAD; a++) add(sum, factor[a], input[a]);
        }
        for (; e < end; e++)
            add(sum, value[codes.entry[e]], load<float, width>(x + (size_t)codes.row[e] * d + column));
        store<float, width>(row, sum);
    }
}

extern "C" __global__ void ra_accumulate(cuda_by_latent codes, const float *value, const float *x, size_t d,
                                         size_t first, size_t last, float *out, float *partial) {
    accumulate<PACK>(codes, value, x, d, first, last, out, partial);
}
extern "C" __global__ void ra_accumulate_narrow(cuda_by_latent codes, const float *value, const float *x,
                                                size_t d, size_t first, size_t last, float *out,
                                                float *partial) {
    accumulate<1>(codes, value, x, d, first, last, out, partial);
}

/* out += the partial sums of each latent that has several. 4 d bytes per partial sum and 8 d per latent. */
template <int width>
static __device__ void add_parts(const cuda_by_latent &codes, const float *partial, size_t d, size_t first,
                                 size_t last, float *out) {
    size_t column = first + ((size_t)blockIdx.y * blockDim.x + threadIdx.x) * width;
    if (column >= last) return;
    for (size_t l = blockIdx.x, divided = codes.division.counts->divided; l < divided; l += gridDim.x) {
        cuda_divided of = codes.division.divided[l];
        float *row = out + row_of(codes, of.latent) * d + column;
        pack<float, width> sum = load<float, width>(row);
#pragma unroll 4
        for (int32_t i = 0; i < of.count; i++) {
            pack<float, width> part =
                load<float, width>(partial + (size_t)(of.first + i) * (last - first) + (column - first));
#pragma unroll
            for (int c = 0; c < width; c++) sum.element[c] += part.element[c];
        }
        store<float, width>(row, sum);
    }
}

extern "C" __global__ void ra_add_parts(cuda_by_latent codes, const float *partial, size_t d, size_t first,
                                        size_t last, float *out) {
    add_parts<PACK>(codes, partial, d, first, last, out);
}
extern "C" __global__ void ra_add_parts_narrow(cuda_by_latent codes, const float *partial, size_t d,
                                               size_t first, size_t last, float *out) {
    add_parts<1>(codes, partial, d, first, last, out);
}

cudaError_t ra_cuda_accumulate(cudaStream_t stream, cuda_by_latent codes, const float *value, const float *x,
                               size_t d, size_t first, size_t last, float *out, float *partial) {
    if (codes.latents == 0 || first == last) return cudaSuccess;
    bool wide =
        is_wide(x, d * sizeof *x) && is_wide(out, 0) && is_wide(partial, 0) && (first | last) % PACK == 0;
    size_t columns = wide ? (last - first) / PACK : last - first, tiles = (columns + THREADS - 1) / THREADS;
    unsigned threads = columns < THREADS ? threads_for(columns) : (unsigned)THREADS;
    if (tiles > MOST_TILES) return cudaErrorInvalidConfiguration;
    cudaError_t status =
        start(stream, dim3(blocks_for(codes.most_parts, MOST_BLOCKS), (unsigned)tiles), threads,
              wide ? ra_accumulate : ra_accumulate_narrow, codes, value, x, d, first, last, out, partial);
    if (status != cudaSuccess || codes.most_divided == 0) return status;
    return start(stream, dim3(blocks_for(codes.most_divided, MOST_BLOCKS), (unsigned)tiles), threads,
                 wide ? ra_add_parts : ra_add_parts_narrow, codes, (const float *)partial, d, first, last,
                 out);
}
