/* Variances in two passes over the batch, about the means of the whole batch: sums of squares alone would lose
 * all digits where means are large compared with deviations. */
#include "train/fit.h"
#include "ra_memory.h"
#include "base/multiversion.h"

#include <math.h>

RA_MULTIVERSION static void add_row(double *restrict sum, const float *restrict x, size_t d) {
    for (size_t j = 0; j < d; j++) sum[j] += (double)x[j];
}

RA_MULTIVERSION static void add_squares(double *restrict sum, const float *restrict x,
                                        const double *restrict mean, size_t d) {
    for (size_t j = 0; j < d; j++) {
        double gap = (double)x[j] - mean[j];
        sum[j] += gap * gap;
    }
}

ra_fit ra_fit_of(ra_spread spread, double residual) {
    double all = spread.within + spread.between;
    return (ra_fit){.r2_per_dimension = spread.within > 0 ? 1 - residual / spread.within : NAN,
                    .r2 = all > 0 ? 1 - residual / all : NAN};
}

ra_status ra_spread_measure(const ra_group *group, const float *x, size_t rows, size_t d, size_t total_rows,
                            ra_spread *spread, ra_error *err) {
    double *mean = ra_calloc(2 * d, sizeof *mean);
    if (!mean) RA_FAIL_MEMORY(err, "the means of a batch", 2 * d * sizeof *mean);
    double *square = mean + d;
    double n = (double)total_rows, center = 0;
    ra_status status;
    for (size_t i = 0; i < rows; i++) add_row(mean, x + i * d, d);
    RA_TRY_OUT(status, ra_group_sum_f64(group, mean, d, err));
    for (size_t j = 0; j < d; j++) {
        mean[j] /= n;
        center += mean[j] / (double)d;
    }
    for (size_t i = 0; i < rows; i++) add_squares(square, x + i * d, mean, d);
    RA_TRY_OUT(status, ra_group_sum_f64(group, square, d, err));
    *spread = (ra_spread){0};
    for (size_t j = 0; j < d; j++) {
        spread->within += square[j];
        spread->between += n * (mean[j] - center) * (mean[j] - center);
    }
out:
    ra_free(mean);
    return status;
}
