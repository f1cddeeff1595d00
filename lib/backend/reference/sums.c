/* Sums over everything, over columns, over rows: the reference backend. */
#include "backend/reference/reference.h"

#include <math.h>

ra_status reference_dot(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                        double *sum, ra_error *err) {
    (void)self, (void)stream, (void)err;
    *sum = 0;
    for (size_t i = 0; i < n; i++) *sum += (double)x[i] * y[i];
    return RA_OK;
}

ra_status reference_dot_into(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                             float *out, ra_error *err) {
    double sum;
    RA_TRY(reference_dot(self, stream, x, y, n, &sum, err));
    *out = (float)sum;
    return RA_OK;
}

ra_status reference_squares(void *self, ra_backend_stream *stream, const float *const *x, const size_t *n,
                            size_t count, double *sums, ra_error *err) {
    for (size_t i = 0; i < count; i++) RA_TRY(reference_dot(self, stream, x[i], x[i], n[i], &sums[i], err));
    return RA_OK;
}

ra_status reference_squared_error(void *self, ra_backend_stream *stream, const float *a, const float *b,
                                  size_t n, double scale, float *g, double *sum, ra_error *err) {
    (void)self, (void)stream, (void)err;
    *sum = 0;
    for (size_t i = 0; i < n; i++) {
        double gap = (double)a[i] - b[i];
        *sum += gap * gap;
        g[i] = (float)(scale * gap);
    }
    return RA_OK;
}

ra_status reference_column_sums(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n,
                                const double *center, double *sums, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t j = 0; j < n; j++) {
        sums[j] = 0;
        for (size_t i = 0; i < rows; i++) {
            double value = x[i * n + j];
            sums[j] += center ? (value - center[j]) * (value - center[j]) : value;
        }
    }
    return RA_OK;
}

ra_status reference_row_norms(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n,
                              bool l1, double *norms, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < n; j++) {
            double value = x[i * n + j];
            sum += l1 ? fabs(value) : value * value;
        }
        norms[i] = l1 ? sum : sqrt(sum);
    }
    return RA_OK;
}

ra_status reference_kernel_sums(void *self, ra_backend_stream *stream, ra_kernel kernel, float bandwidth,
                                const float *pre, const float *g, const float *thresholds, size_t rows,
                                size_t n, double *sums, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t j = 0; j < n; j++) {
        sums[j] = sums[n + j] = 0;
        for (size_t i = 0; i < rows; i++) {
            float code = pre[i * n + j] > 0 ? pre[i * n + j] : 0, x = code - thresholds[j], kappa;
            ra_kernel_evaluate(kernel, bandwidth, &x, &kappa, 1);
            sums[j] += (double)kappa * g[i * n + j];
            sums[n + j] += kappa;
        }
    }
    return RA_OK;
}
