/* Operations that go over rows or over everything once: projections, the fuse's last step, sums, copies. */
#include "backend/cpu.h"
#include "base/multiversion.h"
#include "tensor/dot.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum {
    ROWS_PER_PART = 32,
    BLOCK = 1 << 16, /* elements of one part of an elementwise loop */
    LANES = 16,      /* partial sums kept side by side, so that the compiler may vectorise a reduction */
};

static size_t part_count(size_t n, size_t size, size_t part) {
    size_t from = part * size;
    return n - from < size ? n - from : size;
}

/* ---- projections
 * -------------------------------------------------------------------------------------------------- */

typedef struct rows_job {
    float *data;
    size_t rows, n;
    float radius;
} rows_job;

/* Twice the sum of the positive ones, as x + |x|, which the compiler vectorises where it would branch over a
 * choice. Reading only: what is negative goes when the row is scaled. */
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
    ra_pool_run(((cpu_context *)self)->pool, ra_pool_parts(rows, ROWS_PER_PART), simplex_part, &job);
    return RA_OK;
}

static void ball_part(void *context, size_t part) {
    const rows_job *job = context;
    size_t count = part_count(job->rows, ROWS_PER_PART, part);
    for (size_t i = 0; i < count; i++) {
        float *row = job->data + (part * ROWS_PER_PART + i) * job->n;
        double norm = sqrt(ra_dot_f64(row, row, job->n));
        if (norm <= (double)job->radius) continue;
        float scale = (float)((double)job->radius / norm);
        for (size_t j = 0; j < job->n; j++) row[j] *= scale;
    }
}

ra_status cpu_project_ball(void *self, ra_backend_stream *stream, float *R, size_t rows, size_t n,
                           float radius, ra_error *err) {
    (void)stream, (void)err;
    rows_job job = {R, rows, n, radius};
    ra_pool_run(((cpu_context *)self)->pool, ra_pool_parts(rows, ROWS_PER_PART), ball_part, &job);
    return RA_OK;
}

/* ---- elementwise
 * -------------------------------------------------------------------------------------------------- */

typedef struct combine_job {
    float alpha;
    const float *x;
    float beta;
    float *y;
    size_t n;
} combine_job;

RA_MULTIVERSION static void combine_block(float alpha, const float *restrict x, float beta, float *restrict y,
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

static void combine_part(void *context, size_t part) {
    const combine_job *job = context;
    size_t from = part * BLOCK;
    const float *x = job->alpha != 0 ? job->x + from : NULL;
    combine_block(job->alpha, x, job->beta, job->y + from, part_count(job->n, BLOCK, part));
}

ra_status cpu_combine(void *self, ra_backend_stream *stream, float alpha, const float *x, float beta,
                      float *y, size_t n, ra_error *err) {
    (void)stream, (void)err;
    combine_job job = {alpha, x, beta, y, n};
    ra_pool_run(((cpu_context *)self)->pool, ra_pool_parts(n, BLOCK), combine_part, &job);
    return RA_OK;
}

/* Partial sums by block are added in their order, whoever computed them. One run has at most MAX_SUMS blocks.
 */
enum { MAX_SUMS = 256 };

typedef struct sum_job {
    const float *x, *y;
    size_t n, block;
    double sums[MAX_SUMS];
} sum_job;

static void sum_part(void *context, size_t part) {
    sum_job *job = context;
    size_t from = part * job->block;
    job->sums[part] = ra_dot_f64(job->x + from, job->y + from, part_count(job->n, job->block, part));
}

ra_status cpu_dot(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                  double *sum, ra_error *err) {
    (void)stream, (void)err;
    sum_job job = {.x = x, .y = y, .n = n, .block = BLOCK};
    while (ra_pool_parts(n, job.block) > MAX_SUMS) job.block *= 2;
    size_t parts = ra_pool_parts(n, job.block);
    ra_pool_run(((cpu_context *)self)->pool, parts, sum_part, &job);
    *sum = 0;
    for (size_t i = 0; i < parts; i++) *sum += job.sums[i];
    return RA_OK;
}

/* ---- copies
 * ------------------------------------------------------------------------------------------------------- */

typedef struct gather_job {
    const float *source;
    const int32_t *rows;
    size_t count, n;
    float *target;
} gather_job;

static void gather_part(void *context, size_t part) {
    const gather_job *job = context;
    size_t count = part_count(job->count, ROWS_PER_PART, part);
    for (size_t i = part * ROWS_PER_PART; count > 0; i++, count--)
        memcpy(job->target + i * job->n, job->source + (size_t)job->rows[i] * job->n,
               job->n * sizeof *job->target);
}

ra_status cpu_gather(void *self, ra_backend_stream *stream, const float *source, const int32_t *rows,
                     size_t count, size_t n, float *target, ra_error *err) {
    (void)stream, (void)err;
    gather_job job = {source, rows, count, n, target};
    ra_pool_run(((cpu_context *)self)->pool, ra_pool_parts(count, ROWS_PER_PART), gather_part, &job);
    return RA_OK;
}
