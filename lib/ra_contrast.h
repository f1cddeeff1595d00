/* ra_contrast.h - what a dictionary does on one set of data against another: for each latent the difference of its energy
 * and of its frequency, with an interval.
 *
 * ra_contrasting (ra_metrics.h) measures one, ra_model_save_with() writes it into an artifact under a name
 * (proto/artifact.md), and a model opened from that file returns it.
 *
 *     ra_contrast_latent latent;
 *     for (size_t i = 0; i < ra_model_contrast_count(model); i++) {
 *         const ra_contrast *contrast = ra_model_contrast(model, i);
 *         latent = ra_contrast_of(contrast, 7);
 *         printf("%s: %g in %s, %g in %s\n", contrast->name, latent.energy.a, contrast->a, latent.energy.b, contrast->b);
 *     }
 *
 * The energy of a latent is the mean of |code| over all rows times the norm of its atom: the mean length of what it
 * contributes. Where codes are not negative that is latents.energy. The differences are those of sae-diff (Fel 2025):
 * energy in A minus energy in B.
 *
 * Intervals. Rows that are parts of one item (tokens of a text, patches of an image) are not independent, so the units
 * are the items; without items, the rows. The share of units in which a latent is active has Wilson's interval (1927), the
 * mean over these one on the scale of logarithms, and the energy, their product, both combined (Zou, Taleban and Huo
 * 2009); the frequency has Wilson's, for as many rows as would have its variance over units (Korn and Graubard
 * 1998). The interval of a difference combines those of its sides (MOVER: Newcombe 1998; Zou and Donner 2008), so it keeps
 * its level where a latent is active on one side only, which that of Welch does not. Below RA_CONTRAST_LEAST active units on
 * both sides together there is none.
 *
 * Many intervals: of K intervals of 95 % each, K / 20 miss by chance, and those that look largest do so most. By default
 * all intervals of a contrast hold at once with the confidence given (Bonferroni's correction: each has 1 - (1 - confidence) /
 * intervals).
 *
 * Symbols: K latents. Thread safety: constant data.
 */
#ifndef RA_CONTRAST_H
#define RA_CONTRAST_H

#include "ra_io.h"

enum { RA_CONTRAST_LEAST = 10, RA_CONTRAST_NAME = 64, RA_CONTRASTS_MOST = 32 };

/* Columns of the tables below: on A, on B, A - B, and the interval of that. */
enum {
    RA_CONTRAST_A,
    RA_CONTRAST_B,
    RA_CONTRAST_DIFFERENCE,
    RA_CONTRAST_LOW,
    RA_CONTRAST_HIGH,
    RA_CONTRAST_COLUMNS
};

/* A view, owned by the model or the ra_contrasting it comes from. */
typedef struct ra_contrast {
    char name[RA_CONTRAST_NAME + 1]; /* of letters, digits, `-` and `_` */
    const char *a, *b;               /* what the sets are called */
    size_t concepts;                 /* K */
    size_t rows[2], units[2];        /* of A and B; units: items, or rows without items */
    double confidence;               /* with which so many intervals hold at once */
    size_t intervals;
    const int64_t *count; /* [K,2] rows in which the latent is active */
    const float
        *energy; /* [K,RA_CONTRAST_COLUMNS]; an interval that is not known reaches from -FLT_MAX to FLT_MAX */
    const float *frequency; /* [K,RA_CONTRAST_COLUMNS]; an interval that is not known reaches from -1 to 1 */
} ra_contrast;

typedef struct ra_contrast_figures {
    float a, b, difference;
    float low, high; /* of the difference; NaN: not known */
} ra_contrast_figures;

typedef struct ra_contrast_latent {
    size_t count[2];
    ra_contrast_figures energy, frequency;
    float relative; /* difference / (a + b) of the energy, -1 to 1; 0 where both are 0 */
} ra_contrast_latent;

ra_contrast_latent ra_contrast_of(const ra_contrast *contrast, size_t latent); /* < K */

/* Whether a text may be the name of a contrast: 1 to RA_CONTRAST_NAME letters, digits, `-` and `_`. */
bool ra_contrast_is_name(const char *text);

#endif
