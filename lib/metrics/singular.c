/* Singular values: square roots of the eigenvalues of D^T D, or of D D^T where that is smaller.
 *
 * Squaring halves the digits: in float64 what lies below 1e-8 of the largest singular value is rounding. The
 * float32 numbers of D hold no more themselves, so nothing that was there is lost; a float32 product, as the
 * backend has it, would lose everything below 3e-4 (gram.c). */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "metrics/gram.h"
#include "metrics/spectrum.h"
#include "metrics/unit.h"

#include <math.h>

enum { PART_VALUES = 8 };

typedef struct singular_job {
    size_t n; /* the smaller of K and d */
    ra_tridiagonal tridiagonal;
    double *values; /* [n] */
} singular_job;

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
    size_t count = n * (n + 2 + RA_GRAM_BLOCK);
    double *block = ra_malloc(count, sizeof *block);
    if (!block) RA_FAIL_MEMORY(err, "the singular spectrum", count * sizeof *block);
    singular_job job = {.n = n, .values = values};
    if (d <= K)
        ra_gram(pool, D, K, d, block + n * (n + 2), block);
    else
        ra_gram_of_rows(pool, D, K, d, block);
    job.tridiagonal = (ra_tridiagonal){.diagonal = block + n * n, .beside = block + n * n + n};
    ra_tridiagonalize(block, n, &job.tridiagonal);
    ra_pool_run(pool, ra_pool_parts(n, PART_VALUES), value_part, &job);
    ra_free(block);
    return RA_OK;
}
