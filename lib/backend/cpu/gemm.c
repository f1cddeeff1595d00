/* Dense matrix products. Those of few rows are dot products (tensor/dots.h). Of all others, OpenBLAS runs on one thread, and the pool's threads call it: C is divided into tiles
 * by its shape, with one call per tile. So results do not depend on the number of threads, several callers
 * share the cores without OpenBLAS's global lock, and ThreadSanitizer sees every thread. Each tile packs its
 * own operands, which took 14 % of a product of 1,024 x 10,000 x 768 in tiles of 256 x 1,250: so the tiles are those that
 * pack the least. */
#include "backend/cpu/cpu.h"
#include "tensor/dots.h"

#include <cblas.h>
#include <stdint.h>
#include <string.h>

enum {
    TILE = 256,       /* the least side of a tile, unless C is smaller */
    OUTPUTS = 320000, /* of a tile, if that makes at least LEAST_PARTS and at most MOST_PARTS */
    LEAST_PARTS = 8,
    MOST_PARTS = 32,
    ROW_PART = 256, /* outputs of one part of a product with few rows */
};

typedef struct product {
    bool transpose_a, transpose_b;
    size_t m, n, k;
    float alpha;
    const float *a;
    size_t lda;
    const float *b;
    size_t ldb;
    float beta;
    float *c;
    size_t ldc;
    size_t parts_m, parts_n;
} product;

static size_t most_parts(size_t length) {
    return length < TILE ? 1 : length / TILE;
}

/* Tiles of all of C pack A parts_n times, and B parts_m times. */
static void divide(product *p) {
    size_t wanted = p->m * p->n / OUTPUTS, most_m = most_parts(p->m), most_n = most_parts(p->n),
           least = SIZE_MAX;
    wanted = wanted < LEAST_PARTS ? LEAST_PARTS : wanted > MOST_PARTS ? MOST_PARTS : wanted;
    if (wanted > most_m * most_n) wanted = most_m * most_n;
    for (size_t m = 1; m <= most_m && m <= wanted; m++) {
        size_t n = (wanted + m - 1) / m, packed = m * p->n + n * p->m;
        if (n > most_n || packed >= least) continue;
        least = packed;
        p->parts_m = m;
        p->parts_n = n;
    }
}

static void tile(void *context, size_t part) {
    const product *p = context;
    size_t i = part / p->parts_n, j = part % p->parts_n;
    size_t m0 = p->m * i / p->parts_m, m1 = p->m * (i + 1) / p->parts_m;
    size_t n0 = p->n * j / p->parts_n, n1 = p->n * (j + 1) / p->parts_n;
    const float *a = p->a + (p->transpose_a ? m0 : m0 * p->lda);
    const float *b = p->b + (p->transpose_b ? n0 * p->ldb : n0);
    cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
                p->transpose_b ? CblasTrans : CblasNoTrans, (int)(m1 - m0), (int)(n1 - n0), (int)p->k,
                p->alpha, a, (int)p->lda, b, (int)p->ldb, p->beta, p->c + m0 * p->ldc + n0, (int)p->ldc);
}

/* Few rows times a transposed B: queries against all atoms, inputs through the encoder. */
static void dots_part(void *context, size_t part) {
    const product *p = context;
    size_t from = part * ROW_PART, to = from + ROW_PART < p->n ? from + ROW_PART : p->n;
    const ra_dots dots = {.a = p->a,
                          .lda = p->lda,
                          .m = p->m,
                          .b = p->b + from * p->ldb,
                          .type = RA_F32,
                          .ldb = p->ldb,
                          .n = to - from,
                          .k = p->k};
    ra_dots_run(&dots, p->alpha, p->beta, p->c + from, p->ldc);
}

/* One row times B, not transposed. op(A) is [1,k], with a step between its elements. */
static void vector_part(void *context, size_t part) {
    const product *p = context;
    size_t from = part * ROW_PART, count = p->n - from < ROW_PART ? p->n - from : ROW_PART;
    cblas_sgemv(CblasRowMajor, CblasTrans, (int)p->k, (int)count, p->alpha, p->b + from, (int)p->ldb, p->a,
                p->transpose_a ? (int)p->lda : 1, p->beta, p->c + from, 1);
}

ra_status cpu_gemm(void *self, ra_backend_stream *stream, bool transpose_a, bool transpose_b, size_t m,
                   size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                   float beta, float *c, size_t ldc, ra_error *err) {
    (void)stream, (void)err;
    if (m == 0 || n == 0) return RA_OK;
    ra_pool *pool = self;
    product p = {transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, 1, 1};
    size_t row_parts = ra_pool_parts(n, ROW_PART);
    divide(&p);
    if (transpose_b && !transpose_a && m <= ra_dots_most_rows(k))
        ra_pool_run(pool, row_parts, dots_part, &p);
    else if (m == 1 && !transpose_b)
        ra_pool_run(pool, row_parts, vector_part, &p);
    else
        ra_pool_run(pool, p.parts_m * p.parts_n, tile, &p);
    return RA_OK;
}

/* ---- with a bias ---------------------------------------------------------------------------------------- */

enum { BIAS_ROWS = 32 }; /* of one part */

typedef struct bias_job {
    const float *bias;
    size_t rows, n;
    float *c;
    size_t ldc;
} bias_job;

static void bias_part(void *context, size_t part) {
    const bias_job *job = context;
    for (size_t i = part * BIAS_ROWS; i < ra_pool_part_end(part, BIAS_ROWS, job->rows); i++)
        memcpy(job->c + i * job->ldc, job->bias, job->n * sizeof *job->c);
}

/* The product is added to rows that hold the bias. */
ra_status cpu_gemm_bias(void *self, ra_backend_stream *stream, const float *a, size_t m, const float *b,
                        size_t n, size_t k, const float *bias, float *c, size_t ldc, ra_error *err) {
    bias_job job = {bias, m, n, c, ldc};
    ra_pool_run(self, ra_pool_parts(m, BIAS_ROWS), bias_part, &job);
    return cpu_gemm(self, stream, false, true, m, n, k, 1, a, k, b, k, 1, c, ldc, err);
}

/* ---- few rows times rows of any type ------------------------------------------------------------------- */

typedef struct rows_job {
    ra_dots all;
    const float *bias;
    float *c;
    size_t ldc;
} rows_job;

static void rows_part(void *context, size_t part) {
    const rows_job *job = context;
    size_t from = part * ROW_PART, n = job->all.n;
    ra_dots dots = job->all;
    dots.b = (const char *)dots.b + from * dots.ldb * ra_dtype_size(dots.type);
    dots.n = n - from < ROW_PART ? n - from : ROW_PART;
    for (size_t i = 0; job->bias && i < dots.m; i++)
        memcpy(job->c + i * job->ldc + from, job->bias + from, dots.n * sizeof *job->c);
    ra_dots_run(&dots, 1, job->bias ? 1 : 0, job->c + from, job->ldc);
}

ra_status cpu_dots(void *self, ra_backend_stream *stream, const float *a, size_t m, ra_dtype dtype,
                   const void *b, size_t n, size_t k, const float *bias, float *c, size_t ldc,
                   ra_error *err) {
    (void)stream, (void)err;
    rows_job job = {
        {.a = a, .lda = k, .m = m, .b = b, .ldb = k, .type = dtype, .n = n, .k = k}, bias, c, ldc};
    ra_pool_run(self, ra_pool_parts(n, ROW_PART), rows_part, &job);
    return RA_OK;
}
