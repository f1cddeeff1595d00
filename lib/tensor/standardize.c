#include "tensor/standardize.h"
#include "base/multiversion.h"

RA_MULTIVERSION static void forth(float *restrict x, const float *restrict mean, const float *restrict scale,
                                  size_t d) {
    for (size_t j = 0; j < d; j++) x[j] = (x[j] - mean[j]) / scale[j];
}

RA_MULTIVERSION static void back(float *restrict x, const float *restrict mean, const float *restrict scale,
                                 size_t d) {
    for (size_t j = 0; j < d; j++) x[j] = x[j] * scale[j] + mean[j];
}

void ra_standardize_rows(float *x, size_t rows, size_t d, const float *mean, const float *scale) {
    for (size_t i = 0; i < rows; i++) forth(x + i * d, mean, scale, d);
}

void ra_unstandardize_rows(float *x, size_t rows, size_t d, const float *mean, const float *scale) {
    for (size_t i = 0; i < rows; i++) back(x + i * d, mean, scale, d);
}
