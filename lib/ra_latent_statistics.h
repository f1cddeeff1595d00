/* ra_latent_statistics.h - how often each latent is active on some data, how strongly, and on which rows.
 *
 * ra_evaluation (ra_metrics.h) measures them, ra_model_save_with() writes them into an artifact as the
 * tensors `latents.*` (proto/artifact.md), and a model opened from that file returns them.
 *
 *     const ra_latent_statistics *statistics = ra_model_latent_statistics(model);
 *     ra_latent_example example;
 *     for (size_t t = 0; statistics && ra_latent_statistics_example(statistics, 7, t, &example); t++)
 *         printf("row %zu: %g\n", example.row, (double)example.value);
 *     ra_latent_partner partner;
 *     for (size_t t = 0; statistics && ra_latent_statistics_partner(statistics, RA_COFIRING_PMI, 7, t, &partner); t++)
 *         printf("latent %zu: in %zu rows, %.1f times as often as by chance\n", partner.latent, partner.count, partner.lift);
 *
 * A latent is active in a row if its code there is not zero. Histograms are linear: `bins` equal bins from 0
 * to histogram_top[k], the least power of two above the latent's largest value, so the counts do not depend
 * on the order of the data; values below 0 count in the first bin.
 *
 * Two latents are active together in a row if both codes are not zero there. How often they are by chance alone
 * depends on how often each is: an always active one is a partner of all. So there are three measures, each with
 * a list of its own: the count, the lift (or its logarithm, the pointwise mutual information, Church and Hanks
 * 1990), and the correlation of the codes. Lift and correlation are large for two latents that were active once,
 * in the same row, so pairs that are together in fewer than `least` rows are left out.
 *
 * The quantiles are those of the positive codes of a latent, in Q parts of the same number of rows; of each, S rows
 * are drawn.
 *
 * Symbols: K latents, H bins, T examples or partners kept for each latent, Q quantiles of S rows, I items of P rows, M items of known
 * tokens. Thread safety: constant data.
 */
#ifndef RA_LATENT_STATISTICS_H
#define RA_LATENT_STATISTICS_H

#include "ra_io.h"

enum { RA_LATENT_BINS = 50, RA_LATENT_EXAMPLES_DEFAULT = 16 };
enum { RA_COFIRING_LEAST_DEFAULT = 5, RA_LATENT_QUANTILE_ROWS_DEFAULT = 5 };
enum { RA_COFIRING_PARTNERS_MOST = 256, RA_LATENT_QUANTILES_MOST = 100, RA_LATENT_QUANTILE_ROWS_MOST = 64 };

/* What a list of partners is ordered by, the largest first, and what it leaves out. */
typedef enum ra_cofiring_measure {
    RA_COFIRING_COUNT,       /* rows in which both are active */
    RA_COFIRING_PMI,         /* the lift, of those that are together more often than by chance */
    RA_COFIRING_CORRELATION, /* of the codes (Pearson), of those where it is above 0 */
    RA_COFIRING_MEASURES
} ra_cofiring_measure;

/* "count", "pmi", "correlation". */
const char *ra_cofiring_measure_name(ra_cofiring_measure measure);

/* The latents that are active together with each latent. */
typedef struct ra_latent_cofiring {
    size_t partners;                            /* T; 0: there are no lists */
    size_t least;                               /* the fewest rows in which both are active */
    const int32_t *atom[RA_COFIRING_MEASURES];  /* [K,T]; -1 after the last */
    const int64_t *count[RA_COFIRING_MEASURES]; /* [K,T] rows in which both are active */
    const float
        *correlation[RA_COFIRING_MEASURES]; /* [K,T] of their codes over all rows; 0: one does not vary */
} ra_latent_cofiring;

/* Rows from all over the range of each latent. */
typedef struct ra_latent_quantiles {
    size_t count, rows; /* Q, S; 0: there are none */
    const float *bound; /* [K,Q+1] the smallest code of each quantile, ascending, then the largest of all */
    const int64_t *row; /* [K,Q,S] numbers in the files, the largest code first; -1 after the last */
    const float *value; /* [K,Q,S] */
    const ra_labels *label; /* K * Q * S lines; NULL: no labels */
} ra_latent_quantiles;

