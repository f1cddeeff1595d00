/* Singular values: square roots of the eigenvalues of D^T D, or of D D^T where that is smaller.
 *
 * Squaring halves the digits: in float64 what lies below 1e-8 of the largest singular value is rounding. The
 * float32 numbers of D hold no more themselves, so nothing that was there is lost; a float32 product, as the
 * backend has it, would lose everything below 3e-4 (gram.c). */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "backend/cpu/lapack.h"
#include "metrics/gram.h"
#include "metrics/unit.h"

#include <math.h>

ra_status ra_metric_singular_values(ra_backend *backend, const float *D, size_t K, size_t d, double *values,
                                    ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "a singular spectrum", err));
    ra_pool *pool = ra_backend_pool(backend);
    size_t n = K < d ? K : d, count = n * (n + RA_GRAM_BLOCK);
    double *gram = ra_malloc(count, sizeof *gram);
    if (!gram) RA_FAIL_MEMORY(err, "the singular spectrum", count * sizeof *gram);
    if (d <= K)
        ra_gram(pool, D, K, d, gram + n * n, gram);
    else
        ra_gram_of_rows(pool, D, K, d, gram);
    ra_status status = ra_eigenvalues(gram, n, values, err);
    for (size_t i = 0, j = n; status == RA_OK && i < j; i++) { /* ascending to descending, and the roots */
        double largest = values[--j], smallest = values[i];
        values[i] = sqrt(fmax(0, largest));
        values[j] = i == j ? values[i] : sqrt(fmax(0, smallest));
    }
    ra_free(gram);
    return status;
}
