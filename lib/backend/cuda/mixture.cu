/* Atoms as mixtures of a few points (backend/simplex.h). One block per atom: its threads share the dot
 * products, and its first thread alone solves the problem of T numbers that they leave, in shared memory. */
#include "backend/cuda/kernel.cuh"

#define RA_SIMPLEX static __device__ inline
#include "backend/simplex.h"

enum { MOST = RA_CUDA_MIXTURE_MOST };

/* The problem of one atom, in shared memory. */
typedef struct problem {
    int count; /* of its points */
    bool taken;
    double G[MOST * MOST]; /* gram */
    double q[MOST];        /* points . relax */
    double c[MOST];        /* points . (mixture + relax) */
    double w[MOST], old[MOST], scratch[MOST];
    float moved[MOST]; /* what a point's weight has lost */
    double warps[MOST_WARPS];
} problem;

static __device__ inline const float *point(const cuda_mixture &m, int32_t index) {
    return m.C + (size_t)index * m.dimensions;
}

/* The same for every thread. */
static __device__ inline double block_dot(const float *x, const float *y, size_t n, double *warps) {
    double sum = 0;
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) sum += (double)x[i] * y[i];
    return block_sum(sum, warps);
}

static __device__ inline int count_points(const cuda_mixture &m, const int32_t *index) {
    int count = 0;
    while (count < (int)m.most && index[count] >= 0) count++;
    return count;
}

/* p <- the problem of an atom; all threads call it, and all see it afterwards. */
static __device__ void pose(const cuda_mixture &m, size_t k, problem *p) {
    size_t T = m.most;
    const int32_t *index = m.index + k * T;
    const float *weight = m.weight + k * T, *gram = m.gram + k * T * T, *relax = m.relax + k * m.dimensions;
    int count = count_points(m, index);
    for (int i = 0; i < count; i++) {
        double product = block_dot(point(m, index[i]), relax, m.dimensions, p->warps);
        if (threadIdx.x == 0) p->q[i] = product;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        p->count = count;
        for (int i = 0; i < count; i++) {
            p->w[i] = weight[i];
            p->c[i] = p->q[i];
            for (int j = 0; j < count; j++) {
                p->G[i * MOST + j] = gram[i * T + j];
                p->c[i] += (double)gram[i * T + j] * weight[j];
            }
        }
    }
    __syncthreads();
}

/* T^2 / 2 dot products of d numbers per atom: 2 T d bytes of points that the cache holds for 2 d operations
 * each; bound by arithmetic in float64. Runs when a dictionary is made. */
extern "C" __global__ void ra_mixture_gram(cuda_mixture m) {
    __shared__ double warps[MOST_WARPS];
    int T = (int)m.most;
    for (size_t k = blockIdx.x; k < m.atoms; k += gridDim.x) {
        const int32_t *index = m.index + k * m.most;
        float *gram = m.gram + k * m.most * m.most;
        int count = count_points(m, index);
        for (int i = 0; i < T; i++)
            for (int j = 0; j <= i; j++) {
                double product =
                    i < count ? block_dot(point(m, index[i]), point(m, index[j]), m.dimensions, warps) : 0;
                if (threadIdx.x == 0) gram[i * T + j] = gram[j * T + i] = (float)product;
            }
    }
}

/* (4 T + 8) d bytes per atom, of which the points come from the cache, for 2 T d operations: bound by memory. */
extern "C" __global__ void ra_mixture_compose(cuda_mixture m, const int32_t *atoms, size_t count, float scale,
                                              float *D) {
    size_t d = m.dimensions;
    for (size_t i = blockIdx.x; i < count; i += gridDim.x) {
        size_t k = atoms ? (size_t)atoms[i] : i;
        const int32_t *index = m.index + k * m.most;
        const float *weight = m.weight + k * m.most, *relax = m.relax + k * d;
        int points = count_points(m, index);
        for (size_t e = threadIdx.x; e < d; e += blockDim.x) {
            float sum = relax[e];
            for (int t = 0; t < points; t++) sum += weight[t] * point(m, index[t])[e];
            D[i * d + e] = scale * sum;
        }
    }
}

