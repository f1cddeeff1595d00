/* Matching pursuit and its gradient, as sae/pursuit.c describes them. One block per row of the batch, since
 * rows are independent. */
#include "backend/cuda/rows.cuh"

/* The largest score and its index, the lower one of equals; a NaN, which only the first score may be, is the largest. */
typedef struct found {
    float score;
    uint32_t index;
} found;

static __device__ inline found better(found a, found b) {
    if (a.score != a.score) return a;
    bool second = b.score != b.score || b.score > a.score || (b.score == a.score && b.index < a.index);
    return second ? b : a;
}

/* The best of all threads, for every thread. `warps` is shared memory. */
static __device__ inline found block_best(found best, found *warps) {
    for (int step = WARP / 2; step; step /= 2) {
        found other = {__shfl_xor_sync(ALL_LANES, best.score, step),
                       __shfl_xor_sync(ALL_LANES, best.index, step)};
        best = better(best, other);
    }
    __syncthreads(); /* threads may still read those of the step before */
    if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = best;
    __syncthreads();
    best = warps[0];
    for (unsigned warp = 1; warp < blockDim.x / WARP; warp++) best = better(best, warps[warp]);
    return best;
}

/* Numbers of a row, the first of which is number j. */
template <int width>
static __device__ inline void look_at(found *best, const pack<float, width> &part, size_t j) {
    for (int c = 0; c < width; c++)
        if (part.element[c] > best->score || j + c == 0) *best = {part.element[c], (uint32_t)(j + c)};
}

static __device__ inline void note(const cuda_path &path, size_t b, size_t t, found best) {
    if (threadIdx.x > 0) return;
    path.atom[b * path.steps + t] = (int32_t)best.index;
    path.value[b * path.steps + t] = best.score;
}

/* ---- one step ------------------------------------------------------------------------------------------- */

/* Step t: the first of the largest scores; residual -= value D[atom]. One block per row, with as many threads as a block can
 * have where there are few rows.
 *
 * 4 K bytes per row for the search and 12 d for the residual; a comparison or two operations per number: bound by memory. */
template <int width> static __device__ inline void search(const float *row, size_t n, found *best) {
    for_packs<width, 4>((size_t)threadIdx.x * width, (size_t)blockDim.x * width, n,
                        [=](size_t k) { return load<float, width>(row + k); },
                        [=](size_t k, const pack<float, width> &part) { look_at<width>(best, part, k); });
}

extern "C" __global__ void ra_pursue(cuda_path path, size_t t, const float *scores, bool wide) {
    __shared__ found warps[MOST_WARPS];
    size_t d = path.dimensions;
    for (size_t b = blockIdx.x; b < path.rows; b += gridDim.x) {
        found best = {-INFINITY, 0};
        const float *row = scores + b * path.concepts;
        if (wide)
            search<PACK>(row, path.concepts, &best);
        else
            search<1>(row, path.concepts, &best);
        best = block_best(best, warps);
        note(path, b, t, best);
        const float *D = path.D + best.index * d;
        float *residual = path.residual + b * d;
        for (size_t j = threadIdx.x; j < d; j += blockDim.x) residual[j] -= best.score * D[j];
    }
}

/* ---- steps with the Gram matrix ------------------------------------------------------------------------- */

/* All steps of a row, which stays in registers. The residual follows at the end: each thread then reads the atoms of all
 * steps for its columns, one after the other, as single steps would have.
 *
 * 4 K bytes per row, and per step 4 K for a row of gram and 4 d for one of D, with two operations per number: bound by
 * memory, or the cache where gram fits it. */
template <int width, int packs>
static __device__ void pursue_gram(const cuda_path &path, const float *gram, size_t first, size_t last,
                                   float *scores) {
    __shared__ found warps[MOST_WARPS];
    size_t K = path.concepts, d = path.dimensions;
    for (size_t b = blockIdx.x; b < path.rows; b += gridDim.x) {
        float *row = scores + b * K;
        held_row<width, packs> held;
        auto read = [=](size_t k) { return load<float, width>(row + k); };
        held.fill(K, read);
        for (size_t t = first; t < last; t++) {
            found best = {-INFINITY, 0};
            held.each(K, read,
                      [&](size_t k, const pack<float, width> &part) { look_at<width>(&best, part, k); });
            best = block_best(best, warps);
            note(path, b, t, best);
            if (t + 1 == last) break;
            const float *atom_gram = gram + best.index * K;
            held.change(K, read, [&](size_t k, pack<float, width> part) {
                pack<float, width> change = load<float, width>(atom_gram + k);
                for (int c = 0; c < width; c++) part.element[c] -= best.score * change.element[c];
                if (!packs) store<float, width>(row + k, part);
                return part;
            });
        }
        __syncthreads(); /* the first thread has noted all steps */
        const int32_t *atom = path.atom + b * path.steps;
        const float *value = path.value + b * path.steps;
        for (size_t j = threadIdx.x; j < d; j += blockDim.x) {
            float rest = path.residual[b * d + j];
#pragma unroll 4
            for (size_t t = first; t < last; t++) rest -= value[t] * path.D[(size_t)atom[t] * d + j];
            path.residual[b * d + j] = rest;
        }
    }
}

ROW_KERNELS_OF(ra_pursue_gram, pursue_gram, HELD_PACKS,
               (cuda_path path, const float *gram, size_t first, size_t last, float *scores),
               (path, gram, first, last, scores));

enum { FEW_ROWS = 512 };

