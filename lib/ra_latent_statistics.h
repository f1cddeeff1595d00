/* ra_latent_statistics.h - what is known of each latent from data it was measured on: how often it is active, how
 * strongly, on which rows.
 *
 * ra_evaluation (ra_metrics.h) measures it, ra_model_save_with() writes it into an artifact as the tensors
 * `latents.*` (proto/artifact.md), and a model opened from that file hands it out again.
 *
 *     const ra_latent_statistics *latents = ra_model_latent_statistics(model);
 *     ra_latent_example example;
 *     for (size_t t = 0; latents && ra_latent_statistics_example(latents, 7, t, &example); t++) ...
 *
 * A latent is active in a row when its code there is not zero. Histograms are linear: `bins` equal bins from
 * 0 to histogram_top[k], which is the least power of two above the latent's largest value, so that the counts
 * are exact whatever the order of the data; what is below 0 counts in the first bin.
 *
 * Symbols: K latents, H bins, T examples kept a latent. Thread safety: plain, immutable data.
 */
#ifndef RA_LATENT_STATISTICS_H
#define RA_LATENT_STATISTICS_H

#include "ra_io.h"

enum { RA_LATENT_BINS = 50, RA_LATENT_EXAMPLES_DEFAULT = 16 };

/* A view; owned by the model or the evaluation it comes from. */
typedef struct ra_latent_statistics {
    size_t rows;                /* of data it was measured on */
    size_t concepts;            /* K */
    size_t bins, examples;      /* H, T */
    const int64_t *count;       /* [K] rows in which it is active */
    const float *mean, *max;    /* [K] of its active values; 0 when it never is */
    const float *energy;        /* [K] ||E[z]_k D_k||, the mean over all rows */
    const float *histogram_top; /* [K] upper end of the last bin; 0 when it never is active */
    const int64_t *histogram;   /* [K,H] sums to count */
    const int64_t *top_row;     /* [K,T] rows of its largest values, as they number in the data's files,
                                 * largest first; -1 behind the last */
    const float *top_value;     /* [K,T] */
    const ra_labels *top_label; /* K * T lines; NULL without labels */
} ra_latent_statistics;

typedef struct ra_latent_example {
    size_t row; /* of the data */
    float value;
    const char *label; /* of the row, NULL without one; lives as long as what the latents belong to */
} ra_latent_example;

/* *example <- the t-th of latent < K, largest value first; false when it has no more. */
bool ra_latent_statistics_example(const ra_latent_statistics *latents, size_t latent, size_t t,
                                  ra_latent_example *example);

#endif
