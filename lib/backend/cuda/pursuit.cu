/* Matching pursuit and its gradient, as sae/pursuit.c describes them. One block per row of the batch, since
 * rows are independent. */
#include "backend/cuda/kernel.cuh"

/* The largest score and its index, the lower one of equals. */
typedef struct found {
    float score;
    uint32_t index;
} found;

static __device__ inline found better(found a, found b) {
    bool second = b.score > a.score || (b.score == a.score && b.index < a.index);
    return second ? b : a;
}

/* The best of all threads, for every thread. `warps` is shared memory. */
static __device__ inline found block_best(found best, found *warps) {
    for (int step = WARP / 2; step; step /= 2) {
        found other = {__shfl_xor_sync(ALL_LANES, best.score, step),
                       __shfl_xor_sync(ALL_LANES, best.index, step)};
        best = better(best, other);
    }
    __syncthreads(); /* threads may still read those of the previous row */
    if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = best;
    __syncthreads();
    best = warps[0];
    for (unsigned warp = 1; warp < blockDim.x / WARP; warp++) best = better(best, warps[warp]);
    return best;
}

/* Step t: the first of the largest scores; residual -= value D[atom]; with gram, scores -= value gram[atom].
 * If no score is above minus infinity, the first atom.
 *
 * 4 K bytes per row for the search (16 K in all with gram: the row of gram, and the scores there and back)
 * and 12 d for the residual; a comparison or two operations per number: bound by memory. */
extern "C" __global__ void ra_pursue(cuda_path path, const float *gram, size_t t, float *scores) {
    __shared__ found warps[MOST_WARPS];
    for (size_t b = blockIdx.x; b < path.rows; b += gridDim.x) {
        float *row = scores + b * path.concepts;
        found best = {-INFINITY, 0};
        for (size_t k = threadIdx.x; k < path.concepts; k += blockDim.x)
            if (row[k] > best.score) best = {row[k], (uint32_t)k};
        best = block_best(best, warps);
        float value = row[best.index];
        const float *D = path.D + best.index * path.dimensions;
        float *residual = path.residual + b * path.dimensions;
        for (size_t j = threadIdx.x; j < path.dimensions; j += blockDim.x) residual[j] -= value * D[j];
        if (threadIdx.x == 0) {
            path.atom[b * path.steps + t] = (int32_t)best.index;
            path.value[b * path.steps + t] = value;
        }
        if (!gram) continue;
        __syncthreads(); /* all threads have read the value before it changes */
        const float *atom_gram = gram + best.index * path.concepts;
        for (size_t k = threadIdx.x; k < path.concepts; k += blockDim.x) row[k] -= value * atom_gram[k];
    }
}

cudaError_t ra_cuda_pursue(cudaStream_t stream, cuda_path path, const float *gram, size_t t, float *scores) {
    if (path.rows == 0 || path.concepts == 0) return cudaSuccess;
    if (path.concepts > INT32_MAX) return cudaErrorInvalidConfiguration;
    return start(stream, dim3(blocks_for(path.rows, MOST_BLOCKS)), threads_for(path.concepts), ra_pursue,
                 path, gram, t, scores);
}

/* Back along the steps of a row. Each thread has its own columns of r and rho; the dot product of a step
 * needs all of them.
 *
 * 28 d bytes per row and step (D twice, of which once from the cache; r and rho there and back, which the
 * cache holds; push) for 8 d operations, two of them in float64: bound by memory, with few rows by the k sums
 * that follow one another. */
extern "C" __global__ void ra_pursue_backward(cuda_path path, const float *g, size_t first, size_t rows,
                                              float *scratch, float *push) {
    __shared__ double warps[MOST_WARPS];
    size_t d = path.dimensions;
    for (size_t row = blockIdx.x; row < rows; row += gridDim.x) {
        size_t b = first + row;
        float *r = scratch + row * 2 * d, *rho = r + d;
        for (size_t j = threadIdx.x; j < d; j += blockDim.x) {
            r[j] = path.residual[b * d + j];
            rho[j] = 0;
        }
        for (size_t t = path.steps; t-- > 0;) {
            float v = path.value[b * path.steps + t], *pushed = push + (row * path.steps + t) * d;
            const float *D = path.D + (size_t)path.atom[b * path.steps + t] * d;
            double sum = 0;
            for (size_t j = threadIdx.x; j < d; j += blockDim.x) sum += (double)rho[j] * D[j];
            float dv = (float)(g[b * path.steps + t] - block_sum(sum, warps));
            for (size_t j = threadIdx.x; j < d; j += blockDim.x) {
                float before = r[j] + v * D[j];
                r[j] = before;
                pushed[j] = dv * before - v * rho[j];
                rho[j] += dv * D[j];
            }
        }
    }
}

cudaError_t ra_cuda_pursue_backward(cudaStream_t stream, cuda_path path, const float *g, size_t first,
                                    size_t rows, float *scratch, float *push) {
    if (rows == 0 || path.dimensions == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(path.dimensions),
                 ra_pursue_backward, path, g, first, rows, scratch, push);
}