cudaError_t ra_cuda_pursue(cudaStream_t stream, cuda_path path, const float *gram, size_t t, size_t count,
                           float *scores) {
    if (path.rows == 0 || path.concepts == 0) return cudaSuccess;
    if (path.concepts > INT32_MAX) return cudaErrorInvalidConfiguration;
    bool wide = is_wide(scores, path.concepts * sizeof *scores);
    unsigned blocks = blocks_for(path.rows, MOST_BLOCKS), threads;
    if (count > 1) {
        row_kernel which = row_kernel_for(path.concepts, wide && is_wide(gram, 0), HELD_PACKS, &threads);
        return start(stream, dim3(blocks), threads, ra_pursue_gram_kernels[which], path, gram, t, t + count,
                     scores);
    }
    size_t packs = wide ? path.concepts / PACK : path.concepts;
    threads =
        path.rows < FEW_ROWS && packs >= ROW_MOST_THREADS ? (unsigned)ROW_MOST_THREADS : threads_for(packs);
    return start(stream, dim3(blocks), threads, ra_pursue, path, t, (const float *)scores, wide);
}

/* ---- the gradient --------------------------------------------------------------------------------------- */

/* Back along the steps of a row. Each thread has its own columns of r and rho; the dot product of a step needs all of them.
 * A row's r and rho stay in registers, and the atom of the next step is on its way while that of this one is used.
 *
 * 8 d bytes per row and step (D, and push) for 8 d operations, two of them in float64: bound by memory, with few rows by the k
 * sums that follow one another. */
template <int width, int packs>
static __device__ inline void load_atom(const cuda_path &path, size_t b, size_t t,
                                        pack<float, width> (&atom)[packs]) {
    const float *D = path.D + (size_t)path.atom[b * path.steps + t] * path.dimensions;
#pragma unroll
    for (int i = 0; i < packs; i++) {
        size_t j = ((size_t)i * blockDim.x + threadIdx.x) * width;
        if (j < path.dimensions) atom[i] = load<float, width>(D + j);
    }
}

template <int width, int packs>
static __device__ void go_back(const cuda_path &path, const float *g, size_t b, float *push, double *warps) {
    size_t d = path.dimensions;
    pack<float, width> r[packs] = {}, rho[packs] = {}, atom[packs] = {}, next[packs] = {};
    load_atom<width, packs>(path, b, path.steps - 1, next);
#pragma unroll
    for (int i = 0; i < packs; i++) {
        size_t j = ((size_t)i * blockDim.x + threadIdx.x) * width;
        if (j < d) r[i] = load<float, width>(path.residual + b * d + j);
    }
    for (size_t t = path.steps; t-- > 0;) {
        float v = path.value[b * path.steps + t], *pushed = push + t * d;
        double sum = 0;
#pragma unroll
        for (int i = 0; i < packs; i++) atom[i] = next[i];
        if (t > 0) load_atom<width, packs>(path, b, t - 1, next);
#pragma unroll
        for (int i = 0; i < packs; i++)
            for (int c = 0; c < width; c++) sum += (double)rho[i].element[c] * atom[i].element[c];
        float dv = (float)(g[b * path.steps + t] - block_sum(sum, warps));
#pragma unroll
        for (int i = 0; i < packs; i++) {
            size_t j = ((size_t)i * blockDim.x + threadIdx.x) * width;
            pack<float, width> out;
            for (int c = 0; c < width; c++) {
                float before = r[i].element[c] + v * atom[i].element[c];
                r[i].element[c] = before;
                out.element[c] = dv * before - v * rho[i].element[c];
                rho[i].element[c] += dv * atom[i].element[c];
            }
            if (j < d) store<float, width>(pushed + j, out);
        }
    }
}

/* The same for a row that registers do not hold: 28 d bytes per step, 16 of them for r and rho, in scratch memory. */
static __device__ inline void go_back_in_memory(const cuda_path &path, const float *g, size_t b, float *r,
                                                float *push, double *warps) {
    size_t d = path.dimensions;
    float *rho = r + d;
    for (size_t j = threadIdx.x; j < d; j += blockDim.x) {
        r[j] = path.residual[b * d + j];
        rho[j] = 0;
    }
    for (size_t t = path.steps; t-- > 0;) {
        float v = path.value[b * path.steps + t], *pushed = push + t * d;
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

template <int width, int packs>
static __device__ void pursue_backward(const cuda_path &path, const float *g, size_t first, size_t rows,
                                       float *scratch, float *push) {
    __shared__ double warps[MOST_WARPS];
    size_t d = path.dimensions;
    for (size_t row = blockIdx.x; row < rows; row += gridDim.x) {
        float *pushed = push + row * path.steps * d;
        if constexpr (packs != NOT_HELD)
            go_back<width, packs>(path, g, first + row, pushed, warps);
        else
            go_back_in_memory(path, g, first + row, scratch + row * 2 * d, pushed, warps);
    }
}

enum { BACK_PACKS = 4 };
ROW_KERNELS_OF(ra_pursue_backward, pursue_backward, BACK_PACKS,
               (cuda_path path, const float *g, size_t first, size_t rows, float *scratch, float *push),
               (path, g, first, rows, scratch, push));

cudaError_t ra_cuda_pursue_backward(cudaStream_t stream, cuda_path path, const float *g, size_t first,
                                    size_t rows, float *scratch, float *push) {
    if (rows == 0 || path.dimensions == 0 || path.steps == 0) return cudaSuccess;
    unsigned threads;
    bool wide =
        is_wide(path.D, path.dimensions * sizeof *path.D) && is_wide(path.residual, 0) && is_wide(push, 0);
    row_kernel which = row_kernel_for(path.dimensions, wide, BACK_PACKS, &threads);
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads, ra_pursue_backward_kernels[which],
                 path, g, first, rows, scratch, push);
}
