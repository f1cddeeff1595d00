/* latents.h - the running statistics of each latent: counts, sums, histograms, rows of largest value.
 *
 * Rows have to come in their order: of equal values the earlier row stays in front. Everything else does not
 * depend on the order, and nothing depends on how rows are cut into calls.
 */
#ifndef RA_METRICS_LATENTS_H
#define RA_METRICS_LATENTS_H

#include "ra_latent_statistics.h"

typedef struct ra_latent_sums {
    size_t rows, latents, examples; /* so far; K, T */
    int64_t *count;                 /* [K] */
    double *sum, *square;           /* [K] of values, of their squares */
    float *max;                     /* [K] */
    float *histogram_top;           /* [K] */
    int64_t *histogram;             /* [K,RA_LATENT_BINS] */
    int64_t *top_row;               /* [K,T] */
    float *top_value;               /* [K,T] */
    /* of ra_latent_sums_view() */
    float *mean, *energy; /* [K] */
    int64_t *number;      /* [K,T] top_row as rows are numbered elsewhere */
    ra_labels *labels;
} ra_latent_sums;

ra_status ra_latent_sums_init(ra_latent_sums *sums, size_t latents, size_t examples, ra_error *err);
void ra_latent_sums_release(ra_latent_sums *sums); /* leaves {0} */

void ra_latent_sums_add(ra_latent_sums *sums, const ra_codes *codes);

/* What is known of rows. */
typedef struct ra_latent_rows {
    uint64_t (*number)(const void *context, uint64_t row); /* NULL: the same */
    const void *context;
    const ra_labels *labels; /* by number; NULL: none */
} ra_latent_rows;

/* *view <- the statistics of the rows so far, in memory of `sums` until the next call. norm [K]: of the
 * atoms. */
ra_status ra_latent_sums_view(ra_latent_sums *sums, const double *norm, const ra_latent_rows *rows,
                              ra_latent_statistics *view, ra_error *err);

#endif
