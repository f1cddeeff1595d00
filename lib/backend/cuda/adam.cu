/* One step of Adam: every number of a parameter and its moments is read and written once.
 *
 * 28 bytes and some 12 operations per number, including a division and a root: bound by memory. A row without
 * a gradient costs 24 bytes per number, a row that never had one 4 bytes in all (8 per number with decay). */
#include "backend/cuda/kernel.cuh"

static __device__ inline void move(const cuda_adam_factors &s, float *parameter, float gradient, float *first,
                                   float *second, size_t i) {
    float g = gradient * s.scale;
    float m = first[i] + s.rest1 * (g - first[i]);
    float v = s.beta2 * second[i] + s.rest2 * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * s.keep - s.rate * m / (sqrtf(v) * s.root + s.epsilon);
}

extern "C" __global__ void ra_adam_all(cuda_adam_factors s, float *parameter, const float *gradient,
                                       float *first, float *second, size_t n) {
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
        move(s, parameter, gradient[i], first, second, i);
}

/* One block per row. */
extern "C" __global__ void ra_adam_rows(cuda_adam_factors s, float *parameter, const float *gradient,
                                        const int32_t *gradient_row, float *first, float *second, size_t rows,
                                        size_t n) {
    for (size_t row = blockIdx.x; row < rows; row += gridDim.x) {
        int32_t from = gradient_row[row];
        for (size_t j = threadIdx.x; j < n; j += blockDim.x) {
            size_t i = row * n + j;
            if (from >= 0)
                move(s, parameter, gradient[(size_t)from * n + j], first, second, i);
            else if (from == RA_CUDA_ROW_STILL)
                move(s, parameter, 0, first, second, i);
            else if (s.keep != 1)
                parameter[i] *= s.keep;
        }
    }
}

cudaError_t ra_cuda_adam(cudaStream_t stream, cuda_adam_factors step, float *parameter, const float *gradient,
                         const int32_t *gradient_row, float *first, float *second, size_t rows, size_t n) {
    if (rows == 0 || n == 0) return cudaSuccess;
    if (gradient_row)
        return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_adam_rows, step,
                     parameter, gradient, gradient_row, first, second, rows, n);
    size_t blocks = (rows * n + ROW_THREADS - 1) / ROW_THREADS;
    return start(stream, dim3(blocks_for(blocks, STREAMING_BLOCKS)), threads_for(rows * n), ra_adam_all, step,
                 parameter, gradient, first, second, rows * n);
}
