/* ra_latent_statistics.h - how often each latent is active on some data, how strongly, and on which rows.
 *
 * ra_evaluation (ra_metrics.h) measures them, ra_model_save_with() writes them into an artifact as the
 * tensors `latents.*` (proto/artifact.md), and a model opened from that file returns them.
 *
 *     const ra_latent_statistics *statistics = ra_model_latent_statistics(model);
 *     ra_latent_example example;
 *     for (size_t t = 0; statistics && ra_latent_statistics_example(statistics, 7, t, &example); t++)
 *         printf("row %zu: %g\n", example.row, (double)example.value);
 *
 * A latent is active in a row if its code there is not zero. Histograms are linear: `bins` equal bins from 0
 * to histogram_top[k], the least power of two above the latent's largest value, so the counts do not depend
 * on the order of the data; values below 0 count in the first bin.
 *
 * Symbols: K latents, H bins, T examples kept for each latent. Thread safety: constant data.
 */
#ifndef RA_LATENT_STATISTICS_H
#define RA_LATENT_STATISTICS_H

#include "ra_io.h"

enum { RA_LATENT_BINS = 50, RA_LATENT_EXAMPLES_DEFAULT = 16 };

/* A view, owned by the model or the evaluation it comes from. */
typedef struct ra_latent_statistics {
    size_t rows;                /* of the data */
    size_t concepts;            /* K */
    size_t bins, examples;      /* H, T */
    const int64_t *count;       /* [K] rows in which the latent is active */
    const float *mean, *max;    /* [K] of its active values; 0: never active */
    const float *energy;        /* [K] ||E[z]_k D_k||, the mean over all rows */
    const float *histogram_top; /* [K] upper end of the last bin; 0: never active */
    const int64_t *histogram;   /* [K,H]; a row sums to count */
    const int64_t *top_row;     /* [K,T] rows of the largest values, largest first, with their numbers in the
                                 * files; -1 behind the last */
    const float *top_value;     /* [K,T] */
    const ra_labels *top_label; /* K * T lines; NULL: no labels */
} ra_latent_statistics;

typedef struct ra_latent_example {
    size_t row; /* its number in the files */
    float value;
    const char *label; /* of the row, or NULL; lives as long as the owner of the statistics */
} ra_latent_example;

/* *example <- the t-th of a latent < K, largest value first; false if it has fewer. */
bool ra_latent_statistics_example(const ra_latent_statistics *statistics, size_t latent, size_t t,
                                  ra_latent_example *example);

#endif
