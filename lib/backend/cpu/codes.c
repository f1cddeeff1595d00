/* Products with sparse codes. With few active latents, the rows of their atoms are gathered, and nothing is
 * multiplied by zero. With many (a relu SAE early in training, half the latents in auxk), the codes are
 * written out densely, a chunk of rows at a time, and OpenBLAS multiplies; above one entry in DENSE_SHARE
 * that is faster on every machine measured. */
#include "backend/cpu/cpu.h"
#include "ra_memory.h"
#include "tensor/gather.h"
#include "tensor/vectors.h"

#include <string.h>

enum {
    ROWS_PER_PART = 8,
    ATOMS_PER_PART = 64,
    DENSE_SHARE = 8,         /* dense if entries * DENSE_SHARE > rows * latents ... */
    DENSE_ROWS = 16,         /* ... and there are enough rows for a matrix product */
    DENSE_NUMBERS = 1 << 22, /* of the dense form at a time */
};

static bool is_dense(const ra_codes *codes) {
    return codes->rows >= DENSE_ROWS && ra_codes_entries(codes) > codes->rows * codes->latents / DENSE_SHARE;
}

/* ---- dense chunks of codes ----------------------------------------------------------------------------- */

static size_t dense_rows(const ra_codes *codes) {
    size_t rows = DENSE_NUMBERS / codes->latents;
    return rows < DENSE_ROWS ? DENSE_ROWS : rows > codes->rows ? codes->rows : rows;
}

static float *dense_new(const ra_codes *codes, size_t rows, ra_error *err) {
    float *dense = ra_malloc(rows * codes->latents, sizeof *dense);
    if (!dense)
        (void)ra_error_set(err, RA_ERR_MEMORY, "out of memory: a chunk of dense codes needs %zu bytes",
                           rows * codes->latents * sizeof *dense);
    return dense;
}

static void dense_fill(const ra_codes *codes, const float *value, size_t from, size_t rows, float *dense) {
    memset(dense, 0, rows * codes->latents * sizeof *dense);
    for (size_t b = 0; b < rows; b++)
        for (size_t e = codes->start[from + b]; e < codes->start[from + b + 1]; e++)
            dense[b * codes->latents + (size_t)codes->index[e]] = value[e];
}

/* ---- decode -------------------------------------------------------------------------------------------- */

typedef struct decode_job {
    const ra_codes *codes;
    ra_dtype dtype;
    const void *D;
    size_t d;
    float *x_hat;
} decode_job;

static void decode_row(const decode_job *job, size_t b) {
    const ra_codes *codes = job->codes;
    size_t from = codes->start[b], end = codes->start[b + 1];
    float *row = job->x_hat + b * job->d;
    memset(row, 0, job->d * sizeof *row);
    if (from == end) return; /* where no row has a code, there are no arrays */
    const ra_gather atoms = {.rows = job->D,
                             .type = job->dtype,
                             .stride = job->d,
                             .index = (const uint32_t *)codes->index + from,
                             .weight = codes->value + from,
                             .count = end - from,
                             .more = ra_codes_entries(codes) - end};
    ra_gather_add(&atoms, job->d, row);
}

static void decode_part(void *context, size_t part) {
    const decode_job *job = context;
    size_t first = part * ROWS_PER_PART, last = first + ROWS_PER_PART;
    for (size_t b = first; b < last && b < job->codes->rows; b++) decode_row(job, b);
}

ra_status cpu_decode(void *self, ra_backend_stream *stream, const ra_codes *codes, ra_dtype dtype,
                     const void *D, size_t d, float *x_hat, ra_error *err) {
    if (dtype == RA_F32 && is_dense(codes)) {
        size_t rows = dense_rows(codes);
        float *dense = dense_new(codes, rows, err);
        if (!dense) return RA_ERR_MEMORY;
        for (size_t from = 0; from < codes->rows; from += rows) {
            size_t count = codes->rows - from < rows ? codes->rows - from : rows;
            dense_fill(codes, codes->value, from, count, dense);
            (void)cpu_gemm(self, stream, false, false, count, d, codes->latents, 1, dense, codes->latents, D,
                           d, 0, x_hat + from * d, d, err);
        }
        ra_free(dense);
        return RA_OK;
    }
    decode_job job = {codes, dtype, D, d, x_hat};
    ra_pool_run(self, ra_pool_parts(codes->rows, ROWS_PER_PART), decode_part, &job);
    return RA_OK;
}

/* ---- gradient of the values ---------------------------------------------------------------------------- */

typedef struct gradient_job {
    const ra_codes *codes;
    const float *g, *D;
    size_t d;
    float *dvalue;
} gradient_job;

