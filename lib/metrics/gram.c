/* Products of a tall matrix with itself, in float64: the metrics need square roots of their eigenvalues, and
 * a root turns an error of 1e-7 of the largest into one of 3e-4, too much for float32. A part of the work is
 * a band of rows of the result, so threads need no sums of their own; it takes eight rows of X at a time, so
 * that the band is read and written an eighth as often. */
#include "metrics/gram.h"
#include "base/multiversion.h"
#include "tensor/vectors.h"

#include <string.h>

enum { BAND = 8, TOGETHER = 8 };

typedef struct gram_job {
    const double *X; /* [rows,d] */
    const float *narrow;
    size_t rows, d;
    double *gram;
} gram_job;

/* sum [n] += the sum over t of scale[t] x[t d + j] */
RA_MULTIVERSION static void add_eight(double *restrict sum, const double *restrict x, size_t d,
                                      const double *restrict scale, size_t n) {
    for (size_t j = 0; j < n; j++)
        sum[j] +=
            ((scale[0] * x[j] + scale[1] * x[d + j]) + (scale[2] * x[2 * d + j] + scale[3] * x[3 * d + j])) +
            ((scale[4] * x[4 * d + j] + scale[5] * x[5 * d + j]) +
             (scale[6] * x[6 * d + j] + scale[7] * x[7 * d + j]));
}

RA_MULTIVERSION static void add_one(double *restrict sum, const double *restrict x, double scale, size_t n) {
    for (size_t j = 0; j < n; j++) sum[j] += scale * x[j];
}

static void band_part(void *context, size_t part) {
    const gram_job *job = context;
    size_t d = job->d, from = part * BAND, end = from + BAND < d ? from + BAND : d, k = 0;
    for (; k + TOGETHER <= job->rows; k += TOGETHER)
        for (size_t i = from; i < end; i++) {
            double scale[TOGETHER];
            for (size_t t = 0; t < TOGETHER; t++) scale[t] = job->X[(k + t) * d + i];
            add_eight(job->gram + i * d + i, job->X + k * d + i, d, scale, d - i);
        }
    for (; k < job->rows; k++)
        for (size_t i = from; i < end; i++)
            add_one(job->gram + i * d + i, job->X + k * d + i, job->X[k * d + i], d - i);
}

void ra_gram_add(ra_pool *pool, const double *X, size_t rows, size_t d, double *gram) {
    gram_job job = {.X = X, .rows = rows, .d = d, .gram = gram};
    ra_pool_run(pool, ra_pool_parts(d, BAND), band_part, &job);
}

void ra_gram(ra_pool *pool, const float *X, size_t rows, size_t d, double *chunk, double *gram) {
    memset(gram, 0, d * d * sizeof *gram);
    for (size_t from = 0; from < rows; from += RA_GRAM_ROWS) {
        size_t count = rows - from < RA_GRAM_ROWS ? rows - from : RA_GRAM_ROWS;
        for (size_t i = 0; i < count * d; i++) chunk[i] = (double)X[from * d + i];
        ra_gram_add(pool, chunk, count, d, gram);
    }
    ra_gram_mirror(gram, d);
}

static void rows_part(void *context, size_t part) {
    const gram_job *job = context;
    const float *X = job->narrow;
    for (size_t i = part * BAND; i < (part + 1) * BAND && i < job->rows; i++)
        for (size_t j = i; j < job->rows; j++)
            job->gram[i * job->rows + j] = ra_dot_f64(X + i * job->d, X + j * job->d, job->d);
}

void ra_gram_of_rows(ra_pool *pool, const float *X, size_t rows, size_t d, double *gram) {
    gram_job job = {.narrow = X, .rows = rows, .d = d, .gram = gram};
    ra_pool_run(pool, ra_pool_parts(rows, BAND), rows_part, &job);
    ra_gram_mirror(gram, rows);
}

void ra_gram_mirror(double *gram, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) gram[i * n + j] = gram[j * n + i];
}
