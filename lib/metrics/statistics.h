/* statistics.h - running statistics of each latent: counts, sums, histograms, the rows of largest value.
 *
 * Add rows in their order: of equal values the earlier row comes first. Nothing else depends on the order,
 * and nothing depends on how the rows are divided into calls.
 */
#ifndef RA_METRICS_STATISTICS_H
#define RA_METRICS_STATISTICS_H

#include "ra_latent_statistics.h"

typedef struct ra_latent_sums {
    size_t rows, latents, examples; /* the rows so far; K, T */
    int64_t *count;                 /* [K] */
    double *sum, *square;           /* [K] of values, of their squares */
    float *max;                     /* [K] */
    float *histogram_top;           /* [K] */
    int64_t *histogram;             /* [K,RA_LATENT_BINS] */
    int64_t *top_row;               /* [K,T] */
    float *top_value;               /* [K,T] */
    /* of ra_latent_sums_view() */
    float *mean, *energy; /* [K] */
    int64_t *number;      /* [K,T] top_row, with the numbers that ra_latent_rows.number gives */
    ra_labels *labels;
} ra_latent_sums;

ra_status ra_latent_sums_init(ra_latent_sums *sums, size_t latents, size_t examples, ra_error *err);
void ra_latent_sums_release(ra_latent_sums *sums); /* leaves {0} */

void ra_latent_sums_add(ra_latent_sums *sums, const ra_codes *codes);

/* The numbers and labels of rows. */
typedef struct ra_latent_rows {
    uint64_t (*number)(const void *context, uint64_t row); /* NULL: number = row */
    const void *context;
    const ra_labels *labels; /* by number; NULL: none */
} ra_latent_rows;

/* *labels <- one line per row: the label of each, by its number, or none where that is -1. */
ra_status ra_latent_label_rows(const int64_t *number, size_t count, const ra_labels *row_labels,
                               ra_labels **labels, ra_error *err);

/* *view <- the statistics of the rows so far; they live in `sums` until the next call. norm [K]: of the
 * atoms. */
ra_status ra_latent_sums_view(ra_latent_sums *sums, const double *norm, const ra_latent_rows *rows,
                              ra_latent_statistics *view, ra_error *err);

#endif