static void gradient_part(void *context, size_t part) {
    const gradient_job *job = context;
    size_t first = part * ROWS_PER_PART, last = first + ROWS_PER_PART;
    for (size_t b = first; b < last && b < job->codes->rows; b++)
        for (size_t e = job->codes->start[b]; e < job->codes->start[b + 1]; e++)
            job->dvalue[e] =
                ra_dot_f32(job->g + b * job->d, job->D + (size_t)job->codes->index[e] * job->d, job->d);
}

ra_status cpu_decode_gradient(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *g,
                              const float *D, size_t d, float *dvalue, ra_error *err) {
    if (is_dense(codes)) {
        size_t rows = dense_rows(codes);
        float *dense = dense_new(codes, rows, err);
        if (!dense) return RA_ERR_MEMORY;
        for (size_t from = 0; from < codes->rows; from += rows) {
            size_t count = codes->rows - from < rows ? codes->rows - from : rows;
            (void)cpu_gemm(self, stream, false, true, count, codes->latents, d, 1, g + from * d, d, D, d, 0,
                           dense, codes->latents, err);
            for (size_t b = 0; b < count; b++)
                for (size_t e = codes->start[from + b]; e < codes->start[from + b + 1]; e++)
                    dvalue[e] = dense[b * codes->latents + (size_t)codes->index[e]];
        }
        ra_free(dense);
        return RA_OK;
    }
    gradient_job job = {codes, g, D, d, dvalue};
    ra_pool_run(self, ra_pool_parts(codes->rows, ROWS_PER_PART), gradient_part, &job);
    return RA_OK;
}

/* ---- codes^T x ----------------------------------------------------------------------------------------- */

/* The entries by latent: a part owns some latents, so no two parts write the same row of out. */
typedef struct by_latent {
    size_t *start; /* [latents + 1] */
    uint32_t *row; /* [entries] */
    float *value;  /* [entries] */
} by_latent;

typedef struct accumulate_job {
    by_latent entries;
    size_t latents, d;
    const float *x;
    float *out;
} accumulate_job;

static void accumulate_part(void *context, size_t part) {
    const accumulate_job *job = context;
    const by_latent *entries = &job->entries;
    size_t first = part * ATOMS_PER_PART, behind = first + ATOMS_PER_PART;
    for (size_t k = first; k < behind && k < job->latents; k++) {
        size_t from = entries->start[k], end = entries->start[k + 1];
        const ra_gather inputs = {.rows = job->x,
                                  .type = RA_F32,
                                  .stride = job->d,
                                  .index = entries->row + from,
                                  .weight = entries->value + from,
                                  .count = end - from,
                                  .more = entries->start[job->latents] - end};
        ra_gather_add(&inputs, job->d, job->out + k * job->d);
    }
}

static ra_status accumulate_sparse(ra_pool *pool, const ra_codes *codes, const float *value, const float *x,
                                   size_t d, float *out, ra_error *err) {
    size_t entries = ra_codes_entries(codes);
    size_t bytes = (codes->latents + 1) * sizeof(size_t) + entries * (sizeof(uint32_t) + sizeof(float));
    char *memory = ra_malloc(bytes, 1);
    if (!memory) RA_FAIL_MEMORY(err, "the transposed codes", bytes);
    by_latent sorted;
    sorted.start = (size_t *)(void *)memory;
    sorted.value = (float *)(void *)(sorted.start + codes->latents + 1);
    sorted.row = (uint32_t *)(void *)(sorted.value + entries);
    ra_codes_by_latent(codes, value, sorted.start, sorted.row, sorted.value);
    accumulate_job job = {sorted, codes->latents, d, x, out};
    ra_pool_run(pool, ra_pool_parts(codes->latents, ATOMS_PER_PART), accumulate_part, &job);
    ra_free(memory);
    return RA_OK;
}

ra_status cpu_accumulate(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                         const float *x, size_t d, float *out, ra_error *err) {
    if (!is_dense(codes)) return accumulate_sparse(self, codes, value, x, d, out, err);
    size_t rows = dense_rows(codes);
    float *dense = dense_new(codes, rows, err);
    if (!dense) return RA_ERR_MEMORY;
    for (size_t from = 0; from < codes->rows; from += rows) {
        size_t count = codes->rows - from < rows ? codes->rows - from : rows;
        dense_fill(codes, value, from, count, dense);
        (void)cpu_gemm(self, stream, true, false, codes->latents, d, count, 1, dense, codes->latents,
                       x + from * d, d, 1, out, d, err);
    }
    ra_free(dense);
    return RA_OK;
}
