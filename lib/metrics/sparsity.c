#include "metrics/sparsity.h"
#include "ra_metrics.h"

#include <math.h>

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

/* ---- of all rows -------------------------------------------------------------------------------------- */

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
