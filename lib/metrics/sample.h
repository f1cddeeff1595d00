/* sample.h - rows of data and their reconstructions: all rows if memory allows, otherwise a uniform sample of
 * them (Vitter's algorithm R; the same rows in the same order give the same sample).
 *
 * Thread safety: one thread at a time.
 */
#ifndef RA_METRICS_SAMPLE_H
#define RA_METRICS_SAMPLE_H

#include "ra_status.h"
#include "base/random.h"

typedef struct ra_sample {
    size_t d, most;   /* most: rows to keep, at least 1 */
    size_t rows;      /* added so far */
    size_t kept;      /* min(rows, most) */
    size_t capacity;  /* of x and x_hat, in rows */
    float *x, *x_hat; /* [kept,d] */
    ra_random random;
} ra_sample;

void ra_sample_init(ra_sample *sample, size_t d, size_t bytes);
void ra_sample_release(ra_sample *sample); /* leaves {0} */

/* x, x_hat [rows,d] */
ra_status ra_sample_add(ra_sample *sample, const float *x, const float *x_hat, size_t rows, ra_error *err);

#endif
