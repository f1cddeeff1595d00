/* sample.h - as many rows of data and reconstructions as memory is given for: all of them while they fit,
 * else a uniform sample (Vitter's algorithm R, seeded: the same rows in the same order give
 * the same sample). */
#ifndef RA_METRICS_SAMPLE_H
#define RA_METRICS_SAMPLE_H

#include "ra_status.h"
#include "base/random.h"

typedef struct ra_sample {
    size_t d, most;   /* rows that may be kept, at least 1 */
    size_t rows;      /* that came by */
    size_t kept;      /* = min(rows, most) */
    size_t capacity;  /* rows that x and x_hat have room for */
    float *x, *x_hat; /* [kept,d] */
    ra_random random;
} ra_sample;

void ra_sample_init(ra_sample *sample, size_t d, size_t bytes);
void ra_sample_release(ra_sample *sample); /* leaves {0} */

/* x, x_hat [rows,d] */
ra_status ra_sample_add(ra_sample *sample, const float *x, const float *x_hat, size_t rows, ra_error *err);

#endif
