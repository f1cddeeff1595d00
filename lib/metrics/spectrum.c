/* The singular values of a dictionary, and metrics of them.
 *
 * The singular values are square roots of the eigenvalues of D^T D, or of the smaller D D^T. Squaring halves
 * the number of digits: in float64, a value below 1e-8 of the largest is rounding error. But the float32
 * numbers of D have no more digits themselves. With D^T D in float32, everything below 3e-4 of the largest
 * would be lost (gram.c).
 *
 * The stable rank needs the largest eigenvalue of D^T D alone. Lanczos' method (lanczos.c) finds it by
 * multiplying with D and D^T in float64, without forming D^T D or a copy of D. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "backend/cpu/lapack.h"
#include "base/multiversion.h"
#include "metrics/gram.h"
#include "metrics/lanczos.h"
#include "metrics/unit.h"
#include "tensor/vectors.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { PART_ROWS = 64, PART_COLUMNS = 64, LANES = 16 };

ra_status ra_metric_singular_values(ra_backend *backend, const float *D, size_t K, size_t d, double *values,
                                    ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "singular values", err));
    ra_pool *pool = ra_backend_pool(backend);
    size_t n = K < d ? K : d, count = n * (n + RA_GRAM_ROWS);
    double *gram = ra_malloc(count, sizeof *gram);
    if (!gram) RA_FAIL_MEMORY(err, "the singular values", count * sizeof *gram);
    if (d <= K)
        ra_gram(pool, D, K, d, gram + n * n, gram);
    else
        ra_gram_of_rows(pool, D, K, d, gram);
    ra_status status = ra_eigenvalues(gram, n, values, err);
    for (size_t i = 0, j = n; status == RA_OK && i < j; i++) { /* their roots, in descending order */
        double largest = values[--j], smallest = values[i];
        values[i] = sqrt(fmax(0, largest));
        values[j] = i == j ? values[i] : sqrt(fmax(0, smallest));
    }
    ra_free(gram);
    return status;
}

/* ---- effective rank ------------------------------------------------------------------------------------ */

/* exp of the entropy of n numbers divided by their sum, as if they were probabilities; 0 if all are 0. */
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
        double least = n ? singular[0] * sqrt((double)n * DBL_EPSILON) : 0; /* below: rounding error */
        for (size_t k = 0; k < n; k++)
            if (singular[k] <= least) singular[k] = 0;
        *value = perplexity(singular, n);
    }
    ra_free(singular);
    return status;
}

/* ---- stable rank --------------------------------------------------------------------------------------- */

/* Multiplies by D^T D. */
typedef struct gram_operator {
    ra_pool *pool;
    const float *D; /* [K,d] */
    size_t K, d;
    const double *v; /* [d] */
    double *w;       /* [d] D^T D v */
    double *y;       /* [K] D v */
} gram_operator;

RA_MULTIVERSION static double dot_mixed(const float *restrict x, const double *restrict y, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += (double)x[i + l] * y[i + l];
    for (; i < n; i++) sum += (double)x[i] * y[i];
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

RA_MULTIVERSION static void add_scaled(double *restrict y, const float *restrict x, double scale, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += scale * (double)x[i];
}

static void multiply_part(void *context, size_t part) {
    const gram_operator *g = context;
    size_t from = part * PART_ROWS;
    for (size_t k = from; k < from + PART_ROWS && k < g->K; k++)
        g->y[k] = dot_mixed(g->D + k * g->d, g->v, g->d);
}

static void multiply_back_part(void *context, size_t part) {
    const gram_operator *g = context;
    size_t from = part * PART_COLUMNS, columns = g->d - from < PART_COLUMNS ? g->d - from : PART_COLUMNS;
    memset(g->w + from, 0, columns * sizeof *g->w);
    for (size_t k = 0; k < g->K; k++) add_scaled(g->w + from, g->D + k * g->d + from, g->y[k], columns);
}

static void multiply(void *context, const double *v, double *product) {
    gram_operator *g = context;
    g->v = v;
    g->w = product;
    ra_pool_run(g->pool, ra_pool_parts(g->K, PART_ROWS), multiply_part, g);
    ra_pool_run(g->pool, ra_pool_parts(g->d, PART_COLUMNS), multiply_back_part, g);
}

ra_status ra_metric_stable_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "stable rank", err));
    double squares = 0, largest = 0, *y = ra_malloc(K, sizeof *y);
    if (!y) RA_FAIL_MEMORY(err, "the stable rank", K * sizeof *y);
    gram_operator g = {.pool = ra_backend_pool(backend), .D = D, .K = K, .d = d, .y = y};
    for (size_t k = 0; k < K; k++) squares += ra_dot_f64(D + k * d, D + k * d, d);
    ra_status status = squares > 0 ? ra_lanczos_largest(multiply, &g, d, &largest, err) : RA_OK;
    ra_free(y);
    if (status == RA_OK) *value = squares > 0 ? squares / largest : 0;
    return status;
}
