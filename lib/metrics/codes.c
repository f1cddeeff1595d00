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

static const double epsilon = 1e-6; /* as in overcomplete */

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
    return sums->l1 / (sqrt(sums->square) + epsilon);
}

double ra_hoyer_of(const ra_row_sums *sums, size_t latents) {
    double root = sqrt((double)latents);
    return latents > 1 ? (root - ra_l1_l2_of(sums)) / (root - 1) : 1;
}

double ra_kappa_4_of(const ra_row_sums *sums) {
    return sums->fourth / (sums->square * sums->square + epsilon);
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

typedef struct correlation {
    const ra_codes *codes;
    size_t *start;    /* [K+1] where each latent begins in row and value */
    uint32_t *row;    /* [entries] */
    float *value;     /* [entries] */
    double *mean;     /* [K] */
    double *std;      /* [K] */
    double *together; /* [K] sum over rows of z_i z_k, for one latent i */
} correlation;

static void measure(correlation *c) {
    double rows = (double)c->codes->rows;
    for (size_t k = 0; k < c->codes->latents; k++) {
        double sum = 0, squares = 0;
        size_t active = c->start[k + 1] - c->start[k];
        for (size_t p = c->start[k]; p < c->start[k + 1]; p++) sum += (double)c->value[p];
        c->mean[k] = sum / rows;
        for (size_t p = c->start[k]; p < c->start[k + 1]; p++) {
            double gap = (double)c->value[p] - c->mean[k];
            squares += gap * gap;
        }
        squares += (rows - (double)active) * c->mean[k] * c->mean[k]; /* the rows in which it is not active */
        c->std[k] = sqrt(squares / (rows - 1));
    }
}

/* The largest |correlation| of latent i with a later one. */
static double strongest(const correlation *c, size_t i) {
    const ra_codes *codes = c->codes;
    size_t K = codes->latents;
    double rows = (double)codes->rows, largest = 0;
    memset(c->together, 0, K * sizeof *c->together);
    for (size_t p = c->start[i]; p < c->start[i + 1]; p++)
        for (size_t e = codes->start[c->row[p]]; e < codes->start[c->row[p] + 1]; e++)
            c->together[codes->index[e]] += (double)c->value[p] * (double)codes->value[e];
    for (size_t k = i + 1; k < K; k++) {
        double covariance = (c->together[k] - rows * c->mean[i] * c->mean[k]) / (rows - 1);
        largest = fmax(largest, fabs(covariance) / (c->std[i] * c->std[k] + 1e-6));
    }
    return largest;
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
    c.std = ra_malloc(K, sizeof *c.std);
    c.together = ra_malloc(K, sizeof *c.together);
    bool complete = c.start && c.row && c.value && c.mean && c.std && c.together;
    if (complete) {
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
    ra_free(c.std);
    ra_free(c.together);
    if (complete) return RA_OK;
    RA_FAIL_MEMORY(err, "the correlation of latents", entries * (sizeof(uint32_t) + sizeof(float)));
}
