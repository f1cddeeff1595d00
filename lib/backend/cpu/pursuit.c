/* The steps of a matching pursuit, forward and backward; sae/pursuit.c derives the gradient. Rows are
 * independent of each other. */
#include "backend/cpu/cpu.h"
#include "base/multiversion.h"
#include "tensor/vectors.h"

#include <string.h>

enum { ROWS_PER_PART = 4, LANES = 16 };

/* ---- forward ------------------------------------------------------------------------------------------- */

typedef struct step_job {
    const ra_pursuit_path *path;
    const float *gram;
    size_t t, count;
    float *scores;
} step_job;

/* The first of the largest. */
RA_MULTIVERSION static size_t largest(const float *restrict scores, size_t n) {
    float lane[LANES], best = scores[0];
    size_t i = 0;
    for (size_t l = 0; l < LANES; l++) lane[l] = scores[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] = scores[i + l] > lane[l] ? scores[i + l] : lane[l];
    for (; i < n; i++) best = scores[i] > best ? scores[i] : best;
    for (size_t l = 0; l < LANES; l++) best = lane[l] > best ? lane[l] : best;
    for (i = 0; i < n; i++)
        if (scores[i] == best) return i;
    return 0; /* NaN scores give NaN codes, which a later check reports */
}

RA_MULTIVERSION static void subtract(float *restrict y, float factor, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] -= factor * x[i];
}

static void step_part(void *context, size_t part) {
    const step_job *job = context;
    const ra_pursuit_path *p = job->path;
    size_t K = p->concepts, d = p->dimensions, last = job->t + job->count;
    for (size_t b = part * ROWS_PER_PART; b < ra_pool_part_end(part, ROWS_PER_PART, p->rows); b++)
        for (size_t t = job->t; t < last; t++) {
            float *scores = job->scores + b * K;
            size_t atom = largest(scores, K), step = b * p->steps + t;
            float value = scores[atom];
            p->atom[step] = (int32_t)atom;
            p->value[step] = value;
            subtract(p->residual + b * d, value, p->D + atom * d, d);
            if (t + 1 < last) subtract(scores, value, job->gram + atom * K, K);
        }
}

ra_status cpu_pursue(void *self, ra_backend_stream *stream, const ra_pursuit_path *path, const float *gram,
                     size_t t, size_t count, float *scores, ra_error *err) {
    (void)stream, (void)err;
    step_job job = {path, gram, t, count, scores};
    ra_pool_run(self, ra_pool_parts(path->rows, ROWS_PER_PART), step_part, &job);
    return RA_OK;
}

/* ---- back ---------------------------------------------------------------------------------------------- */

typedef struct back_job {
    const ra_pursuit_path *path;
    const float *g;
    size_t first, rows;
    float *scratch, *push;
} back_job;

RA_MULTIVERSION static void step_back(float *restrict r, float *restrict rho, const float *restrict D,
                                      float v, float dv, float *restrict push, size_t d) {
    for (size_t i = 0; i < d; i++) {
        r[i] += v * D[i];
        push[i] = dv * r[i] - v * rho[i];
        rho[i] += dv * D[i];
    }
}

static void back_part(void *context, size_t part) {
    const back_job *job = context;
    const ra_pursuit_path *p = job->path;
    size_t d = p->dimensions;
    for (size_t row = part * ROWS_PER_PART; row < ra_pool_part_end(part, ROWS_PER_PART, job->rows); row++) {
        float *r = job->scratch + row * 2 * d, *rho = r + d;
        memcpy(r, p->residual + (job->first + row) * d, d * sizeof *r);
        memset(rho, 0, d * sizeof *rho);
        for (size_t t = p->steps; t-- > 0;) {
            size_t step = (job->first + row) * p->steps + t;
            const float *D = p->D + (size_t)p->atom[step] * d;
            float dv = (float)((double)job->g[step] - ra_dot_f64(rho, D, d));
            step_back(r, rho, D, p->value[step], dv, job->push + (row * p->steps + t) * d, d);
        }
    }
}

ra_status cpu_pursue_backward(void *self, ra_backend_stream *stream, const ra_pursuit_path *path,
                              const float *g, size_t first, size_t rows, float *scratch, float *push,
                              ra_error *err) {
    (void)stream, (void)err;
    back_job job = {path, g, first, rows, scratch, push};
    ra_pool_run(self, ra_pool_parts(rows, ROWS_PER_PART), back_part, &job);
    return RA_OK;
}
