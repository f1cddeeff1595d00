#include "metrics/reconstruction.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "metrics/codes.h"

#include <math.h>

enum { LANES = 8 };

/* Sums over one row. */
typedef struct row_errors {
    double error_l1, error_square, l1, square;
} row_errors;

RA_MULTIVERSION static row_errors errors_of(const float *restrict x, const float *restrict x_hat, size_t n) {
    double lane[4][LANES] = {{0}}, sum[4] = {0};
    for (size_t i = 0; i < n; i += LANES)
        for (size_t l = 0; l < LANES && i + l < n; l++) {
            double value = (double)x[i + l], error = value - (double)x_hat[i + l];
            lane[0][l] += fabs(error);
            lane[1][l] += error * error;
            lane[2][l] += fabs(value);
            lane[3][l] += value * value;
        }
    for (size_t s = 0; s < 4; s++)
        for (size_t l = 0; l < LANES; l++) sum[s] += lane[s][l];
    return (row_errors){sum[0], sum[1], sum[2], sum[3]};
}

RA_MULTIVERSION static void add_dimensions(const float *restrict x, const double *restrict origin,
                                           double *restrict sum, double *restrict square, size_t n) {
    for (size_t j = 0; j < n; j++) {
        double gap = (double)x[j] - origin[j];
        sum[j] += gap;
        square[j] += gap * gap;
    }
}

static void add_row(ra_reconstruction *sums, const float *x, const float *x_hat) {
    size_t d = sums->dimensions;
    row_errors e = errors_of(x, x_hat, d);
    sums->squares += e.error_square;
    sums->l1 += e.error_l1;
    sums->l2 += sqrt(e.error_square);
    if (e.l1 > 0) {
        sums->relative_rows++;
        sums->relative_l1 += e.error_l1 / e.l1;
        sums->relative_l2 += sqrt(e.error_square / e.square);
    }
    if (sums->rows == 0)
        for (size_t j = 0; j < d; j++) sums->origin[j] = (double)x[j];
    add_dimensions(x, sums->origin, sums->sum, sums->square, d);
}

static void add_codes(ra_reconstruction *sums, const ra_codes *codes, size_t b) {
    ra_row_sums row = ra_codes_row_sums(codes, b);
    sums->active += (double)row.active;
    sums->hoyer += ra_hoyer_of(&row, sums->concepts);
    sums->kappa_4 += ra_kappa_4_of(&row);
    sums->l1_l2 += ra_l1_l2_of(&row);
    sums->codes_l1 += row.l1;
    sums->codes_l2 += sqrt(row.square);
    sums->codes_lp += row.root * row.root;
    for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
        if (codes->value[e] != 0) sums->used[codes->index[e]] = true;
}

void ra_reconstruction_add(ra_reconstruction *sums, const float *x, const float *x_hat,
                           const ra_codes *codes) {
    size_t d = sums->dimensions;
    for (size_t b = 0; b < codes->rows; b++) {
        add_row(sums, x + b * d, x_hat + b * d);
        add_codes(sums, codes, b);
        sums->rows++;
    }
}

void ra_reconstruction_result(const ra_reconstruction *sums, ra_evaluation_result *result) {
    size_t d = sums->dimensions, dead = 0;
    double rows = (double)sums->rows, values = rows * (double)d;
    double mean = 0, own = 0,
           between = 0; /* squares about the dimensions' means; squares of these about the mean */
    for (size_t j = 0; j < d; j++) {
        mean += (sums->origin[j] + sums->sum[j] / rows) / (double)d;
        own += fmax(sums->square[j] - sums->sum[j] * sums->sum[j] / rows, 0);
    }
    for (size_t j = 0; j < d; j++) {
        double gap = sums->origin[j] + sums->sum[j] / rows - mean;
        between += rows * gap * gap;
    }
    for (size_t k = 0; k < sums->concepts; k++) dead += !sums->used[k];
    result->rows = sums->rows;
    result->mse = sums->squares / values;
    result->r2 = own + between > 0 ? 1 - sums->squares / (own + between) : NAN;
    result->r2_per_dimension = own > 0 ? 1 - sums->squares / own : NAN;
    result->l0 = sums->active / rows;
    result->l0_share = result->l0 / (double)sums->concepts;
    result->dead_ratio = (double)dead / (double)sums->concepts;
    result->hoyer = sums->hoyer / rows;
    result->kappa_4 = sums->kappa_4 / rows;
    result->l1_l2_ratio = sums->l1_l2 / rows;
    result->codes_l1 = sums->codes_l1 / rows;
    result->codes_l2 = sums->codes_l2 / rows;
    result->codes_lp = sums->codes_lp / rows;
    result->average_l1 = sums->l1 / rows;
    result->average_l2 = sums->l2 / rows;
    double with_a_norm = (double)sums->relative_rows;
    result->relative_l1 = with_a_norm > 0 ? sums->relative_l1 / with_a_norm : NAN;
    result->relative_l2 = with_a_norm > 0 ? sums->relative_l2 / with_a_norm : NAN;
}

ra_status ra_reconstruction_init(ra_reconstruction *sums, size_t dimensions, size_t concepts, ra_error *err) {
    *sums = (ra_reconstruction){.dimensions = dimensions, .concepts = concepts};
    sums->origin = ra_calloc(dimensions, sizeof *sums->origin);
    sums->sum = ra_calloc(dimensions, sizeof *sums->sum);
    sums->square = ra_calloc(dimensions, sizeof *sums->square);
    sums->used = ra_calloc(concepts, sizeof *sums->used);
    if (sums->origin && sums->sum && sums->square && sums->used) return RA_OK;
    ra_reconstruction_release(sums);
    RA_FAIL_MEMORY(err, "the sums of an evaluation",
                   3 * dimensions * sizeof(double) + concepts * sizeof(bool));
}

void ra_reconstruction_release(ra_reconstruction *sums) {
    ra_free(sums->origin);
    ra_free(sums->sum);
    ra_free(sums->square);
    ra_free(sums->used);
    *sums = (ra_reconstruction){0};
}
