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

enum { PARTS = 32, TOGETHER = 4, LANES = 16 };

ra_status ra_metric_singular_values(ra_backend *backend, const float *D, size_t K, size_t d, double *values,
                                    ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "singular values", err));
    ra_pool *pool = ra_backend_pool(backend);
    RA_TRY(ra_gram_prepare(pool, err));
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

/* Multiplies by D^T D in one pass over D: each part multiplies its rows by v, and adds them up with that. */
typedef struct gram_operator {
    ra_pool *pool;
    const float *D; /* [K,d] */
    size_t K, d;
    const double *v; /* [d] */
    double *partial; /* [PARTS,d] */
} gram_operator;

/* w [d] += x^T x v for x [TOGETHER,d] */
RA_MULTIVERSION static void add_product(double *restrict w, const float *restrict x, const double *restrict v,
                                        size_t d) {
    double lane[TOGETHER][LANES] = {{0}}, y[TOGETHER] = {0};
    size_t j = 0;
    for (; j + LANES <= d; j += LANES)
        for (size_t l = 0; l < LANES; l++)
            for (size_t t = 0; t < TOGETHER; t++) lane[t][l] += (double)x[t * d + j + l] * v[j + l];
    for (size_t t = 0; t < TOGETHER; t++) {
        for (size_t i = j; i < d; i++) y[t] += (double)x[t * d + i] * v[i];
        for (size_t l = 0; l < LANES; l++) y[t] += lane[t][l];
    }
    for (size_t i = 0; i < d; i++)
        w[i] += (y[0] * (double)x[i] + y[1] * (double)x[d + i]) +
                (y[2] * (double)x[2 * d + i] + y[3] * (double)x[3 * d + i]);
}

RA_MULTIVERSION static void add_product_of_row(double *restrict w, const float *restrict x,
                                               const double *restrict v, size_t d) {
    double y = 0;
    for (size_t i = 0; i < d; i++) y += (double)x[i] * v[i];
    for (size_t i = 0; i < d; i++) w[i] += y * (double)x[i];
}

static void multiply_part(void *context, size_t part) {
    const gram_operator *g = context;
    size_t d = g->d, k = g->K * part / PARTS, end = g->K * (part + 1) / PARTS;
    double *w = g->partial + part * d;
    memset(w, 0, d * sizeof *w);
    for (; k + TOGETHER <= end; k += TOGETHER) add_product(w, g->D + k * d, g->v, d);
    for (; k < end; k++) add_product_of_row(w, g->D + k * d, g->v, d);
}

static void multiply(void *context, const double *v, double *product) {
    gram_operator *g = context;
    g->v = v;
    ra_pool_run(g->pool, PARTS, multiply_part, g);
    memset(product, 0, g->d * sizeof *product);
    for (size_t p = 0; p < PARTS; p++)
        for (size_t j = 0; j < g->d; j++) product[j] += g->partial[p * g->d + j];
}

ra_status ra_metric_stable_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "stable rank", err));
    double squares = 0, largest = 0, *partial = ra_malloc(PARTS * d, sizeof *partial);
    if (!partial) RA_FAIL_MEMORY(err, "the stable rank", PARTS * d * sizeof *partial);
    gram_operator g = {.pool = ra_backend_pool(backend), .D = D, .K = K, .d = d, .partial = partial};
    for (size_t k = 0; k < K; k++) squares += ra_dot_f64(D + k * d, D + k * d, d);
    ra_status status = squares > 0 ? ra_lanczos_largest(multiply, &g, d, &largest, err) : RA_OK;
    ra_free(partial);
    if (status == RA_OK) *value = squares > 0 ? squares / largest : 0;
    return status;
}
