/* LayerNorm and BatchNorm: the reference backend. Both are
 *     y = gamma xhat + beta,   xhat = (u - mean) rstd
 * with the mean and variance of a row (LayerNorm) or of a column (BatchNorm). With dxhat = gamma dy and
 * averages over the same set,
 *     du = rstd (dxhat - avg(dxhat) - xhat avg(dxhat xhat))
 *     dgamma = sum over the rows of dy xhat,   dbeta = sum over the rows of dy */
#include "backend/reference/reference.h"

#include <math.h>

ra_status reference_layer_norm(void *self, ra_backend_stream *stream, const float *u, size_t rows, size_t n,
                               double epsilon, const float *gamma, const float *beta, float *mean,
                               float *rstd, float *y, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < rows; i++) {
        double sum = 0, squares = 0;
        for (size_t j = 0; j < n; j++) sum += u[i * n + j];
        double average = sum / (double)n;
        for (size_t j = 0; j < n; j++) squares += (u[i * n + j] - average) * (u[i * n + j] - average);
        mean[i] = (float)average;
        rstd[i] = (float)(1 / sqrt(squares / (double)n + epsilon));
        for (size_t j = 0; j < n; j++)
            y[i * n + j] = (float)(((double)u[i * n + j] - mean[i]) * rstd[i] * gamma[j] + beta[j]);
    }
    return RA_OK;
}

/* xhat of element (i, j), whose value before the norm is u */
static double xhat_of(const ra_norm *norm, float u, size_t i, size_t j) {
    size_t at = norm->by_row ? i : j;
    return ((double)u - norm->mean[at]) * norm->rstd[at];
}

ra_status reference_normalize(void *self, ra_backend_stream *stream, const ra_norm *norm, double epsilon,
                              const float *u, float *y, size_t rows, size_t n, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < rows; i++) {
        double squares = 0;
        for (size_t j = 0; j < n; j++) squares += (double)u[i * n + j] * u[i * n + j];
        float factor = epsilon > 0 ? (float)(1 / sqrt(squares / (double)n + epsilon)) : 1;
        for (size_t j = 0; j < n; j++)
            y[i * n + j] =
                (float)(xhat_of(norm, u[i * n + j] * factor, i, j) * norm->gamma[j] + norm->beta[j]);
    }
    return RA_OK;
}

ra_status reference_norm_sums(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                              const float *dy, size_t rows, size_t n, double *sums, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t j = 0; j < n; j++) {
        sums[j] = sums[n + j] = 0;
        for (size_t i = 0; i < rows; i++) {
            sums[j] += dy[i * n + j] * xhat_of(norm, u[i * n + j], i, j);
            sums[n + j] += dy[i * n + j];
        }
    }
    return RA_OK;
}

static void row_backward(const ra_norm *norm, const float *u, float *dy, size_t i, size_t n) {
    double sum = 0, dot = 0;
    for (size_t j = 0; j < n; j++) {
        double dxhat = (double)norm->gamma[j] * dy[j];
        sum += dxhat;
        dot += dxhat * xhat_of(norm, u[j], i, j);
    }
    for (size_t j = 0; j < n; j++) {
        double dxhat = (double)norm->gamma[j] * dy[j];
        dy[j] =
            (float)(norm->rstd[i] * (dxhat - sum / (double)n - xhat_of(norm, u[j], i, j) * dot / (double)n));
    }
}

ra_status reference_norm_backward(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                                  const double *sums, double count, float *dy, size_t rows, size_t n,
                                  ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < rows; i++) {
        if (norm->by_row) {
            row_backward(norm, u + i * n, dy + i * n, i, n);
            continue;
        }
        for (size_t j = 0; j < n; j++) {
            double xhat = xhat_of(norm, u[i * n + j], i, j);
            double centered = dy[i * n + j] - sums[n + j] / count - xhat * sums[j] / count;
            dy[i * n + j] = (float)((double)norm->gamma[j] * norm->rstd[j] * centered);
        }
    }
    return RA_OK;
}
