/* coverage.h - ood: how far the atoms point away from all data (REFERENCE section 3, "OOD"). */
#ifndef RA_METRICS_COVERAGE_H
#define RA_METRICS_COVERAGE_H

#include "ra_backend.h"

typedef struct ra_coverage {
    ra_backend *backend; /* not owned */
    size_t atoms, dimensions;
    float *unit;  /* [K,d] atoms of length one */
    float *rows;  /* [RA_TILE,d] data rows of length one */
    float *score; /* [RA_TILE,RA_TILE] */
    float *best;  /* [K] largest cosine so far */
} ra_coverage;

/* D [K,d] in F32, F16 or BF16. On failure nothing is left behind. */
ra_status ra_coverage_init(ra_coverage *coverage, ra_backend *backend, const ra_tensor *D, ra_error *err);
void ra_coverage_release(ra_coverage *coverage); /* leaves {0} */

/* x [rows,d] */
ra_status ra_coverage_add(ra_coverage *coverage, const float *x, size_t rows, ra_error *err);

/* 1 - mean over atoms of the largest cosine with a row; after at least one row. */
double ra_coverage_ood(const ra_coverage *coverage);

#endif
