/* Adam, at the speed of memory: every number of a parameter and its moments is read and written once. A row that is
 * projected afterwards is still in the cache.
 *
 * A row without a gradient still moves by its momentum, and its moments decay, so it cannot be skipped; but
 * no gradient is read for it. A row that never had a gradient does not move. */
#include "backend/cpu/cpu.h"
#include "base/multiversion.h"

#include <math.h>

enum { BLOCK = 1 << 16 }; /* elements of one part */

/* As torch.optim.Adam: the denominator is sqrt(v) / sqrt(bias2) + eps, the step lr / bias1. */
typedef struct factors {
    float scale, rest1, beta2, rest2, rate, root, epsilon, keep;
} factors;

typedef struct adam_job {
    factors factors;
    float *parameter;
    const float *gradient;
    const int32_t *gradient_row;
    float *first, *second;
    size_t rows, n, rows_per_part;
    ra_projection projection;
    float radius;
} adam_job;

RA_MULTIVERSION static void move(const factors *f, float *restrict parameter, const float *restrict gradient,
                                 float *restrict first, float *restrict second, size_t n) {
    const float scale = f->scale, rest1 = f->rest1, beta2 = f->beta2, rest2 = f->rest2, rate = f->rate,
                root = f->root, epsilon = f->epsilon, keep = f->keep;
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i] * scale;
        float m = first[i] + rest1 * (g - first[i]);
        float v = beta2 * second[i] + rest2 * g * g;
        first[i] = m;
        second[i] = v;
        parameter[i] = parameter[i] * keep - rate * m / (sqrtf(v) * root + epsilon);
    }
}

/* The same for a gradient of zeros. */
RA_MULTIVERSION static void coast(const factors *f, float *restrict parameter, float *restrict first,
                                  float *restrict second, size_t n) {
    const float rest1 = f->rest1, beta2 = f->beta2, rate = f->rate, root = f->root, epsilon = f->epsilon,
                keep = f->keep;
    for (size_t i = 0; i < n; i++) {
        float m = first[i] + rest1 * (0 - first[i]);
        float v = beta2 * second[i];
        first[i] = m;
        second[i] = v;
        parameter[i] = parameter[i] * keep - rate * m / (sqrtf(v) * root + epsilon);
    }
}

static void block_part(void *context, size_t part) {
    const adam_job *job = context;
    size_t from = part * BLOCK, count = ra_pool_part_end(part, BLOCK, job->rows * job->n) - from;
    move(&job->factors, job->parameter + from, job->gradient + from, job->first + from, job->second + from,
         count);
}

static void rows_part(void *context, size_t part) {
    const adam_job *job = context;
    size_t n = job->n, last = (part + 1) * job->rows_per_part;
    for (size_t i = part * job->rows_per_part; i < last && i < job->rows; i++) {
        float *parameter = job->parameter + i * n;
        ptrdiff_t from = job->gradient_row ? job->gradient_row[i] : (ptrdiff_t)i;
        if (from >= 0)
            move(&job->factors, parameter, job->gradient + (size_t)from * n, job->first + i * n,
                 job->second + i * n, n);
        else if (from == RA_ROW_STILL)
            coast(&job->factors, parameter, job->first + i * n, job->second + i * n, n);
        else if (job->factors.keep != 1)
            for (size_t j = 0; j < n; j++) parameter[j] *= job->factors.keep;
        cpu_project_row(job->projection, job->radius, parameter, n);
    }
}

ra_status cpu_adam(void *self, ra_backend_stream *stream, const ra_adam_step *s, float *parameter,
                   const float *gradient, const int32_t *gradient_row, float *first, float *second,
                   size_t rows, size_t n, ra_error *err) {
    (void)stream, (void)err;
    ra_pool *pool = self;
    adam_job job = {.factors = {.scale = (float)s->grad_scale,
                                .rest1 = (float)(1 - s->beta1),
                                .beta2 = (float)s->beta2,
                                .rest2 = (float)(1 - s->beta2),
                                .rate = (float)(s->lr / s->bias1),
                                .root = (float)(1 / sqrt(s->bias2)),
                                .epsilon = (float)s->epsilon,
                                .keep = (float)(1 - s->lr * s->decay)},
                    .parameter = parameter,
                    .gradient = gradient,
                    .gradient_row = gradient_row,
                    .first = first,
                    .second = second,
                    .rows = rows,
                    .n = n,
                    .rows_per_part = n < BLOCK ? BLOCK / n : 1,
                    .projection = s->projection,
                    .radius = s->radius};
    if (gradient_row || s->projection != RA_PROJECT_NOTHING)
        ra_pool_run(pool, (rows + job.rows_per_part - 1) / job.rows_per_part, rows_part, &job);
    else
        ra_pool_run(pool, ra_pool_parts(rows * n, BLOCK), block_part, &job);
    return RA_OK;
}
