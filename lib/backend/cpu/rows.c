/* Operations on rows and elements without sums over several rows: projections, elementwise loops, copies. */
#include "backend/cpu/cpu.h"
#include "base/multiversion.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum {
    ROWS_PER_PART = 32,
    BLOCK = 1 << 16, /* elements of one part of an elementwise loop */
    LANES = 16,      /* partial sums side by side, so that the compiler can vectorize a reduction */
};

static size_t part_count(size_t n, size_t size, size_t part) {
    return ra_pool_part_end(part, size, n) - part * size;
}

/* ---- projections --------------------------------------------------------------------------------------- */

typedef struct rows_job {
    float *data;
    size_t rows, n;
    float radius;
} rows_job;

/* Twice the sum of the positive elements, as x + |x|, which the compiler vectorizes; a conditional would
 * become a branch. Only reads: scaling removes negative elements. */
RA_MULTIVERSION static double twice_positive_sum(const float *restrict row, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += (double)row[i + l] + fabs((double)row[i + l]);
    for (; i < n; i++) sum += (double)row[i] + fabs((double)row[i]);
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

RA_MULTIVERSION static void scale_positive(float *restrict row, float scale, size_t n) {
    for (size_t i = 0; i < n; i++) row[i] = row[i] > 0 ? row[i] * scale : 0;
}

static void simplex_row(float *row, size_t n) {
    scale_positive(row, (float)(1.0 / (twice_positive_sum(row, n) / 2 + 1e-8)), n);
}

static void simplex_part(void *context, size_t part) {
    const rows_job *job = context;
    size_t count = part_count(job->rows, ROWS_PER_PART, part);
    for (size_t i = 0; i < count; i++) simplex_row(job->data + (part * ROWS_PER_PART + i) * job->n, job->n);
}

ra_status cpu_project_simplex(void *self, ra_backend_stream *stream, float *W, size_t rows, size_t n,
                              ra_error *err) {
    (void)stream, (void)err;
    rows_job job = {W, rows, n, 0};
    ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), simplex_part, &job);
    return RA_OK;
}

static void ball_row(float *row, float radius, size_t n) {
    double norm = sqrt(ra_dot_f64(row, row, n));
    if (norm <= (double)radius) return;
    float scale = (float)((double)radius / norm);
    for (size_t j = 0; j < n; j++) row[j] *= scale;
}

static void ball_part(void *context, size_t part) {
    const rows_job *job = context;
    size_t count = part_count(job->rows, ROWS_PER_PART, part);
    for (size_t i = 0; i < count; i++)
        ball_row(job->data + (part * ROWS_PER_PART + i) * job->n, job->radius, job->n);
}

ra_status cpu_project_ball(void *self, ra_backend_stream *stream, float *R, size_t rows, size_t n,
                           float radius, ra_error *err) {
    (void)stream, (void)err;
    rows_job job = {R, rows, n, radius};
    ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), ball_part, &job);
    return RA_OK;
}

/* ---- elementwise --------------------------------------------------------------------------------------- */

typedef struct axpby_job {
    float alpha;
    const float *x;
    float beta;
    float *y;
    size_t n;
} axpby_job;

RA_MULTIVERSION static void axpby_block(float alpha, const float *restrict x, float beta, float *restrict y,
                                        size_t n) {
    if (alpha == 0 && beta == 0)
        for (size_t i = 0; i < n; i++) y[i] = 0;
    else if (alpha == 0)
        for (size_t i = 0; i < n; i++) y[i] *= beta;
    else if (beta == 0)
        for (size_t i = 0; i < n; i++) y[i] = alpha * x[i];
    else
        for (size_t i = 0; i < n; i++) y[i] = alpha * x[i] + beta * y[i];
}

static void axpby_part(void *context, size_t part) {
    const axpby_job *job = context;
    size_t from = part * BLOCK;
    const float *x = job->alpha != 0 ? job->x + from : NULL;
    axpby_block(job->alpha, x, job->beta, job->y + from, part_count(job->n, BLOCK, part));
}

ra_status cpu_axpby(void *self, ra_backend_stream *stream, float alpha, const float *x, float beta, float *y,
                    size_t n, ra_error *err) {
    (void)stream, (void)err;
    axpby_job job = {alpha, x, beta, y, n};
    ra_pool_run(self, ra_pool_parts(n, BLOCK), axpby_part, &job);
    return RA_OK;
}

typedef struct elements_job {
    ra_dtype dtype;
    const void *source;
    float *target;
    size_t n;
} elements_job;

