/* How many directions a dictionary really uses: the exponential of the entropy of its singular values, as if
 * they were probabilities (Roy and Vetterli 2007). They are the roots of the eigenvalues of D^T D or D D^T,
 * whichever is smaller. */
#include "ra_metrics.h"
#include "base/error.h"
#include "metrics/gram.h"
#include "metrics/spectrum.h"
#include "metrics/unit.h"

#include <float.h>
#include <math.h>

/* exp of the entropy of n numbers over their sum; 0 when they are all zero. */
static double perplexity(const double *values, size_t n) {
    double sum = 0, entropy = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    for (size_t i = 0; i < n; i++)
        if (values[i] > 0) entropy -= values[i] / sum * log(values[i] / sum);
    return sum > 0 ? exp(entropy) : 0;
}

ra_status ra_metric_effective_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                   ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "effective rank", err));
    size_t n = K < d ? K : d, square, count;
    bool fits = !__builtin_mul_overflow(n, n, &square) &&
                !__builtin_add_overflow(square, (RA_GRAM_BLOCK + 3) * n, &count);
    double *gram = fits ? ra_malloc(count, sizeof *gram) : NULL;
    if (!gram) RA_FAIL_MEMORY(err, "the singular values of a dictionary", fits ? count * sizeof *gram : 0);
    if (K < d)
        ra_gram_of_rows(ra_backend_pool(backend), D, K, d, gram);
    else
        ra_gram(ra_backend_pool(backend), D, K, d, gram + square + 3 * n, gram);
    ra_tridiagonal t = {.diagonal = gram + square, .beside = gram + square + n};
    double *singular = gram + square + 2 * n;
    ra_tridiagonalize(gram, n, &t);
    double largest = n ? ra_tridiagonal_eigenvalue(&t, n - 1) : 0;
    for (size_t k = 0; k < n; k++) {
        double eigenvalue = ra_tridiagonal_eigenvalue(&t, k);
        singular[k] =
            eigenvalue > (double)n * DBL_EPSILON * largest ? sqrt(eigenvalue) : 0; /* else rounding */
    }
    *value = perplexity(singular, n);
    ra_free(gram);
    return RA_OK;
}
