/* Singular values: square roots of the eigenvalues of D^T D, or of D D^T where that is smaller.
 *
 * Squaring halves the digits: in float64 what lies below 1e-8 of the largest singular value is rounding. The
 * float32 numbers of D hold no more themselves, so nothing that was there is lost; a float32 product, as the
 * backend has it, would lose everything below 3e-4. */
#include "ra_metrics.h"
#include "base/error.h"
#include "base/multiversion.h"
#include "metrics/spectrum.h"
#include "metrics/unit.h"
#include "tensor/dot.h"

#include <math.h>

enum { PART_ROWS = 32, PART_VALUES = 8 };

typedef struct singular_job {
    const float *D; /* [K,d] */
    size_t K, d, n; /* n: the smaller of K and d */
    double *gram;   /* [n,n] */
    ra_tridiagonal tridiagonal;
    double *values; /* [n] */
} singular_job;

RA_MULTIVERSION static void add_scaled(double *restrict y, const float *restrict x, double scale, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += scale * (double)x[i];
}

/* Some rows of the Gram matrix, from the diagonal on. */
static void gram_part(void *context, size_t part) {
    const singular_job *job = context;
    size_t n = job->n, d = job->d, from = part * PART_ROWS, end = n - from < PART_ROWS ? n : from + PART_ROWS;
    if (job->d <= job->K) {
        for (size_t k = 0; k < job->K; k++)
            for (size_t i = from; i < end; i++)
                add_scaled(job->gram + i * n + i, job->D + k * d + i, (double)job->D[k * d + i], n - i);
        return;
    }
    for (size_t i = from; i < end; i++)
        for (size_t j = i; j < n; j++) job->gram[i * n + j] = ra_dot_f64(job->D + i * d, job->D + j * d, d);
}

static void value_part(void *context, size_t part) {
    const singular_job *job = context;
    size_t from = part * PART_VALUES;
    for (size_t k = from; k < from + PART_VALUES && k < job->n; k++)
        job->values[k] = sqrt(fmax(0, ra_tridiagonal_eigenvalue(&job->tridiagonal, job->n - 1 - k)));
}

ra_status ra_metric_singular_values(ra_backend *backend, const float *D, size_t K, size_t d, double *values,
                                    ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "a singular spectrum", err));
    ra_pool *pool = ra_backend_pool(backend);
    size_t n = K < d ? K : d;
    double *block = ra_calloc(n * n + 2 * n, sizeof *block);
    if (!block) RA_FAIL_MEMORY(err, "the singular spectrum", (n * n + 2 * n) * sizeof *block);
    singular_job job = {.D = D, .K = K, .d = d, .n = n, .gram = block, .values = values};
    ra_pool_run(pool, (n + PART_ROWS - 1) / PART_ROWS, gram_part, &job);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) job.gram[i * n + j] = job.gram[j * n + i];
    job.tridiagonal = (ra_tridiagonal){.diagonal = block + n * n, .beside = block + n * n + n};
    ra_tridiagonalize(job.gram, n, &job.tridiagonal);
    ra_pool_run(pool, (n + PART_VALUES - 1) / PART_VALUES, value_part, &job);
    ra_free(block);
    return RA_OK;
}
