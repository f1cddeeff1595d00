#include "tensor/dot.h"
#include "base/multiversion.h"

enum { LANES_F32 = 32, LANES_F64 = 16 };

RA_MULTIVERSION float ra_dot_f32(const float *x, const float *y, size_t n) {
    float lane[LANES_F32] = {0};
    size_t i = 0;
    for (; i + LANES_F32 <= n; i += LANES_F32)
        for (size_t l = 0; l < LANES_F32; l++) lane[l] += x[i + l] * y[i + l];
    for (size_t l = 0; i + l < n; l++) lane[l] += x[i + l] * y[i + l];
    for (size_t half = LANES_F32 / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

RA_MULTIVERSION double ra_dot_f64(const float *x, const float *y, size_t n) {
    double lane[LANES_F64] = {0};
    size_t i = 0;
    for (; i + LANES_F64 <= n; i += LANES_F64)
        for (size_t l = 0; l < LANES_F64; l++) lane[l] += (double)x[i + l] * (double)y[i + l];
    for (size_t l = 0; i + l < n; l++) lane[l] += (double)x[i + l] * (double)y[i + l];
    for (size_t half = LANES_F64 / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

RA_MULTIVERSION double ra_dot_doubles(const double *x, const double *y, size_t n) {
    double lane[LANES_F64] = {0};
    size_t i = 0;
    for (; i + LANES_F64 <= n; i += LANES_F64)
        for (size_t l = 0; l < LANES_F64; l++) lane[l] += x[i + l] * y[i + l];
    for (size_t l = 0; i + l < n; l++) lane[l] += x[i + l] * y[i + l];
    for (size_t half = LANES_F64 / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}
