/* Sums of the kernels that stand for the derivative of a step (jumprelu's thresholds), scaled as in
 * backend/kernels.c.
 *
 * 8 bytes per number for some 10 operations in float32, three in float64 and, of some kernels, an exponential
 * or a sine: bound by memory if there are enough float64 units. */
#include "backend/cuda/columns.cuh"

static __device__ inline float rectangle(float x, float h) {
    return fabsf(x) <= h ? 0.5f / h : 0;
}
static __device__ inline float gaussian(float x, float h) {
    float u = x / h;
    return expf(-0.5f * u * u) / (2 * h * 2.50662827463f); /* sqrt(2 pi) */
}
static __device__ inline float triangular(float x, float h) {
    float u = fabsf(x) / h;
    return u <= 1 ? (1 - u) / h : 0;
}
static __device__ inline float cosine(float x, float h) {
    float bandwidth = 2 * h;
    return fabsf(x) <= bandwidth ? 0.5f * (1 + cosf(3.14159265f * x / bandwidth)) : 0;
}
static __device__ inline float epanechnikov(float x, float h) {
    float u = x / h;
    return fabsf(u) <= 1 ? 0.75f * (1 - u * u) / h : 0;
}
static __device__ inline float quartic(float x, float h) {
    float u = x / h, rest = 1 - u * u;
    return fabsf(u) <= 1 ? 0.9375f * rest * rest / h : 0;
}
static __device__ inline float silverman(float x, float h) {
    float v = fabsf(x) / h * 0.70710678f;
    return expf(-v) * sinf(v + 0.78539816f) / h;
}
static __device__ inline float cauchy(float x, float h) {
    float u = x / h;
    return 1 / ((1 + u * u) * 3.14159265f * h);
}

struct numbers {
    float pre, g;
};

/* total [2,n] <- kappa g, and kappa, with kappa = kernel(max(pre, 0) - threshold) and h half its bandwidth */
#define STEP_KERNEL(name, kernel)                                                                            \
    extern "C" __global__ void name(float h, const float *pre, const float *g, const float *thresholds,      \
                                    size_t rows, size_t n, double *out) {                                    \
        __shared__ column_memory held;                                                                       \
        size_t column = column_of_thread();                                                                  \
        float threshold = column < n ? thresholds[column] : 0;                                               \
        sum_columns<2>(                                                                                      \
            rows, n, out, held,                                                                              \
            [=](size_t row) {                                                                                \
                return numbers{pre[row * n + column], g[row * n + column]};                                  \
            },                                                                                               \
            [=](const numbers &at, double *sum) {                                                            \
                float code = at.pre > 0 ? at.pre : 0;                                                        \
                double kappa = kernel(code - threshold, h);                                                  \
                sum[0] += kappa * at.g;                                                                      \
                sum[1] += kappa;                                                                             \
            });                                                                                              \
    }
STEP_KERNEL(ra_step_rectangle, rectangle)
STEP_KERNEL(ra_step_gaussian, gaussian)
STEP_KERNEL(ra_step_triangular, triangular)
STEP_KERNEL(ra_step_cosine, cosine)
STEP_KERNEL(ra_step_epanechnikov, epanechnikov)
STEP_KERNEL(ra_step_quartic, quartic)
STEP_KERNEL(ra_step_silverman, silverman)
STEP_KERNEL(ra_step_cauchy, cauchy)

typedef void step_kernel(float, const float *, const float *, const float *, size_t, size_t, double *);

cudaError_t ra_cuda_kernel_sums(cudaStream_t stream, int kernel, float bandwidth, const float *pre,
                                const float *g, const float *thresholds, size_t rows, size_t n,
                                double *partial, double *total) {
    static step_kernel *const kernels[RA_CUDA_STEP_KERNELS] = {
        ra_step_rectangle,    ra_step_gaussian, ra_step_triangular, ra_step_cosine,
        ra_step_epanechnikov, ra_step_quartic,  ra_step_silverman,  ra_step_cauchy,
    };
    return start_columns<2>(stream, rows, n, partial, total, kernels[kernel], bandwidth / 2, pre, g,
                            thresholds, rows, n);
}
