/* Sums in float64: over everything, over columns, over rows.
 *
 * Sums over everything are divided into blocks, whose partial sums are added in order. Sums over columns are
 * divided by columns: a part reads all rows, with the sums of its few columns in registers or in the
 * first-level cache. */
#include "backend/cpu/cpu.h"
#include "base/multiversion.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 1 << 16, /* elements of one part; doubled until there are at most ... */
    MAX_SUMS = 256,  /* ... this many parts */
    LANES = 16,      /* partial sums side by side, so that the compiler can vectorize a reduction */
    COLUMNS_PER_PART = 64,
    ROWS_PER_PART = 32,
};

/* ---- over everything ----------------------------------------------------------------------------------- */

typedef struct sum_job {
    const float *x, *y;
    size_t n, block;
    double scale; /* squared_error */
    float *g;
    double sums[MAX_SUMS];
} sum_job;

static double sum_of_parts(void *self, ra_pool_part *part, sum_job *job) {
    job->block = BLOCK;
    while (ra_pool_parts(job->n, job->block) > MAX_SUMS) job->block *= 2;
    size_t parts = ra_pool_parts(job->n, job->block);
    ra_pool_run(self, parts, part, job);
    double sum = 0;
    for (size_t i = 0; i < parts; i++) sum += job->sums[i];
    return sum;
}

static void dot_part(void *context, size_t part) {
    sum_job *job = context;
    size_t from = part * job->block, count = ra_pool_part_end(part, job->block, job->n) - from;
    job->sums[part] = ra_dot_f64(job->x + from, job->y + from, count);
}

ra_status cpu_dot(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                  double *sum, ra_error *err) {
    (void)stream, (void)err;
    sum_job job = {.x = x, .y = y, .n = n};
    *sum = sum_of_parts(self, dot_part, &job);
    return RA_OK;
}

ra_status cpu_dot_into(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                       float *out, ra_error *err) {
    double sum;
    RA_TRY(cpu_dot(self, stream, x, y, n, &sum, err));
    *out = (float)sum;
    return RA_OK;
}

ra_status cpu_squares(void *self, ra_backend_stream *stream, const float *const *x, const size_t *n,
                      size_t count, double *sums, ra_error *err) {
    for (size_t i = 0; i < count; i++) RA_TRY(cpu_dot(self, stream, x[i], x[i], n[i], &sums[i], err));
    return RA_OK;
}

/* g may be a or b: LANES elements of both are read before any is written. */
RA_MULTIVERSION static double squared_error(const float *a, const float *b, double scale, float *g,
                                            size_t n) {
    double lane[LANES] = {0}, gap[LANES], sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t l = 0; l < LANES; l++) gap[l] = (double)a[i + l] - (double)b[i + l];
        for (size_t l = 0; l < LANES; l++) lane[l] += gap[l] * gap[l];
        for (size_t l = 0; l < LANES; l++) g[i + l] = (float)(scale * gap[l]);
    }
    for (; i < n; i++) {
        double rest = (double)a[i] - (double)b[i];
        sum += rest * rest;
        g[i] = (float)(scale * rest);
    }
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

static void squared_error_part(void *context, size_t part) {
    sum_job *job = context;
    size_t from = part * job->block, count = ra_pool_part_end(part, job->block, job->n) - from;
    job->sums[part] = squared_error(job->x + from, job->y + from, job->scale, job->g + from, count);
}

ra_status cpu_squared_error(void *self, ra_backend_stream *stream, const float *a, const float *b, size_t n,
                            double scale, float *g, double *sum, ra_error *err) {
    (void)stream, (void)err;
    sum_job job = {.x = a, .y = b, .n = n, .scale = scale, .g = g};
    *sum = sum_of_parts(self, squared_error_part, &job);
    return RA_OK;
}

/* ---- over columns -------------------------------------------------------------------------------------- */

typedef struct columns_job {
    const float *x;
    size_t rows, n;
    const double *center;
    double *sums;
    /* kernel_sums */
    ra_kernel kernel;
    float bandwidth;
    const float *g, *thresholds;
} columns_job;