static void widen_part(void *context, size_t part) {
    const elements_job *job = context;
    size_t from = part * BLOCK;
    ra_convert_to_f32(job->dtype, (const char *)job->source + from * ra_dtype_size(job->dtype),
                      job->target + from, part_count(job->n, BLOCK, part));
}

ra_status cpu_widen(void *self, ra_backend_stream *stream, ra_dtype dtype, const void *source, float *target,
                    size_t n, ra_error *err) {
    (void)stream, (void)err;
    elements_job job = {dtype, source, target, n};
    ra_pool_run(self, ra_pool_parts(n, BLOCK), widen_part, &job);
    return RA_OK;
}

RA_MULTIVERSION static void relu_in_place(float *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = y[i] > 0 ? y[i] : 0;
}

static void relu_part(void *context, size_t part) {
    const elements_job *job = context;
    size_t from = part * BLOCK, count = part_count(job->n, BLOCK, part);
    const float *x = (const float *)job->source + from;
    float *y = job->target + from;
    if (y != x) memcpy(y, x, count * sizeof *y);
    relu_in_place(y, count);
}

ra_status cpu_relu(void *self, ra_backend_stream *stream, const float *x, float *y, size_t n, ra_error *err) {
    (void)stream, (void)err;
    elements_job job = {RA_F32, x, y, n};
    ra_pool_run(self, ra_pool_parts(n, BLOCK), relu_part, &job);
    return RA_OK;
}

typedef struct factors_job {
    const double *factor;
    float *x;
    size_t rows, n;
} factors_job;

RA_MULTIVERSION static void scale(float *x, float factor, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}

static void scale_part(void *context, size_t part) {
    const factors_job *job = context;
    for (size_t i = part * ROWS_PER_PART; i < ra_pool_part_end(part, ROWS_PER_PART, job->rows); i++)
        scale(job->x + i * job->n, (float)job->factor[i], job->n);
}

ra_status cpu_scale_rows(void *self, ra_backend_stream *stream, const double *factor, float *x, size_t rows,
                         size_t n, ra_error *err) {
    (void)stream, (void)err;
    factors_job job = {factor, x, rows, n};
    ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), scale_part, &job);
    return RA_OK;
}

void cpu_project_row(ra_projection projection, float radius, float *row, size_t n) {
    switch (projection) {
    case RA_PROJECT_NOTHING:
        break;
    case RA_PROJECT_SIMPLEX:
        simplex_row(row, n);
        break;
    case RA_PROJECT_BALL:
        ball_row(row, radius, n);
        break;
    case RA_PROJECT_UNIT_L2:
    case RA_PROJECT_UNIT_L1:
        scale(row, (float)(1 / (cpu_row_norm(row, n, projection == RA_PROJECT_UNIT_L1) + 1e-8)), n);
    }
}

/* ---- copies -------------------------------------------------------------------------------------------- */

typedef struct gather_job {
    float scale;
    const float *source;
    const int32_t *rows;
    size_t count, n;
    float *target;
} gather_job;

static void gather_part(void *context, size_t part) {
    const gather_job *job = context;
    size_t count = part_count(job->count, ROWS_PER_PART, part), n = job->n;
    for (size_t i = part * ROWS_PER_PART; count > 0; i++, count--) {
        const float *row = job->source + (size_t)job->rows[i] * n;
        if (job->scale == 1)
            memcpy(job->target + i * n, row, n * sizeof *row);
        else
            axpby_block(job->scale, row, 0, job->target + i * n, n);
    }
}

ra_status cpu_gather_rows(void *self, ra_backend_stream *stream, float scale, const float *source,
                          const int32_t *rows, size_t count, size_t n, float *target, ra_error *err) {
    (void)stream, (void)err;
    gather_job job = {scale, source, rows, count, n, target};
    ra_pool_run(self, ra_pool_parts(count, ROWS_PER_PART), gather_part, &job);
    return RA_OK;
}

typedef struct broadcast_job {
    const float *row;
    float *y;
    size_t rows, n;
} broadcast_job;

static void broadcast_part(void *context, size_t part) {
    const broadcast_job *job = context;
    for (size_t i = part * ROWS_PER_PART; i < ra_pool_part_end(part, ROWS_PER_PART, job->rows); i++)
        memcpy(job->y + i * job->n, job->row, job->n * sizeof *job->y);
}

ra_status cpu_broadcast_row(void *self, ra_backend_stream *stream, const float *row, float *y, size_t rows,
                            size_t n, ra_error *err) {
    (void)stream, (void)err;
    broadcast_job job = {row, y, rows, n};
    ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), broadcast_part, &job);
    return RA_OK;
}
