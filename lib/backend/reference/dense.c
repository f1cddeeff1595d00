/* Whole matrices: matrix products, projections, elementwise loops, copies, Adam: the reference backend. */
#include "backend/reference/reference.h"

#include <math.h>

ra_status reference_gemm(void *self, ra_backend_stream *stream, bool transpose_a, bool transpose_b, size_t m,
                         size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b,
                         size_t ldb, float beta, float *c, size_t ldc, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++) {
                float left = transpose_a ? a[l * lda + i] : a[i * lda + l];
                float right = transpose_b ? b[j * ldb + l] : b[l * ldb + j];
                sum += (double)left * right;
            }
            double old =
                beta != 0 ? (double)beta * c[i * ldc + j] : 0; /* beta 0: C may hold anything, NaN too */
            c[i * ldc + j] = (float)(alpha * sum + old);
        }
    return RA_OK;
}

ra_status reference_gemm_bias(void *self, ra_backend_stream *stream, const float *a, size_t m, const float *b,
                              size_t n, size_t k, const float *bias, float *c, size_t ldc, ra_error *err) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) c[i * ldc + j] = bias[j];
    return reference_gemm(self, stream, false, true, m, n, k, 1, a, k, b, k, 1, c, ldc, err);
}

ra_status reference_dots(void *self, ra_backend_stream *stream, const float *a, size_t m, ra_dtype dtype,
                         const void *b, size_t n, size_t k, const float *bias, float *c, size_t ldc,
                         ra_error *err) {
    (void)self, (void)stream, (void)err;
    size_t size = ra_dtype_size(dtype);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++) {
                float y;
                ra_convert_to_f32(dtype, (const char *)b + (j * k + l) * size, &y, 1);
                sum += (double)a[i * k + l] * y;
            }
            c[i * ldc + j] = (float)(bias ? sum + bias[j] : sum);
        }
    return RA_OK;
}

ra_status reference_project_simplex(void *self, ra_backend_stream *stream, float *W, size_t rows, size_t n,
                                    ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < rows; i++) {
        float *row = W + i * n;
        double sum = 0;
        for (size_t j = 0; j < n; j++) {
            row[j] = row[j] > 0 ? row[j] : 0;
            sum += row[j];
        }
        for (size_t j = 0; j < n; j++) row[j] = (float)(row[j] / (sum + 1e-8));
    }
    return RA_OK;
}

ra_status reference_project_ball(void *self, ra_backend_stream *stream, float *R, size_t rows, size_t n,
                                 float radius, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < rows; i++) {
        float *row = R + i * n;
        double sum = 0;
        for (size_t j = 0; j < n; j++) sum += (double)row[j] * row[j];
        double norm = sqrt(sum);
        if (norm <= radius) continue;
        for (size_t j = 0; j < n; j++) row[j] = (float)(row[j] * (radius / norm));
    }
    return RA_OK;
}

ra_status reference_axpby(void *self, ra_backend_stream *stream, float alpha, const float *x, float beta,
                          float *y, size_t n, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < n; i++) y[i] = (alpha != 0 ? alpha * x[i] : 0) + (beta != 0 ? beta * y[i] : 0);
    return RA_OK;
}

ra_status reference_widen(void *self, ra_backend_stream *stream, ra_dtype dtype, const void *source,
                          float *target, size_t n, ra_error *err) {
    (void)self, (void)stream, (void)err;
    ra_convert_to_f32(dtype, source, target, n);
    return RA_OK;
}

ra_status reference_broadcast_row(void *self, ra_backend_stream *stream, const float *row, float *y,
                                  size_t rows, size_t n, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) y[i * n + j] = row[j];
    return RA_OK;
}

ra_status reference_relu(void *self, ra_backend_stream *stream, const float *x, float *y, size_t n,
                         ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : 0;
    return RA_OK;
}

ra_status reference_scale_rows(void *self, ra_backend_stream *stream, const double *factor, float *x,
                               size_t rows, size_t n, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) x[i * n + j] *= (float)factor[i];
    return RA_OK;
}

ra_status reference_gather_rows(void *self, ra_backend_stream *stream, float scale, const float *source,
                                const int32_t *rows, size_t count, size_t n, float *target, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < n; j++) target[i * n + j] = scale * source[(size_t)rows[i] * n + j];
    return RA_OK;
}

static ra_status project(const ra_adam_step *s, float *rows_of, size_t rows, size_t n, ra_error *err) {
    bool l1 = s->projection == RA_PROJECT_UNIT_L1;
    if (s->projection == RA_PROJECT_NOTHING) return RA_OK;
    if (s->projection == RA_PROJECT_SIMPLEX)
        return reference_project_simplex(NULL, NULL, rows_of, rows, n, err);
    if (s->projection == RA_PROJECT_BALL)
        return reference_project_ball(NULL, NULL, rows_of, rows, n, s->radius, err);
    for (size_t i = 0; i < rows; i++) {
        double norm, factor;
        reference_row_norms(NULL, NULL, rows_of + i * n, 1, n, l1, &norm, NULL);
        factor = 1 / (norm + 1e-8);
        reference_scale_rows(NULL, NULL, &factor, rows_of + i * n, 1, n, NULL);
    }
    return RA_OK;
}

ra_status reference_adam(void *self, ra_backend_stream *stream, const ra_adam_step *s, float *parameter,
                         const float *gradient, const int32_t *gradient_row, float *first, float *second,
                         size_t rows, size_t n, ra_error *err) {
    (void)self, (void)stream;
    for (size_t row = 0; row < rows; row++)
        for (size_t j = 0; j < n; j++) {
            size_t i = row * n + j;
            int32_t from = gradient_row ? gradient_row[row] : (int32_t)row;
            double g = from >= 0 ? gradient[(size_t)from * n + j] * s->grad_scale : 0;
            double m = s->beta1 * first[i] + (1 - s->beta1) * g;
            double v = s->beta2 * second[i] + (1 - s->beta2) * g * g;
            first[i] = (float)m;
            second[i] = (float)v;
            parameter[i] = (float)(parameter[i] * (1 - s->lr * s->decay) -
                                   s->lr / s->bias1 * m / (sqrt(v / s->bias2) + s->epsilon));
        }
    return project(s, parameter, rows, n, err);
}
