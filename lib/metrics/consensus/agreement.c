/* How well each atom agrees with other runs (ra_agreement.h). The costs of an assignment come from float32 products, the
 * cosines of the chosen pairs are computed anew in float64. A run with fewer or more atoms than the dictionary is matched
 * as far as it goes: the smaller side gets atoms of zeros. */
#include "ra_consensus.h"
#include "ra_memory.h"
#include "ra_metrics.h"
#include "metrics/unit.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

typedef struct matcher {
    ra_backend *backend;
    size_t K, d, n; /* n: the side of the assignment */
    const float *D;
    float *a, *b; /* [n,d] unit atoms */
    float *cost;  /* [n,n] */
    int32_t *match;
} matcher;

static void load(ra_pool *pool, const float *x, size_t rows, size_t n, size_t d, float *unit) {
    memset(unit + rows * d, 0, (n - rows) * d * sizeof *unit);
    ra_unit_rows(pool, x, rows, d, unit);
}

static double cosine(const float *x, const float *y, size_t d) {
    double xx = ra_dot_f64(x, x, d), yy = ra_dot_f64(y, y, d);
    return xx > 0 && yy > 0 ? fmax(-1, fmin(1, ra_dot_f64(x, y, d) / (sqrt(xx) * sqrt(yy)))) : 0;
}

/* share [K], sum [K] += what one run adds. */
static ra_status match_run(matcher *m, const ra_matrix *run, double level, float *share, double *sum,
                           ra_error *err) {
    double total;
    load(ra_backend_pool(m->backend), run->data, run->rows, m->n, m->d, m->b);
    RA_TRY(ra_products(m->backend, m->a, m->n, m->b, m->n, m->d, m->cost, err));
    for (size_t i = 0; i < m->n * m->n; i++) m->cost[i] = 1 - m->cost[i];
    RA_TRY(ra_assignment(m->cost, m->n, m->match, &total, err));
    for (size_t k = 0; k < m->K; k++) {
        size_t j = (size_t)m->match[k];
        double value = j < run->rows ? cosine(m->D + k * m->d, ra_matrix_row(run, j), m->d) : 0;
        share[k] += value >= level;
        sum[k] += value;
    }
    return RA_OK;
}

static ra_status check(const char *what, size_t number, const float *x, size_t rows, size_t d,
                       ra_error *err) {
    size_t bad = ra_find_not_finite(x, rows * d);
    if (bad == rows * d) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE,
            "%s %zu holds a NaN or an infinity in atom %zu, dimension %zu; expected finite numbers", what,
            number, bad / d, bad % d);
}

static ra_status prepare(matcher *m, ra_agreement *agreement, double **sum, ra_error *err) {
    size_t square;
    if (__builtin_mul_overflow(m->n, m->n, &square))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "dictionaries of %zu atoms are too large to compare", m->n);
    m->a = ra_malloc(m->n * m->d, sizeof *m->a);
    m->b = ra_malloc(m->n * m->d, sizeof *m->b);
    m->cost = ra_malloc(square, sizeof *m->cost);
    m->match = ra_malloc(m->n, sizeof *m->match);
    *sum = ra_calloc(m->K, sizeof **sum);
    agreement->share = ra_calloc(m->K, sizeof *agreement->share);
    agreement->cosine = ra_calloc(m->K, sizeof *agreement->cosine);
    if (!m->a || !m->b || !m->cost || !m->match || !*sum || !agreement->share || !agreement->cosine)
        RA_FAIL_MEMORY(err, "the agreement of dictionaries", (square + 2 * m->n * m->d) * sizeof(float));
    load(ra_backend_pool(m->backend), m->D, m->K, m->n, m->d, m->a);
    return RA_OK;
}

static ra_status measure(matcher *m, const ra_matrix *runs, size_t count, double level,
                         ra_agreement *agreement, ra_error *err) {
    double *sum = NULL;
    ra_status status = prepare(m, agreement, &sum, err);
    for (size_t r = 0; r < count && status == RA_OK; r++)
        status = match_run(m, &runs[r], level, agreement->share, sum, err);
    for (size_t k = 0; k < m->K && status == RA_OK; k++) {
        agreement->share[k] /= (float)count;
        agreement->cosine[k] = (float)(sum[k] / (double)count);
    }
    ra_free(sum);
    ra_free(m->a);
    ra_free(m->b);
    ra_free(m->cost);
    ra_free(m->match);
    return status;
}

ra_status ra_agreement_measure(ra_backend *backend, const float *D, size_t K, size_t d, const ra_matrix *runs,
                               size_t count, double level, ra_agreement *agreement, ra_error *err) {
    *agreement = (ra_agreement){.atoms = K, .runs = count, .level = level};
    RA_TRY(ra_need_host_backend(backend, "an agreement", err));
    if (K == 0 || d == 0 || count == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the agreement of %zu atoms of %zu dimensions with %zu runs is nothing",
                K, d, count);
    RA_TRY(check("the dictionary, number", 0, D, K, d, err));
    matcher m = {.backend = backend, .K = K, .d = d, .n = K, .D = D};
    for (size_t r = 0; r < count; r++) {
        if (runs[r].cols != d || runs[r].rows == 0)
            RA_FAIL(err, RA_ERR_SHAPE,
                    "run %zu has %zu atoms of %zu dimensions, but the dictionary has atoms of %zu", r,
                    runs[r].rows, runs[r].cols, d);
        RA_TRY(check("run", r, runs[r].data, runs[r].rows, d, err));
        if (runs[r].rows > m.n) m.n = runs[r].rows;
    }
    ra_status status = measure(&m, runs, count, level, agreement, err);
    if (status != RA_OK) ra_agreement_release(agreement);
    return status;
}
