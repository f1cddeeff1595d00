/* LayerNorm and BatchNorm, forward and backward; reference/norms.c derives the gradient. Work on rows is
 * divided by rows, sums over the rows by columns. */
#include "backend/cpu/cpu.h"
#include "base/multiversion.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { ROWS_PER_PART = 16, COLUMNS_PER_PART = 64, LANES = 16 };

typedef struct norm_job {
    const ra_norm *norm;
    double epsilon; /* normalize */
    const float *u;
    size_t rows, n;
    float *y;         /* normalize: y; norm_backward: dy, which becomes du */
    const float *dy;  /* norm_sums */
    double *sums_out; /* norm_sums */
    const double *sums;
    double count;
} norm_job;

typedef struct layer_norm_job {
    const float *u;
    size_t rows, n;
    double epsilon;
    const float *gamma, *beta;
    float *mean, *rstd, *y;
} layer_norm_job;

/* sum (x - center), or of its square */
RA_MULTIVERSION static double moment(const float *x, double center, bool squared, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n && squared; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += ((double)x[i + l] - center) * ((double)x[i + l] - center);
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += (double)x[i + l] - center;
    for (; i < n; i++) {
        double gap = (double)x[i] - center;
        sum += squared ? gap * gap : gap;
    }
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

/* ---- forward ------------------------------------------------------------------------------------------- */

RA_MULTIVERSION static void normalize_by_row(float *restrict y, float mean, float rstd,
                                             const float *restrict gamma, const float *restrict beta,
                                             size_t n) {
    for (size_t j = 0; j < n; j++) y[j] = (y[j] - mean) * rstd * gamma[j] + beta[j];
}

/* A row's statistics, and its norm while it is in the cache. */
static void layer_norm_part(void *context, size_t part) {
    const layer_norm_job *job = context;
    size_t n = job->n;
    for (size_t i = part * ROWS_PER_PART; i < ra_pool_part_end(part, ROWS_PER_PART, job->rows); i++) {
        const float *row = job->u + i * n;
        float *y = job->y + i * n;
        double mean = moment(row, 0, false, n) / (double)n;
        double variance = moment(row, mean, true, n) / (double)n;
        job->mean[i] = (float)mean;
        job->rstd[i] = (float)(1 / sqrt(variance + job->epsilon));
        if (y != row) memcpy(y, row, n * sizeof *y);
        normalize_by_row(y, job->mean[i], job->rstd[i], job->gamma, job->beta, n);
    }
}

ra_status cpu_layer_norm(void *self, ra_backend_stream *stream, const float *u, size_t rows, size_t n,
                         double epsilon, const float *gamma, const float *beta, float *mean, float *rstd,
                         float *y, ra_error *err) {
    (void)stream, (void)err;
    layer_norm_job job = {u, rows, n, epsilon, gamma, beta, mean, rstd, y};
    ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), layer_norm_part, &job);
    return RA_OK;
}

RA_MULTIVERSION static void normalize_by_column(float *restrict y, const float *restrict mean,
                                                const float *restrict rstd, const float *restrict gamma,
                                                const float *restrict beta, size_t n) {
    for (size_t j = 0; j < n; j++) y[j] = (y[j] - mean[j]) * rstd[j] * gamma[j] + beta[j];
}

RA_MULTIVERSION static void scale_row(float *y, float factor, size_t n) {
    for (size_t j = 0; j < n; j++) y[j] *= factor;
}

static void normalize_part(void *context, size_t part) {
    const norm_job *job = context;
    const ra_norm *norm = job->norm;
    for (size_t i = part * ROWS_PER_PART; i < ra_pool_part_end(part, ROWS_PER_PART, job->rows); i++) {
        const float *u = job->u + i * job->n;
        float *y = job->y + i * job->n;
        if (y != u) memcpy(y, u, job->n * sizeof *y);
        if (job->epsilon > 0) {
            double length = cpu_row_norm(y, job->n, false);
            scale_row(y, (float)(1 / sqrt(length * length / (double)job->n + job->epsilon)), job->n);
        }
        normalize_by_column(y, norm->mean, norm->rstd, norm->gamma, norm->beta, job->n);
    }
}

ra_status cpu_normalize(void *self, ra_backend_stream *stream, const ra_norm *norm, double epsilon,
                        const float *u, float *y, size_t rows, size_t n, ra_error *err) {
    (void)stream, (void)err;
    norm_job job = {.norm = norm, .epsilon = epsilon, .u = u, .rows = rows, .n = n, .y = y};
    ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), normalize_part, &job);
    return RA_OK;
}

/* ---- backward ------------------------------------------------------------------------------------------ */

