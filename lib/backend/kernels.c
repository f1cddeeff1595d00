/* The kernels of jumprelu's threshold gradient, as in overcomplete 0.3.0 (sae/kernels.py); h is half the
 * bandwidth. Their scales are those of overcomplete, which do not all integrate to 1: cosine lacks
 * 1 / bandwidth. */
#include "ra_backend.h"

#include <math.h>

static float rectangle(float x, float bandwidth) {
    return fabsf(x) <= bandwidth / 2 ? 1 / bandwidth : 0;
}

static float gaussian(float x, float bandwidth) {
    float u = x / (bandwidth / 2);
    return expf(-0.5f * u * u) / (bandwidth * 2.50662827463f); /* sqrt(2 pi) */
}

static float triangular(float x, float bandwidth) {
    float h = bandwidth / 2, u = fabsf(x) / h;
    return u <= 1 ? (1 - u) / h : 0;
}

static float cosine(float x, float bandwidth) {
    return fabsf(x) <= bandwidth ? 0.5f * (1 + cosf((float)M_PI * x / bandwidth)) : 0;
}

static float epanechnikov(float x, float bandwidth) {
    float h = bandwidth / 2, u = x / h;
    return fabsf(u) <= 1 ? 0.75f * (1 - u * u) / h : 0;
}

static float quartic(float x, float bandwidth) {
    float h = bandwidth / 2, u = x / h, rest = 1 - u * u;
    return fabsf(u) <= 1 ? 0.9375f * rest * rest / h : 0;
}

static float silverman(float x, float bandwidth) {
    float h = bandwidth / 2, v = fabsf(x) / h * (float)M_SQRT1_2;
    return expf(-v) * sinf(v + (float)M_PI_4) / h;
}

static float cauchy(float x, float bandwidth) {
    float h = bandwidth / 2, u = x / h;
    return 1 / ((1 + u * u) * (float)M_PI * h);
}

static float (*const kernels[])(float x, float bandwidth) = {
    [RA_KERNEL_RECTANGLE] = rectangle,       [RA_KERNEL_GAUSSIAN] = gaussian,
    [RA_KERNEL_TRIANGULAR] = triangular,     [RA_KERNEL_COSINE] = cosine,
    [RA_KERNEL_EPANECHNIKOV] = epanechnikov, [RA_KERNEL_QUARTIC] = quartic,
    [RA_KERNEL_SILVERMAN] = silverman,       [RA_KERNEL_CAUCHY] = cauchy,
};

void ra_kernel_evaluate(ra_kernel kernel, float bandwidth, const float *x, float *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = kernels[kernel](x[i], bandwidth);
}