static __device__ float cosine(const problem *p, double rest) {
    double mix = 0, cross = 0;
    for (int i = 0; i < p->count; i++) {
        cross += p->w[i] * p->q[i];
        for (int j = 0; j < p->count; j++) mix += p->w[i] * p->w[j] * p->G[i * MOST + j];
    }
    double whole = mix + 2 * cross + rest;
    if (!(whole > 0)) return 1;
    return mix > 0 ? (float)((mix + cross) / sqrt(mix * whole)) : 0;
}

/* (8 T + 12) d bytes per atom, of which the points come from the cache, for 6 T d operations, a third of them
 * in float64: bound by memory, or by float64 where a device has little of it. */
extern "C" __global__ void ra_mixture_fit(cuda_mixture m, float keep, float radius, float *share) {
    __shared__ problem p;
    size_t T = m.most, d = m.dimensions;
    for (size_t k = blockIdx.x; k < m.atoms; k += gridDim.x) {
        const int32_t *index = m.index + k * T;
        float *weight = m.weight + k * T, *relax = m.relax + k * d;
        pose(m, k, &p);
        if (threadIdx.x == 0) {
            ra_simplex_nearest(p.G, MOST, p.c, p.w, p.scratch, p.count);
            for (int i = 0; i < p.count; i++) {
                float after = (float)p.w[i];
                p.moved[i] = weight[i] - after;
                weight[i] = after;
                p.w[i] = after;
            }
            for (int i = 0; i < p.count; i++) {
                double q = p.q[i];
                for (int j = 0; j < p.count; j++) q += p.moved[j] * p.G[i * MOST + j];
                p.scratch[i] = q;
            }
        }
        __syncthreads();
        double sum = 0;
        for (size_t e = threadIdx.x; e < d; e += blockDim.x) {
            float value = relax[e];
            for (int i = 0; i < p.count; i++) value += p.moved[i] * point(m, index[i])[e];
            relax[e] = value;
            sum += (double)value * value;
        }
        double rest = block_sum(sum, p.warps) * keep * keep, factor = keep;
        if (rest > (double)radius * radius) {
            factor *= radius / sqrt(rest);
            rest = (double)radius * radius;
        }
        for (size_t e = threadIdx.x; e < d; e += blockDim.x) relax[e] *= (float)factor;
        if (threadIdx.x == 0) {
            for (int i = 0; i < p.count; i++) p.q[i] = factor * p.scratch[i];
            share[k] = cosine(&p, rest);
        }
        __syncthreads(); /* the next atom's problem takes the place of this one's */
    }
}

/* Puts a candidate into a place of the problem; every thread knows the place. */
static __device__ int enter(const cuda_mixture &m, size_t k, int32_t candidate, problem *p) {
    const int32_t *index = m.index + k * m.most;
    const float *weight = m.weight + k * m.most, *vector = point(m, candidate);
    int count = p->count, place = 0;
    for (int i = 1; i < count; i++)
        if (weight[i] < weight[place]) place = i;
    if (count < (int)m.most) place = count;
    double all = block_dot(vector, m.relax + k * m.dimensions, m.dimensions, p->warps);
    for (int i = 0; i < count; i++) {
        double product = block_dot(vector, point(m, index[i]), m.dimensions, p->warps);
        all += weight[i] * product;
        if (threadIdx.x == 0) p->G[i * MOST + place] = p->G[place * MOST + i] = (float)product;
    }
    double square = block_dot(vector, vector, m.dimensions, p->warps);
    if (threadIdx.x == 0) {
        p->G[place * MOST + place] = (float)square;
        p->c[place] = all;
        if (place == count) p->w[place] = count == 0;
    }
    __syncthreads();
    return place;
}

