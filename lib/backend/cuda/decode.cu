/* x_hat [B,d] <- codes [B,K] D [K,d]: gathers the atoms that a row of the batch uses and adds them up.
 *
 * A block has one row of the batch and a tile of its columns. A thread has 16 bytes of an atom (4 columns in
 * float32, 8 in half), reads the entries of the row in order, four atoms ahead, and stores its sums once.
 * Sums are float32. Nothing is multiplied by zero or written twice, and there is no barrier.
 *
 * A row with e entries moves e d (bytes of an element) + 4 d + 8 e bytes for 2 e d operations: half an
 * operation per byte in float32, one in half, so bound by memory. For a published case (batch 1,024,
 * d 4,096, 64 entries per row, bf16): 0.54 GB of atoms, at least 0.16 ms at 3.35 TB/s if none is in the
 * cache. */
#include "backend/cuda/half.cuh"

enum { THREADS = 128, AHEAD = 4 };

template <typename T, int width>
static __device__ inline void add(float (&sum)[width], float value, const pack<T, width> &atom) {
#pragma unroll
    for (int c = 0; c < width; c++) sum[c] += value * widen(atom.element[c]);
}

template <typename T, int width>
static __device__ void decode(const cuda_codes &codes, const T *D, size_t d, float *x_hat) {
    size_t column = ((size_t)blockIdx.y * blockDim.x + threadIdx.x) * width;
    if (column >= d) return;
    for (size_t b = blockIdx.x; b < codes.rows; b += gridDim.x) {
        float sum[width] = {};
        uint64_t e = codes.start[b], end = codes.start[b + 1];
        for (; e + AHEAD <= end; e += AHEAD) {
            pack<T, width> atom[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++)
                atom[i] = load<T, width>(D + (size_t)codes.index[e + i] * d + column);
#pragma unroll
            for (int i = 0; i < AHEAD; i++) add(sum, codes.value[e + i], atom[i]);
        }
        for (; e < end; e++)
            add(sum, codes.value[e], load<T, width>(D + (size_t)codes.index[e] * d + column));
        float *row = x_hat + b * d + column;
        constexpr int stored = width < 4 ? width : 4;
#pragma unroll
        for (int c = 0; c < width; c += stored) {
            pack<float, stored> part;
            for (int i = 0; i < stored; i++) part.element[i] = sum[c + i];
            store<float, stored>(row + c, part);
        }
    }
}

/* One for each element type and width of a load. */
#define DECODE_KERNEL(name, type, width)                                                                     \
    extern "C" __global__ void name(cuda_codes codes, const void *D, size_t d, float *x_hat) {               \
        decode<type, width>(codes, (const type *)D, d, x_hat);                                               \
    }
DECODE_KERNEL(ra_decode_f32, float, 4)
DECODE_KERNEL(ra_decode_f16, f16, 8)
DECODE_KERNEL(ra_decode_bf16, bf16, 8)
DECODE_KERNEL(ra_decode_f32_narrow, float, 1)
DECODE_KERNEL(ra_decode_f16_narrow, f16, 1)
DECODE_KERNEL(ra_decode_bf16_narrow, bf16, 1)

typedef void decode_kernel(cuda_codes, const void *, size_t, float *);

cudaError_t ra_cuda_decode(cudaStream_t stream, cuda_codes codes, cuda_width width, const void *D, size_t d,
                           float *x_hat) {
    static decode_kernel *const kernels[][2] = {{ra_decode_f32_narrow, ra_decode_f32},
                                                {ra_decode_f16_narrow, ra_decode_f16},
                                                {ra_decode_bf16_narrow, ra_decode_bf16}};
    if (codes.rows == 0 || d == 0) return cudaSuccess;
    size_t element = width == CUDA_WIDTH_F32 ? 4 : 2;
    bool wide = is_wide(D, d * element) && is_wide(x_hat, d * sizeof *x_hat);
    size_t columns = wide ? d * element / 16 : d, tiles = (columns + THREADS - 1) / THREADS;
    unsigned threads = columns < THREADS ? threads_for(columns) : (unsigned)THREADS;
    if (tiles > MOST_TILES) return cudaErrorInvalidConfiguration;
    return start(stream, dim3(blocks_for(codes.rows, MOST_BLOCKS), (unsigned)tiles), threads,
                 kernels[width][wide], codes, D, d, x_hat);
}