RA_MULTIVERSION static void add_column_values(const float *restrict x, size_t rows, size_t n, size_t count,
                                              double *restrict sums) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < count; j++) sums[j] += (double)x[i * n + j];
}

RA_MULTIVERSION static void add_column_squares(const float *restrict x, size_t rows, size_t n, size_t count,
                                               const double *restrict center, double *restrict sums) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < count; j++) {
            double gap = (double)x[i * n + j] - center[j];
            sums[j] += gap * gap;
        }
}

static void column_sums_part(void *context, size_t part) {
    const columns_job *job = context;
    size_t first = part * COLUMNS_PER_PART, count = ra_pool_part_end(part, COLUMNS_PER_PART, job->n) - first;
    double *sums = job->sums + first;
    memset(sums, 0, count * sizeof *sums);
    if (job->center)
        add_column_squares(job->x + first, job->rows, job->n, count, job->center + first, sums);
    else
        add_column_values(job->x + first, job->rows, job->n, count, sums);
}

ra_status cpu_column_sums(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n,
                          const double *center, double *sums, ra_error *err) {
    (void)stream, (void)err;
    columns_job job = {.x = x, .rows = rows, .n = n, .center = center, .sums = sums};
    ra_pool_run(self, ra_pool_parts(n, COLUMNS_PER_PART), column_sums_part, &job);
    return RA_OK;
}

static void kernel_sums_part(void *context, size_t part) {
    const columns_job *job = context;
    size_t first = part * COLUMNS_PER_PART, count = ra_pool_part_end(part, COLUMNS_PER_PART, job->n) - first;
    RA_UNINITIALIZED float x[COLUMNS_PER_PART], kappa[COLUMNS_PER_PART];
    double *weighted = job->sums + first, *values = weighted + job->n;
    const float *thresholds = job->thresholds + first;
    memset(weighted, 0, count * sizeof *weighted);
    memset(values, 0, count * sizeof *values);
    for (size_t i = 0; i < job->rows; i++) {
        const float *pre = job->x + i * job->n + first, *g = job->g + i * job->n + first;
        for (size_t j = 0; j < count; j++) x[j] = (pre[j] > 0 ? pre[j] : 0) - thresholds[j];
        ra_kernel_evaluate(job->kernel, job->bandwidth, x, kappa, count);
        for (size_t j = 0; j < count; j++) weighted[j] += (double)kappa[j] * (double)g[j];
        for (size_t j = 0; j < count; j++) values[j] += (double)kappa[j];
    }
}

ra_status cpu_kernel_sums(void *self, ra_backend_stream *stream, ra_kernel kernel, float bandwidth,
                          const float *pre, const float *g, const float *thresholds, size_t rows, size_t n,
                          double *sums, ra_error *err) {
    (void)stream, (void)err;
    columns_job job = {.x = pre,
                       .rows = rows,
                       .n = n,
                       .sums = sums,
                       .kernel = kernel,
                       .bandwidth = bandwidth,
                       .g = g,
                       .thresholds = thresholds};
    ra_pool_run(self, ra_pool_parts(n, COLUMNS_PER_PART), kernel_sums_part, &job);
    return RA_OK;
}

/* ---- over rows ----------------------------------------------------------------------------------------- */

typedef struct norms_job {
    const float *x;
    size_t rows, n;
    bool l1;
    double *norms;
} norms_job;

RA_MULTIVERSION static double absolute_sum(const float *x, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += fabs((double)x[i + l]);
    for (; i < n; i++) sum += fabs((double)x[i]);
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

double cpu_row_norm(const float *row, size_t n, bool l1) {
    return l1 ? absolute_sum(row, n) : sqrt(ra_dot_f64(row, row, n));
}

static void row_norms_part(void *context, size_t part) {
    const norms_job *job = context;
    for (size_t i = part * ROWS_PER_PART; i < ra_pool_part_end(part, ROWS_PER_PART, job->rows); i++)
        job->norms[i] = cpu_row_norm(job->x + i * job->n, job->n, job->l1);
}

ra_status cpu_row_norms(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n, bool l1,
                        double *norms, ra_error *err) {
    (void)stream, (void)err;
    norms_job job = {x, rows, n, l1, norms};
    ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), row_norms_part, &job);
    return RA_OK;
}
