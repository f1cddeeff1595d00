/* Operations that read the entries of sparse codes once: to and from a dense matrix, and their sums by
 * latent. */
#include "backend/cpu/cpu.h"

#include <string.h>

enum { ROWS_PER_PART = 16 };

typedef struct entries_job {
    const ra_codes *codes;
    float factor;
    const float *source;
    float *target;
} entries_job;

static void gather_part(void *context, size_t part) {
    const entries_job *job = context;
    const ra_codes *codes = job->codes;
    for (size_t b = part * ROWS_PER_PART; b < ra_pool_part_end(part, ROWS_PER_PART, codes->rows); b++) {
        const float *row = job->source + b * codes->latents;
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            job->target[e] = row[codes->index[e]] + (job->factor != 0 ? job->factor * job->target[e] : 0);
    }
}

ra_status cpu_gather_entries(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *dense,
                             float beta, float *value, ra_error *err) {
    (void)stream, (void)err;
    entries_job job = {codes, beta, dense, value};
    ra_pool_run(self, ra_pool_parts(codes->rows, ROWS_PER_PART), gather_part, &job);
    return RA_OK;
}

ra_status cpu_magnitudes(void *self, ra_backend_stream *stream, const ra_codes *codes, float scale,
                         float *gradient, double *sum, ra_error *err) {
    (void)self, (void)stream, (void)err;
    *sum = 0;
    for (size_t e = 0; e < ra_codes_entries(codes); e++) {
        float z = codes->value[e];
        *sum += z < 0 ? -(double)z : (double)z;
        gradient[e] = z < 0 ? -scale : scale;
    }
    return RA_OK;
}

static void scatter_part(void *context, size_t part) {
    const entries_job *job = context;
    const ra_codes *codes = job->codes;
    for (size_t b = part * ROWS_PER_PART; b < ra_pool_part_end(part, ROWS_PER_PART, codes->rows); b++) {
        float *row = job->target + b * codes->latents;
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            row[codes->index[e]] += job->factor * job->source[e];
    }
}

ra_status cpu_scatter_entries(void *self, ra_backend_stream *stream, const ra_codes *codes, float alpha,
                              const float *value, float *dense, ra_error *err) {
    (void)stream, (void)err;
    entries_job job = {codes, alpha, value, dense};
    ra_pool_run(self, ra_pool_parts(codes->rows, ROWS_PER_PART), scatter_part, &job);
    return RA_OK;
}

/* On one thread: one addition per entry costs less than sorting the entries by latent would. */
ra_status cpu_latent_sums(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                          float *out, ra_error *err) {
    (void)self, (void)stream, (void)err;
    size_t entries = ra_codes_entries(codes);
    memset(out, 0, codes->latents * sizeof *out);
    for (size_t e = 0; e < entries; e++) out[codes->index[e]] += value[e];
    return RA_OK;
}
