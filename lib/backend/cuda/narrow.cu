/* The factors of a product, rounded to bf16. One block per row of either; a row may be a part of a longer one.
 *
 * 6 bytes and a conversion per number: bound by memory. */
#include "backend/cuda/half.cuh"

template <int width> static __device__ void narrow_row(const float *from, bf16 *to, size_t n) {
    for_packs<width, 4>((size_t)threadIdx.x * width, (size_t)blockDim.x * width, n,
                        [=](size_t j) { return load<float, width>(from + j); },
                        [=](size_t j, const pack<float, width> &x) {
                            pack<bf16, width> y;
                            for (int c = 0; c < width; c++) y.element[c] = narrow(x.element[c]);
                            store<bf16, width>(to + j, y);
                        });
}

static __device__ void narrow_matrix(const cuda_narrowed &matrix, size_t i, bool wide) {
    const float *from = (const float *)matrix.from + i * matrix.stride;
    bf16 *to = (bf16 *)matrix.to + i * matrix.n;
    if (wide)
        narrow_row<PACK>(from, to, matrix.n);
    else
        narrow_row<1>(from, to, matrix.n);
}

extern "C" __global__ void ra_narrow(cuda_narrowed a, bool wide_a, cuda_narrowed b, bool wide_b) {
    for (size_t i = blockIdx.x; i < a.rows + b.rows; i += gridDim.x)
        if (i < a.rows)
            narrow_matrix(a, i, wide_a);
        else
            narrow_matrix(b, i - a.rows, wide_b);
}

static bool may_be_wide(const cuda_narrowed &matrix) {
    return matrix.n % PACK == 0 && is_wide(matrix.from, matrix.stride * sizeof(float)) &&
           (uintptr_t)matrix.to % (PACK * sizeof(bf16)) == 0;
}

cudaError_t ra_cuda_narrow(cudaStream_t stream, cuda_narrowed a, cuda_narrowed b) {
    bool wide_a = may_be_wide(a), wide_b = may_be_wide(b);
    size_t longest = a.n > b.n ? a.n : b.n;
    return start(stream, dim3(blocks_for(a.rows + b.rows, MOST_BLOCKS)),
                 threads_for(wide_a && wide_b ? longest / PACK : longest), ra_narrow, a, wide_a, b, wide_b);
}