RA_MULTIVERSION static void sum_columns(const norm_job *job, size_t first, size_t count, double *dgamma,
                                        double *dbeta) {
    const ra_norm *norm = job->norm;
    const float *mean = norm->by_row ? NULL : norm->mean + first,
                *rstd = norm->by_row ? NULL : norm->rstd + first;
    RA_UNINITIALIZED float xhat[COLUMNS_PER_PART];
    for (size_t i = 0; i < job->rows; i++) {
        const float *u = job->u + i * job->n + first, *dy = job->dy + i * job->n + first;
        if (norm->by_row)
            for (size_t j = 0; j < count; j++) xhat[j] = (u[j] - norm->mean[i]) * norm->rstd[i];
        else
            for (size_t j = 0; j < count; j++) xhat[j] = (u[j] - mean[j]) * rstd[j];
        for (size_t j = 0; j < count; j++) dgamma[j] += (double)dy[j] * (double)xhat[j];
        for (size_t j = 0; j < count; j++) dbeta[j] += (double)dy[j];
    }
}

static void norm_sums_part(void *context, size_t part) {
    const norm_job *job = context;
    size_t first = part * COLUMNS_PER_PART, count = ra_pool_part_end(part, COLUMNS_PER_PART, job->n) - first;
    double dgamma[COLUMNS_PER_PART] = {0}, dbeta[COLUMNS_PER_PART] = {0};
    sum_columns(job, first, count, dgamma, dbeta);
    memcpy(job->sums_out + first, dgamma, count * sizeof *dgamma);
    memcpy(job->sums_out + job->n + first, dbeta, count * sizeof *dbeta);
}

ra_status cpu_norm_sums(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                        const float *dy, size_t rows, size_t n, double *sums, ra_error *err) {
    (void)stream, (void)err;
    norm_job job = {.norm = norm, .u = u, .rows = rows, .n = n, .dy = dy, .sums_out = sums};
    ra_pool_run(self, ra_pool_parts(n, COLUMNS_PER_PART), norm_sums_part, &job);
    return RA_OK;
}

RA_MULTIVERSION static void backward_by_row(float *restrict dy, const float *restrict u, float mean,
                                            float rstd, const float *restrict gamma, size_t n) {
    double sums[LANES] = {0}, dots[LANES] = {0}, sum = 0, dot = 0;
    for (size_t j = 0; j < n; j += LANES)
        for (size_t l = 0; l < LANES && j + l < n; l++) {
            double dxhat = (double)gamma[j + l] * (double)dy[j + l];
            sums[l] += dxhat;
            dots[l] += dxhat * (double)((u[j + l] - mean) * rstd);
        }
    for (size_t l = 0; l < LANES; l++) {
        sum += sums[l] / (double)n;
        dot += dots[l] / (double)n;
    }
    for (size_t j = 0; j < n; j++)
        dy[j] = (float)((double)rstd *
                        ((double)gamma[j] * (double)dy[j] - sum - (double)((u[j] - mean) * rstd) * dot));
}

static void backward_by_row_part(void *context, size_t part) {
    const norm_job *job = context;
    const ra_norm *norm = job->norm;
    for (size_t i = part * ROWS_PER_PART; i < ra_pool_part_end(part, ROWS_PER_PART, job->rows); i++)
        backward_by_row(job->y + i * job->n, job->u + i * job->n, norm->mean[i], norm->rstd[i], norm->gamma,
                        job->n);
}

RA_MULTIVERSION static void backward_by_column(const norm_job *job, size_t first, size_t count) {
    const float *restrict mean = job->norm->mean + first, *restrict rstd = job->norm->rstd + first,
                          *restrict gamma = job->norm->gamma + first;
    RA_UNINITIALIZED double dgamma[COLUMNS_PER_PART], dbeta[COLUMNS_PER_PART];
    for (size_t j = 0; j < count; j++) {
        dgamma[j] = job->sums[first + j] / job->count;
        dbeta[j] = job->sums[job->n + first + j] / job->count;
    }
    for (size_t i = 0; i < job->rows; i++) {
        const float *restrict u = job->u + i * job->n + first;
        float *restrict dy = job->y + i * job->n + first;
        for (size_t j = 0; j < count; j++) {
            double centered = (double)dy[j] - dbeta[j] - (double)((u[j] - mean[j]) * rstd[j]) * dgamma[j];
            dy[j] = (float)((double)gamma[j] * (double)rstd[j] * centered);
        }
    }
}

static void backward_by_column_part(void *context, size_t part) {
    const norm_job *job = context;
    size_t first = part * COLUMNS_PER_PART;
    backward_by_column(job, first, ra_pool_part_end(part, COLUMNS_PER_PART, job->n) - first);
}

ra_status cpu_norm_backward(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                            const double *sums, double count, float *dy, size_t rows, size_t n,
                            ra_error *err) {
    (void)stream, (void)err;
    norm_job job = {.norm = norm, .u = u, .rows = rows, .n = n, .y = dy, .sums = sums, .count = count};
    if (norm->by_row)
        ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), backward_by_row_part, &job);
    else
        ra_pool_run(self, ra_pool_parts(n, COLUMNS_PER_PART), backward_by_column_part, &job);
    return RA_OK;
}
