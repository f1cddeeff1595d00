/* coverage.h - the largest cosine of each atom with a row of data, for the metric ood.
 *
 * Thread safety: one thread at a time; inside, it uses the threads of its backend.
 */
#ifndef RA_METRICS_COVERAGE_H
#define RA_METRICS_COVERAGE_H

#include "ra_backend.h"
#include "tensor/coarse.h"

typedef struct ra_coverage {
    ra_backend *backend; /* not owned */
    size_t atoms, dimensions;
    float *unit;  /* [K,d] unit atoms */
    float *rows;  /* [RA_TILE,d] unit rows of the data */
    float *score; /* [RA_TILE,RA_TILE] */
    float *best;  /* [K] the largest cosine so far */
    bool coarse;  /* most cosines are ruled out in 8 bits */
    ra_coarse coarse_atoms, coarse_rows;
    size_t *found; /* [panels of atoms] cosines that were not, with the last coarse_count rows */
    size_t coarse_count;
} ra_coverage;

/* D [K,d] in F32, F16 or BF16. */
ra_status ra_coverage_init(ra_coverage *coverage, ra_backend *backend, const ra_tensor *D, ra_error *err);
void ra_coverage_release(ra_coverage *coverage); /* leaves {0} */

/* x [rows,d] */
ra_status ra_coverage_add(ra_coverage *coverage, const float *x, size_t rows, ra_error *err);

/* 1 - the mean over atoms of the largest cosine; needs at least one row. */
double ra_coverage_ood(const ra_coverage *coverage);

#endif