/* Twice what a fit reads, for each atom that is listed. */
extern "C" __global__ void ra_mixture_exchange(cuda_mixture m, const int32_t *atoms,
                                               const int32_t *candidates, size_t count) {
    __shared__ problem p;
    size_t T = m.most, d = m.dimensions;
    for (size_t n = blockIdx.x; n < count; n += gridDim.x) {
        size_t k = (size_t)atoms[n];
        int32_t candidate = candidates[n], *index = m.index + k * T;
        float *weight = m.weight + k * T, *relax = m.relax + k * d, *gram = m.gram + k * T * T;
        bool has = candidate < 0;
        int before_count = count_points(m, index);
        for (int i = 0; i < before_count; i++) has |= index[i] == candidate;
        if (has) continue; /* all threads alike */
        pose(m, k, &p);
        double square = block_dot(relax, relax, d, p.warps), before = 0;
        if (threadIdx.x == 0) {
            for (int i = 0; i < p.count; i++) {
                p.old[i] = p.w[i];
                square += p.w[i] * (p.c[i] + p.q[i]);
            }
            ra_simplex_nearest(p.G, MOST, p.c, p.old, p.scratch, p.count);
            before = square + 2 * ra_simplex_value(p.G, MOST, p.c, p.old, p.count);
        }
        __syncthreads();
        int place = enter(m, k, candidate, &p), after_count = p.count + (place == p.count);
        if (threadIdx.x == 0) {
            ra_simplex_nearest(p.G, MOST, p.c, p.w, p.scratch, after_count);
            double after = square + 2 * ra_simplex_value(p.G, MOST, p.c, p.w, after_count);
            p.taken = after < before - 1e-4 * fabs(before);
        }
        __syncthreads();
        if (p.taken) {
            for (size_t e = threadIdx.x; e < d; e += blockDim.x) {
                float value = relax[e];
                for (int i = 0; i < before_count; i++) value += weight[i] * point(m, index[i])[e];
                for (int i = 0; i < after_count; i++)
                    value -= (float)p.w[i] * point(m, i == place ? candidate : index[i])[e];
                relax[e] = value;
            }
            __syncthreads(); /* all have read the weights and points that change now */
            if (threadIdx.x == 0) {
                index[place] = candidate;
                for (int i = 0; i < after_count; i++) {
                    weight[i] = (float)p.w[i];
                    for (int j = 0; j < after_count; j++) gram[i * T + j] = (float)p.G[i * MOST + j];
                }
            }
        }
        __syncthreads(); /* the next atom's problem takes the place of this one's */
    }
}

cudaError_t ra_cuda_mixture_gram(cudaStream_t stream, cuda_mixture mixture) {
    if (mixture.atoms == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(mixture.atoms, MOST_BLOCKS)), threads_for(mixture.dimensions),
                 ra_mixture_gram, mixture);
}

cudaError_t ra_cuda_mixture_compose(cudaStream_t stream, cuda_mixture mixture, const int32_t *atoms,
                                    size_t count, float scale, float *D) {
    if (count == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(count, MOST_BLOCKS)), threads_for(mixture.dimensions),
                 ra_mixture_compose, mixture, atoms, count, scale, D);
}

cudaError_t ra_cuda_mixture_fit(cudaStream_t stream, cuda_mixture mixture, float keep, float radius,
                                float *share) {
    if (mixture.atoms == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(mixture.atoms, MOST_BLOCKS)), threads_for(mixture.dimensions),
                 ra_mixture_fit, mixture, keep, radius, share);
}

cudaError_t ra_cuda_mixture_exchange(cudaStream_t stream, cuda_mixture mixture, const int32_t *atoms,
                                     const int32_t *candidate, size_t count) {
    if (count == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(count, MOST_BLOCKS)), threads_for(mixture.dimensions),
                 ra_mixture_exchange, mixture, atoms, candidate, count);
}