/* Items of several rows each: an image of patches, a text of tokens. */
typedef struct ra_latent_items {
    size_t rows;  /* of each item; 0: the rows are not parts of items, or the items differ in size */
    size_t width; /* of a grid, whose rows follow one another; 0: the rows of an item are a sequence */
    size_t skip;  /* rows in front of the grid or the sequence: class and register tokens */
} ra_latent_items;

/* "77" tokens, "16x16" patches line by line, "5+16x16" with five tokens in front of them; false if it is none of these. */
bool ra_latent_items_parse(const char *text, ra_latent_items *items);
enum { RA_LATENT_ITEMS_TEXT = 64 };
void ra_latent_items_text(const ra_latent_items *items, char text[RA_LATENT_ITEMS_TEXT]); /* rows > 0 */

/* The codes of whole items, those in which each latent is strongest. */
typedef struct ra_latent_item_codes {
    size_t count,
        parts; /* I, P: rows of an item, 1 where rows are not parts of items; I = 0: there are none */
    const int64_t *item;    /* [K,I] the one with the largest code first; -1 after the last */
    const float *codes;     /* [K,I,P] */
    const ra_labels *label; /* K * I lines, of the row with the largest code; NULL: no labels */
} ra_latent_item_codes;

/* What the tokens of texts say: of the items that a latent has codes of, all; of the other rows, theirs. Each is a number in the
 * list of the different ones, -1 where it is not known. */
typedef struct ra_latent_tokens {
    const ra_labels *words;  /* the different tokens; NULL: there are none, and all below is 0 */
    size_t items, parts;     /* M, P */
    const int64_t *item;     /* [M] ascending */
    const int32_t *word;     /* [M,P] */
    const int32_t *top;      /* [K,T] of the rows in top_row */
    const int32_t *quantile; /* [K,Q*S] of those in quantiles.row; NULL without them */
} ra_latent_tokens;

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
    ra_latent_cofiring cofiring;
    ra_latent_quantiles quantiles;
    ra_latent_items items;
    ra_latent_item_codes item_codes;
    ra_latent_tokens tokens;
} ra_latent_statistics;

typedef struct ra_latent_example {
    size_t row; /* its number in the files */
    size_t item,
        position; /* the item that it is a part of, and which of its rows, from 0; without items the row and 0 */
    float value;
    const char *label; /* of the row, or NULL; lives as long as the owner of the statistics */
    const char *token; /* likewise */
} ra_latent_example;

/* *example <- the t-th of a latent < K, largest value first; false if it has fewer. */
bool ra_latent_statistics_example(const ra_latent_statistics *statistics, size_t latent, size_t t,
                                  ra_latent_example *example);

/* The same of quantile q < Q, of which 0 has the smallest codes. */
bool ra_latent_statistics_quantile_example(const ra_latent_statistics *statistics, size_t latent, size_t q,
                                           size_t t, ra_latent_example *example);

typedef struct ra_latent_item {
    size_t item, position; /* which, and which of its rows has the largest code */
    float value;           /* that code */
    const float *codes;    /* [P] of all its rows */
    const char *label;     /* of that row, or NULL */
    const int32_t *words;  /* [P] the tokens of its rows, for ra_latent_tokens_word(); NULL: unknown */
} ra_latent_item;

/* *item <- the t-th of a latent < K, the one with the largest code first; false if it has fewer. */
bool ra_latent_statistics_item(const ra_latent_statistics *statistics, size_t latent, size_t t,
                               ra_latent_item *item);

/* NULL for a number that is not in the list. */
const char *ra_latent_tokens_word(const ra_latent_tokens *tokens, int32_t word);

/* The numbers [P] of the tokens of an item; NULL if they are not known. */
const int32_t *ra_latent_tokens_item(const ra_latent_tokens *tokens, size_t item);

/* A latent that is often active together with another. */
typedef struct ra_latent_partner {
    size_t latent, count; /* rows in which both are active */
    double lift;          /* count divided by what it would be if the two were independent */
    double pmi;           /* ln(lift) */
    float correlation;
} ra_latent_partner;

/* *partner <- the t-th of a latent < K in the list of a measure, strongest first; false if there are fewer. */
bool ra_latent_statistics_partner(const ra_latent_statistics *statistics, ra_cofiring_measure measure,
                                  size_t latent, size_t t, ra_latent_partner *partner);

#endif
