/* Norms of rows and projections by them: one block per row, a sum over it in float64, then a scaling of it.
 *
 * A norm moves 4 bytes per number, a projection 8, and does one or two operations in float64 and one in float32 for them.
 * A consumer's GPU does 1 float64 operation for 64 in float32; that is still more than one a number read at its
 * bandwidth: bound by memory. */
#include "backend/cuda/rows.cuh"

/* each row of x [rows,n] <- its projection; a row that stays is not written */
template <int width, int packs>
static __device__ void project_rows(cuda_projection projection, float radius, float *x, size_t rows,
                                    size_t n) {
    __shared__ double warps[MOST_WARPS];
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        float *row = x + b * n;
        held_row<width, packs> held;
        double sum = 0;
        auto read = [=](size_t j) { return load<float, width>(row + j); };
        held.fill(n, read, [&](size_t, const pack<float, width> &part) {
            for (int c = 0; c < width; c++) sum += projection_sum(projection, part.element[c]);
        });
        float factor = projection_factor(projection, block_sum(sum, warps), radius);
        if (projection == CUDA_PROJECT_BALL && factor == 1) continue; /* all threads have the same */
        held.each(n, read, [=](size_t j, pack<float, width> part) {
            for (int c = 0; c < width; c++) part.element[c] = projected(projection, part.element[c], factor);
            store<float, width>(row + j, part);
        });
    }
}

ROW_KERNELS_OF(ra_project_rows, project_rows, HELD_PACKS,
               (cuda_projection projection, float radius, float *x, size_t rows, size_t n),
               (projection, radius, x, rows, n));

cudaError_t ra_cuda_project_rows(cudaStream_t stream, cuda_projection projection, float radius, float *x,
                                 size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    unsigned threads;
    row_kernel which = row_kernel_for(n, is_wide(x, n * sizeof *x), HELD_PACKS, &threads);
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads, ra_project_rows_kernels[which],
                 projection, radius, x, rows, n);
}

/* norms [rows] <- sum |x| (l1), or sqrt(sum x^2), of each row of x [rows, n] */
template <int width> static __device__ inline double add_row(const float *row, size_t n, bool l1) {
    double sum = 0;
    for_packs<width, 4>((size_t)threadIdx.x * width, (size_t)blockDim.x * width, n,
                        [=](size_t j) { return load<float, width>(row + j); },
                        [&](size_t, const pack<float, width> &part) {
                            for (int c = 0; c < width; c++)
                                sum += l1 ? fabs((double)part.element[c])
                                          : (double)part.element[c] * part.element[c];
                        });
    return sum;
}

extern "C" __global__ void ra_row_norms(bool wide, const float *x, size_t rows, size_t n, bool l1,
                                        double *norms) {
    __shared__ double warps[MOST_WARPS];
    for (size_t i = blockIdx.x; i < rows; i += gridDim.x) {
        double sum = wide ? add_row<PACK>(x + i * n, n, l1) : add_row<1>(x + i * n, n, l1);
        sum = block_sum(sum, warps);
        if (threadIdx.x == 0) norms[i] = l1 ? sum : sqrt(sum);
    }
}

cudaError_t ra_cuda_row_norms(cudaStream_t stream, const float *x, size_t rows, size_t n, bool l1,
                              double *norms) {
    if (rows == 0) return cudaSuccess;
    bool wide = is_wide(x, n * sizeof *x);
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(wide ? n / PACK : n), ra_row_norms,
                 wide, x, rows, n, l1, norms);
}
