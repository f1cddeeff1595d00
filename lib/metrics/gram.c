/* Products of a tall matrix with itself, in float64: the metrics need square roots of their eigenvalues, and
 * a root turns an error of 1e-7 of the largest into one of 3e-4, too much for float32. A part of the work is
 * a band of rows of the result, from the diagonal on, so threads need no sums of their own. */
#include "metrics/gram.h"
#include "ra_backend.h"
#include "backend/cpu/blas.h"
#include "tensor/vectors.h"

#include <string.h>

enum { BAND = 64, ROWS_BAND = 8 };

ra_status ra_gram_prepare(ra_pool *pool, ra_error *err) {
    cpu_blas_use_one_thread();
    return ra_backend_reserve(ra_pool_threads(pool), err); /* the pool may not be that of a CPU backend */
}

typedef struct gram_job {
    const double *X; /* [rows,d] */
    const float *narrow;
    size_t rows, d;
    double *gram;
} gram_job;

static void band_part(void *context, size_t part) {
    const gram_job *job = context;
    size_t d = job->d, from = part * BAND, rows = d - from < BAND ? d - from : BAND;
    cpu_blas_add_product(rows, d - from, job->rows, job->X + from, job->X + from, d,
                         job->gram + from * d + from);
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
    for (size_t i = part * ROWS_BAND; i < (part + 1) * ROWS_BAND && i < job->rows; i++)
        for (size_t j = i; j < job->rows; j++)
            job->gram[i * job->rows + j] = ra_dot_f64(X + i * job->d, X + j * job->d, job->d);
}

void ra_gram_of_rows(ra_pool *pool, const float *X, size_t rows, size_t d, double *gram) {
    gram_job job = {.narrow = X, .rows = rows, .d = d, .gram = gram};
    ra_pool_run(pool, ra_pool_parts(rows, ROWS_BAND), rows_part, &job);
    ra_gram_mirror(gram, rows);
}

void ra_gram_mirror(double *gram, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) gram[i * n + j] = gram[j * n + i];
}
