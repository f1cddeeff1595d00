/* The reference backend: every operation as the plainest loop that is right, on one thread. It is the oracle
 * for all others (tests/unit/test_backend.c), so it trades speed for being obvious; sums run in float64. */
#include "backend/backend.h"
#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ra_status open_reference(const ra_backend_options *options, void **self, ra_error *err) {
    (void)options, (void)err;
    *self = NULL;
    return RA_OK;
}

static void close_reference(void *self) {
    (void)self;
}

static ra_status gemm(void *self, ra_backend_stream *stream, bool transpose_a, bool transpose_b, size_t m,
                      size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                      float beta, float *c, size_t ldc, ra_error *err) {
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

static ra_status project_simplex(void *self, ra_backend_stream *stream, float *W, size_t rows, size_t n,
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

static ra_status project_ball(void *self, ra_backend_stream *stream, float *R, size_t rows, size_t n,
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

static ra_status combine(void *self, ra_backend_stream *stream, float alpha, const float *x, float beta,
                         float *y, size_t n, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < n; i++) y[i] = (alpha != 0 ? alpha * x[i] : 0) + (beta != 0 ? beta * y[i] : 0);
    return RA_OK;
}

static ra_status decode(void *self, ra_backend_stream *stream, const ra_codes *codes, ra_dtype dtype,
                        const void *D, size_t d, float *x_hat, ra_error *err) {
    (void)self, (void)stream, (void)err;
    size_t size = ra_dtype_size(dtype);
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t j = 0; j < d; j++) {
            double sum = 0;
            for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
                float atom;
                ra_convert_to_f32(dtype, (const char *)D + ((size_t)codes->index[e] * d + j) * size, &atom,
                                  1);
                sum += (double)codes->value[e] * atom;
            }
            x_hat[b * d + j] = (float)sum;
        }
    return RA_OK;
}

static ra_status decode_gradient(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *g,
                                 const float *D, size_t d, float *dvalue, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            double sum = 0;
            for (size_t j = 0; j < d; j++) sum += (double)g[b * d + j] * D[(size_t)codes->index[e] * d + j];
            dvalue[e] = (float)sum;
        }
    return RA_OK;
}

static ra_status accumulate(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                            const float *x, size_t d, float *out, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            for (size_t j = 0; j < d; j++) out[(size_t)codes->index[e] * d + j] += value[e] * x[b * d + j];
    return RA_OK;
}

static ra_status top_k(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                       size_t k, float above, ra_codes *codes, ra_error *err) {
    (void)self, (void)stream;
    RA_TRY(ra_codes_reserve(codes, rows, n, rows * (k < n ? k : n), err));
    size_t used = 0;
    for (size_t b = 0; b < rows; b++) {
        const float *row = scores + b * n;
        for (size_t i = 0; i < n; i++) {
            size_t better = 0; /* how many come before i in the order of falling score, rising index */
            for (size_t j = 0; j < n; j++) better += row[j] > row[i] || (row[j] == row[i] && j < i);
            if (better >= k || !(row[i] > above)) continue;
            codes->index[used] = (int32_t)i;
            codes->value[used++] = row[i];
        }
        codes->start[b + 1] = used;
    }
    return RA_OK;
}

static ra_status threshold_select(void *self, ra_backend_stream *stream, const float *scores, size_t rows,
                                  size_t n, const float *thresholds, float threshold, ra_codes *codes,
                                  ra_error *err) {
    (void)self, (void)stream;
    for (int filling = 0; filling < 2; filling++) {
        size_t used = 0;
        for (size_t b = 0; b < rows; b++) {
            for (size_t i = 0; i < n; i++) {
                float score = scores[b * n + i];
                if (!(score > 0 && score >= (thresholds ? thresholds[i] : threshold))) continue;
                if (filling) {
                    codes->index[used] = (int32_t)i;
                    codes->value[used] = score;
                }
                used++;
            }
            if (filling) codes->start[b + 1] = used;
        }
        if (!filling) RA_TRY(ra_codes_reserve(codes, rows, n, used, err));
    }
    return RA_OK;
}

static int falling(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static ra_status kth_largest(void *self, ra_backend_stream *stream, const float *scores, size_t n, size_t k,
                             float *value, ra_error *err) {
    (void)self, (void)stream;
    float *sorted = ra_malloc(n, sizeof *sorted);
    if (!sorted) RA_FAIL_MEMORY(err, "the k-th largest score", n * sizeof *sorted);
    for (size_t i = 0; i < n; i++) sorted[i] = scores[i] > 0 ? scores[i] : 0;
    qsort(sorted, n, sizeof *sorted, falling);
    *value = sorted[k - 1];
    ra_free(sorted);
    return RA_OK;
}

static ra_status dot(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                     double *sum, ra_error *err) {
    (void)self, (void)stream, (void)err;
    *sum = 0;
    for (size_t i = 0; i < n; i++) *sum += (double)x[i] * y[i];
    return RA_OK;
}

static ra_status gather(void *self, ra_backend_stream *stream, const float *source, const int32_t *rows,
                        size_t count, size_t n, float *target, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < n; j++) target[i * n + j] = source[(size_t)rows[i] * n + j];
    return RA_OK;
}

static ra_status adam(void *self, ra_backend_stream *stream, const ra_adam_step *s, float *parameter,
                      const float *gradient, const int32_t *place, float *first, float *second, size_t rows,
                      size_t n, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t row = 0; row < rows; row++)
        for (size_t j = 0; j < n; j++) {
            size_t i = row * n + j;
            int32_t from = place ? place[row] : (int32_t)row;
            double g = from >= 0 ? gradient[(size_t)from * n + j] * s->grad_scale : 0;
            double m = s->beta1 * first[i] + (1 - s->beta1) * g;
            double v = s->beta2 * second[i] + (1 - s->beta2) * g * g;
            first[i] = (float)m;
            second[i] = (float)v;
            parameter[i] = (float)(parameter[i] * (1 - s->lr * s->decay) -
                                   s->lr / s->bias1 * m / (sqrt(v / s->bias2) + s->epsilon));
        }
    return RA_OK;
}

const ra_backend_ops ra_backend_reference = {
    .api_version = RA_BACKEND_API_VERSION,
    .name = "reference",
    .host_memory = true,
    .open = open_reference,
    .close = close_reference,
    .allocate = ra_host_allocate,
    .deallocate = ra_host_deallocate,
    .upload = ra_host_copy,
    .download = ra_host_copy,
    .stream_new = ra_host_stream_new,
    .stream_free = ra_host_stream_free,
    .synchronize = ra_host_synchronize,
    .memory = ra_host_memory,
    .gemm = gemm,
    .project_simplex = project_simplex,
    .project_ball = project_ball,
    .combine = combine,
    .decode = decode,
    .decode_gradient = decode_gradient,
    .accumulate = accumulate,
    .top_k = top_k,
    .threshold = threshold_select,
    .kth_largest = kth_largest,
    .dot = dot,
    .gather = gather,
    .adam = adam,
};
