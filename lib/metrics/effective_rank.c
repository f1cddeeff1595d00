/* How many directions a dictionary really uses: the exponential of the entropy of its singular values, as if
 * they were probabilities (Roy and Vetterli 2007). */
#include "ra_metrics.h"
#include "ra_memory.h"

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
    size_t n = K < d ? K : d;
    double *singular = ra_malloc(n, sizeof *singular);
    if (!singular) RA_FAIL_MEMORY(err, "the effective rank", n * sizeof *singular);
    ra_status status = ra_metric_singular_values(backend, D, K, d, singular, err);
    if (status == RA_OK) {
        double least = n ? singular[0] * sqrt((double)n * DBL_EPSILON) : 0; /* below it is rounding */
        for (size_t k = 0; k < n; k++)
            if (singular[k] <= least) singular[k] = 0;
        *value = perplexity(singular, n);
    }
    ra_free(singular);
    return status;
}
