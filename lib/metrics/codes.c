/* Metrics of codes: the sparsity of each row, the energy of each latent, and the correlation of two latents.
 *
 * Correlations use the sparse form: latent i only meets latents that are active in the same row, so B rows with
 * k active latents take B k^2 multiplications, not B K^2. One row of the matrix is in memory at a time. */
#include "metrics/codes.h"
#include "ra_memory.h"
#include "ra_metrics.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

/* ---- sparsity ------------------------------------------------------------------------------------------ */

/* overcomplete adds 1e-6 to each denominator, which decides the result where codes are small. These have one value
 * for every scale, and agree with it to 1e-6 for codes of its own scale. */
ra_row_sums ra_codes_row_sums(const ra_codes *codes, size_t b) {
    ra_row_sums sums = {0};
    for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
        double z = (double)codes->value[e], square = z * z;
        sums.active += z != 0;
        sums.l1 += fabs(z);
        sums.root += sqrt(fabs(z));
        sums.square += square;
        sums.fourth += square * square;
    }
    return sums;
}

double ra_l1_l2_of(const ra_row_sums *sums) {
    return sums->square > 0 ? sums->l1 / sqrt(sums->square) : 0;
}

double ra_hoyer_of(const ra_row_sums *sums, size_t latents) {
    double root = sqrt((double)latents);
    return latents > 1 ? (root - ra_l1_l2_of(sums)) / (root - 1) : 1;
}

double ra_kappa_4_of(const ra_row_sums *sums) {
    return sums->square > 0 ? sums->fourth / sums->square / sums->square : 0;
}

void ra_metric_l1_l2_ratio(const ra_codes *codes, double *values) {
    for (size_t b = 0; b < codes->rows; b++) {
        ra_row_sums sums = ra_codes_row_sums(codes, b);
        values[b] = ra_l1_l2_of(&sums);
    }
}

void ra_metric_hoyer(const ra_codes *codes, double *values) {
    for (size_t b = 0; b < codes->rows; b++) {
        ra_row_sums sums = ra_codes_row_sums(codes, b);
        values[b] = ra_hoyer_of(&sums, codes->latents);
    }
}

void ra_metric_kappa_4(const ra_codes *codes, double *values) {
    for (size_t b = 0; b < codes->rows; b++) {
        ra_row_sums sums = ra_codes_row_sums(codes, b);
        values[b] = ra_kappa_4_of(&sums);
    }
}

/* ---- energy -------------------------------------------------------------------------------------------- */

void ra_metric_energy(const ra_codes *codes, const float *D, size_t d, double *values) {
    memset(values, 0, codes->latents * sizeof *values);
    size_t entries = ra_codes_entries(codes);
    for (size_t e = 0; e < entries; e++) values[codes->index[e]] += (double)codes->value[e];
    for (size_t k = 0; k < codes->latents; k++) {
        double mean = codes->rows ? values[k] / (double)codes->rows : 0;
        values[k] = fabs(mean) * sqrt(ra_dot_f64(D + k * d, D + k * d, d));
    }
}

/* ---- correlation -------------------------------------------------------------------------------------- */

/* With u = z - mean, which is -mean where the latent is not active,
 *
 *     sum u_i u_k = sum of u_i u_k, where both are active
 *                   - mean_k (sum of u_i where k is not active) - mean_i (sum of u_k where i is not active)
 *                   + mean_i mean_k (rows in which neither is active)
 *
 * which loses no digits where a mean is large compared with its deviation: such a latent is active in every row,
 * and all but the first term vanish. */
typedef struct correlation {
    const ra_codes *codes;
    size_t *start;  /* [K+1] where each latent begins in row and value */
    uint32_t *row;  /* [entries] */
    float *value;   /* [entries] */
    double *mean;   /* [K] */
    double *square; /* [K] sum of u^2 */
    double *active; /* [K] sum of u where it is active */
    double *both, *own, *other,
        *count; /* [K] each, for one latent i: sums of u_i u_k, u_i, u_k and 1 where both
                                           are active */
} correlation;

