/* Products of a tall matrix with itself, in float64: singular values are the roots of the eigenvalues, and a
 * root turns an error of 1e-7 of the largest into one of 3e-4. Each part is a band of rows of the result, so
 * parts need no sums of their own. */
#include "metrics/gram.h"
#include "base/multiversion.h"
#include "tensor/dot.h"

#include <string.h>

enum { BAND = 8 };

typedef struct gram_job {
    const float *X;
    size_t rows, d;
    double *gram;
} gram_job;

/* sum [n] += scale x */
RA_MULTIVERSION static void add_scaled(double *restrict sum, const float *restrict x, double scale,
                                       size_t n) {
    for (size_t j = 0; j < n; j++) sum[j] += scale * (double)x[j];
}

/* Rows [from, from + BAND) of the upper triangle. */
static void band_part(void *context, size_t part) {
    const gram_job *job = context;
    size_t d = job->d, from = part * BAND, end = from + BAND < d ? from + BAND : d;
    for (size_t i = from; i < end; i++) memset(job->gram + i * d + from, 0, (d - from) * sizeof(double));
    for (size_t k = 0; k < job->rows; k++) {
        const float *x = job->X + k * d;
        for (size_t i = from; i < end; i++)
            if (x[i] != 0) add_scaled(job->gram + i * d + from, x + from, (double)x[i], d - from);
    }
}

static void rows_part(void *context, size_t part) {
    const gram_job *job = context;
    for (size_t i = part * BAND; i < (part + 1) * BAND && i < job->rows; i++)
        for (size_t j = i; j < job->rows; j++)
            job->gram[i * job->rows + j] = ra_dot_f64(job->X + i * job->d, job->X + j * job->d, job->d);
}

static void mirror(double *gram, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) gram[i * n + j] = gram[j * n + i];
}

void ra_gram(ra_pool *pool, const float *X, size_t rows, size_t d, double *gram) {
    gram_job job = {X, rows, d, gram};
    ra_pool_run(pool, (d + BAND - 1) / BAND, band_part, &job);
    mirror(gram, d);
}

void ra_gram_of_rows(ra_pool *pool, const float *X, size_t rows, size_t d, double *gram) {
    gram_job job = {X, rows, d, gram};
    ra_pool_run(pool, (rows + BAND - 1) / BAND, rows_part, &job);
    mirror(gram, rows);
}