static void measure(correlation *c) {
    double rows = (double)c->codes->rows;
    for (size_t k = 0; k < c->codes->latents; k++) {
        double first = c->start[k] < c->start[k + 1] ? (double)c->value[c->start[k]] : 0, sum = 0;
        double active = (double)(c->start[k + 1] - c->start[k]);
        for (size_t p = c->start[k]; p < c->start[k + 1]; p++) sum += (double)c->value[p] - first;
        c->mean[k] = first * (active / rows) + sum / rows;
        c->square[k] = c->active[k] = 0;
        for (size_t p = c->start[k]; p < c->start[k + 1]; p++) {
            double gap = (double)c->value[p] - c->mean[k];
            c->active[k] += gap;
            c->square[k] += gap * gap;
        }
        c->square[k] += (rows - active) * c->mean[k] * c->mean[k]; /* the rows in which it is not active */
    }
}

/* The largest |correlation| of latent i with a later one. */
static double strongest(const correlation *c, size_t i) {
    const ra_codes *codes = c->codes;
    size_t K = codes->latents;
    double rows = (double)codes->rows, largest = 0;
    memset(c->both, 0, 4 * K * sizeof *c->both);
    for (size_t p = c->start[i]; p < c->start[i + 1]; p++)
        for (size_t e = codes->start[c->row[p]]; e < codes->start[c->row[p] + 1]; e++) {
            size_t k = (size_t)codes->index[e];
            double u = (double)c->value[p] - c->mean[i], v = (double)codes->value[e] - c->mean[k];
            c->both[k] += u * v;
            c->own[k] += u;
            c->other[k] += v;
            c->count[k]++;
        }
    double in_i = (double)(c->start[i + 1] - c->start[i]);
    for (size_t k = i + 1; k < K; k++) {
        double in_k = (double)(c->start[k + 1] - c->start[k]), neither = rows - in_i - in_k + c->count[k];
        double sum = c->both[k] - c->mean[k] * (c->active[i] - c->own[k]) -
                     c->mean[i] * (c->active[k] - c->other[k]) + c->mean[i] * c->mean[k] * neither;
        largest =
            fmax(largest, ra_correlation_of(sum, c->square[i], c->square[k], rows, c->mean[i], c->mean[k]));
    }
    return largest;
}

double ra_correlation_of(double covariance, double variance_a, double variance_b, double rows, double mean_a,
                         double mean_b) {
    static const double rounding = 1e-16; /* of a variance, as a share of the squared mean: (1e-8)^2 */
    if (!(variance_a > rounding * rows * mean_a * mean_a) ||
        !(variance_b > rounding * rows * mean_b * mean_b))
        return 0;
    return fmin(1, fabs(covariance) / sqrt(variance_a) / sqrt(variance_b));
}

ra_status ra_metric_max_correlation(const ra_codes *codes, double *value, ra_error *err) {
    size_t K = codes->latents, entries = ra_codes_entries(codes);
    if (codes->rows < 2 || codes->rows > UINT32_MAX)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the correlation of latents needs 2 to %u rows, got %zu", UINT32_MAX,
                codes->rows);
    correlation c = {.codes = codes};
    c.start = ra_malloc(K + 1, sizeof *c.start);
    c.row = ra_malloc(entries, sizeof *c.row);
    c.value = ra_malloc(entries, sizeof *c.value);
    c.mean = ra_malloc(K, sizeof *c.mean);
    c.square = ra_malloc(K, sizeof *c.square);
    c.active = ra_malloc(K, sizeof *c.active);
    c.both = ra_malloc(4 * K, sizeof *c.both);
    bool complete = c.start && c.row && c.value && c.mean && c.square && c.active && c.both;
    if (complete) {
        c.own = c.both + K;
        c.other = c.own + K;
        c.count = c.other + K;
        ra_codes_by_latent(codes, codes->value, c.start, c.row, c.value);
        measure(&c);
        double largest = 0;
        for (size_t i = 0; i < K; i++) largest = fmax(largest, strongest(&c, i));
        *value = largest;
    }
    ra_free(c.start);
    ra_free(c.row);
    ra_free(c.value);
    ra_free(c.mean);
    ra_free(c.square);
    ra_free(c.active);
    ra_free(c.both);
    if (complete) return RA_OK;
    RA_FAIL_MEMORY(err, "the correlation of latents", entries * (sizeof(uint32_t) + sizeof(float)));
}
