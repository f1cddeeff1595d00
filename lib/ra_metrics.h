/* ra_metrics.h - how good a model is, and how similar two dictionaries are.
 *
 * Definitions are those of overcomplete 0.3.0 (metrics.py). Where its formula differs from what the name
 * says, there are two metrics: overcomplete's and the one that the name suggests. overcomplete adds 1e-6 to
 * denominators; these metrics do not, so that ratios have one value for every scale of the data from 1e-18 to
 * 1e18, and agree with overcomplete's to 1e-6 for data of its own scale. Sums run in float64.
 *
 *     ra_evaluation *evaluation = NULL;
 *     ra_evaluation_result result;
 *     bool again;
 *     RA_TRY(ra_evaluation_new(model, NULL, &evaluation, err));
 *     do {
 *         RA_TRY(ra_evaluation_add(evaluation, x, rows, err)); // all rows
 *         RA_TRY(ra_evaluation_next_pass(evaluation, &again, err));
 *     } while (again);
 *     RA_TRY(ra_evaluation_finish(evaluation, &result, err));
 *     ra_evaluation_free(evaluation);
 *
 * Symbols: K concepts (atoms), d dimensions, B rows. Matrices are host memory; functions that take a backend
 * need a CPU backend (otherwise RA_ERR_UNSUPPORTED) and give the same result for any number of its threads.
 * Thread safety: an evaluation belongs to one thread; the other functions may run on any.
 */
#ifndef RA_METRICS_H
#define RA_METRICS_H

#include "ra_contrast.h"
#include "ra_model.h"

/* ---- a model on data, streaming ----------------------------------------------------------------------- */

typedef struct ra_evaluation ra_evaluation;

enum { RA_EVALUATION_SKIPS = 40, RA_EVALUATION_REASON = 192 };
#define RA_EVALUATION_MEMORY ((size_t)1 << 30)

typedef struct ra_evaluation_options {
    size_t memory; /* bytes for everything that grows with K^2, d^2 or the rows: 3/8 for products of latents,
                      * 3/16 each for their interference and for the codes of classes, 1/8 each for the sample
                      * of rows and for the covariances; 0: RA_EVALUATION_MEMORY */
    size_t examples; /* T, rows of largest value kept for each latent; 0: RA_LATENT_EXAMPLES_DEFAULT */
    size_t partners; /* T, latents active together with each, kept by each measure; 0: none are looked for */
    size_t partners_least; /* the fewest rows in which they are; 0: RA_COFIRING_LEAST_DEFAULT */
    size_t quantiles;      /* Q, of the positive codes of each latent; 0: none */
    size_t quantile_rows;  /* S, rows drawn of each; 0: RA_LATENT_QUANTILE_ROWS_DEFAULT */
    /* Bytes of memory for the codes of all rows, 16 for each, where partners, quantiles or bands of Z^T Z need them. If
     * they are more, a file without a name in this folder keeps them, 8 bytes for each; without a folder, further
     * passes encode the data again. 0: as many as `memory` */
    size_t codes_memory;
    const char *codes_folder; /* not owned; NULL: none */
    ra_latent_items items;    /* that the rows are parts of, for the statistics */
    size_t item_codes;        /* I, items whose codes are kept for each latent; 0: none */
    bool basic;               /* leave out metrics that need K^2 or d^2 numbers or a sample of rows */
    const float *directions;  /* [C,d] of classifiers, for plausibility; not owned; NULL: none */
    size_t direction_count;
    const int32_t *row_class; /* [class_rows] the class of each row, below class_count, for identifiability;
                               * not owned; NULL: none */
    size_t class_rows, class_count;
    /* the number of a row by which examples and labels refer to it; NULL: its index among the rows added */
    uint64_t (*row_number)(const void *context, uint64_t row);
    const void *row_context;
} ra_evaluation_options;

/* A metric that was not computed is NaN, and `skips` says why; so is one that is not a finite number, because the
 * numbers are too large or nothing varies. */
typedef struct ra_evaluation_result {
    size_t rows;
    double mse;              /* mean over rows and dimensions of (x - x_hat)^2 */
    double r2_per_dimension; /* 1 - mse / variance about each dimension's own mean; NaN for constant data */
    double r2;          /* the same about one mean of all numbers: overcomplete's. It counts what the means
                              * of the dimensions alone explain, and so flatters where they are large */
    double l0;          /* mean active latents per row */
    double l0_share;    /* l0 / K: overcomplete's l0 */
    double dead_ratio;  /* share of latents never active */
    double hoyer;       /* mean over rows */
    double kappa_4;     /* mean over rows */
    double l1_l2_ratio; /* mean over rows of l1 / l2 */
    double codes_l1, codes_l2;       /* mean over rows of ||z|| */
    double codes_lp;                 /* the same with p = 1/2: (sum |z|^(1/2))^2 */
    double average_l1, average_l2;   /* mean over rows of ||x - x_hat|| */
    double relative_l1, relative_l2; /* the same over ||x||, of the rows that are not all zeros */
    double wasserstein_1d;           /* between data and reconstructions, of wasserstein_rows rows */
    double wasserstein_rows;         /* all rows, or a uniform sample as large as memory allows */
    double frechet_distance;         /* between data and reconstructions */
    /* of pairs of latents */
    double connectivity;                    /* 1 - ||Z^T Z||_0 / K^2 */
    double negative_interference;           /* ||relu(-(Z^T Z) * (D D^T))||_2, the largest singular value */
    double negative_interference_frobenius; /* the same with the Frobenius norm */
    double max_correlation;                 /* largest |correlation| of two latents */
    /* of the dictionary */
    double collinearity;   /* largest |cosine| between two atoms, by overcomplete's name for it */
    double coherence;      /* the same, by the paper's */
    double stable_rank;    /* ||D||_F^2 / ||D||_2^2 */
    double effective_rank; /* exp of the entropy of the singular values over their sum */
    double ood;    /* out of distribution: 1 - mean over atoms of the largest cosine with a data row */
    double energy; /* sum over latents of ||E[z]_k D_k|| */
    /* with directions, with classes */
    double plausibility;    /* mean over directions of the largest cosine with an atom */
    double identifiability; /* mean over classes of the best detector's accuracy */
    struct {
        const char *metric; /* its name above */
        char reason[RA_EVALUATION_REASON];
    } skips[RA_EVALUATION_SKIPS];
    size_t skip_count;
} ra_evaluation_result;

/* Retains the model. options may be NULL. RA_ERR_STATE if the model has no encoder; RA_ERR_ARGUMENT for a
 * class that is not below class_count. */
ra_status ra_evaluation_new(ra_model *model, const ra_evaluation_options *options, ra_evaluation **evaluation,
                            ra_error *err);
void ra_evaluation_free(ra_evaluation *evaluation); /* NULL is fine */

/* Adds rows x [rows,d] in input space, in any number of calls. With a standardization, all metrics are those
 * of the standardized rows and their reconstructions, as training sees them. RA_ERR_SHAPE for more rows than
 * class_rows. After a failure the evaluation can only be freed. */
ra_status ra_evaluation_add(ra_evaluation *evaluation, const float *x, size_t rows, ra_error *err);

/* Call this after all rows have been added. *again <- true if memory cannot hold all products of latents:
 * then add the same rows again, in the same order. */
ra_status ra_evaluation_next_pass(ra_evaluation *evaluation, bool *again, ra_error *err);

/* The metrics of the rows so far; unless there was a second pass, more may be added afterwards. RA_ERR_STATE
 * without rows, or if a pass or rows of a pass are missing. */
ra_status ra_evaluation_finish(ra_evaluation *evaluation, ra_evaluation_result *result, ra_error *err);

/* Statistics of the latents on the rows so far, for ra_model_save_with(); they live until the next call.
 * row_labels (may be NULL): line i belongs to the row with number i. RA_ERR_SHAPE for fewer lines than rows
 * (without row_number). */
ra_status ra_evaluation_statistics(ra_evaluation *evaluation, const ra_labels *row_labels,
                                   ra_latent_statistics *statistics, ra_error *err);

/* The tokens of the rows and the items in statistics, of items that are texts. RA_ERR_SHAPE if the lines are those of other items;
 * RA_ERR_TOO_LARGE for more than RA_KEPT_TOKENS_MOST bytes of different tokens. statistics->tokens is a view of what is kept,
 * as long as it lives. */
enum { RA_KEPT_TOKENS_MOST = 256 << 20 };
typedef struct ra_kept_tokens ra_kept_tokens;
ra_status ra_kept_tokens_new(ra_latent_statistics *statistics, ra_token_lines *lines, ra_kept_tokens **kept,
                             ra_error *err);
void ra_kept_tokens_free(ra_kept_tokens *kept); /* NULL is fine */

/* The best single latent for a class: rows with z_latent > threshold are assigned to the class. */
typedef struct ra_class_detector {
    double accuracy;
    size_t latent;
    float threshold; /* infinity: no row is assigned; -infinity: every row is; latent is then meaningless */
} ra_class_detector;

/* detectors [class_count] <- of the rows so far. RA_ERR_STATE without classes or rows, or if their codes
 * needed more memory than the options allow. */
ra_status ra_evaluation_classes(ra_evaluation *evaluation, ra_class_detector *detectors, ra_error *err);

/* ---- codes -------------------------------------------------------------------------------------------- */

/* For each row z of codes [B,K]: */
void ra_metric_l1_l2_ratio(const ra_codes *codes,
                           double *values /* [B] */); /* l1 / l2; 0 for a row of zeros */

/* (sqrt(K) - l1 / l2) / (sqrt(K) - 1): 1 for one active latent, 0 if all are equal. A row of zeros
 * gives sqrt(K) / (sqrt(K) - 1), as in overcomplete. K = 1, where the formula is undefined, gives 1. */
void ra_metric_hoyer(const ra_codes *codes, double *values /* [B] */);

/* sum z^4 / (sum z^2)^2; 0 for a row of zeros */
void ra_metric_kappa_4(const ra_codes *codes, double *values /* [B] */);

/* ||E[z]_k D_k|| for each latent; D [K,d]. */
void ra_metric_energy(const ra_codes *codes, const float *D, size_t d, double *values /* [K] */);

/* The largest |correlation| of two latents; 0 for one latent. 2 to 2^32 - 1 rows. */
ra_status ra_metric_max_correlation(const ra_codes *codes, double *value, ra_error *err);

/* ---- dictionaries ------------------------------------------------------------------------------------- */

/* The largest |cosine| of two rows of D [K,d]; 0 for one row. */
ra_status ra_metric_collinearity(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                 ra_error *err);

/* The same. */
ra_status ra_metric_coherence(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                              ra_error *err);

/* exp(-sum p log p), p being the singular values of D [K,d] over their sum; 0 for a matrix of zeros. Needs
 * memory for min(K,d)^2 float64 numbers. */
ra_status ra_metric_effective_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                   ra_error *err);

/* Mean over directions [count,d] of the largest cosine with an atom of D [K,d]. count >= 1. */
ra_status ra_metric_plausibility(ra_backend *backend, const float *D, size_t K, size_t d,
                                 const float *directions, size_t count, double *value, ra_error *err);

/* ||D||_F^2 / ||D||_2^2 of D [K,d], to 1e-6; 0 for a matrix of zeros. */
ra_status ra_metric_stable_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                ra_error *err);

/* values [min(K,d)] <- the singular values of D [K,d], largest first, with an error of 1e-8 of the largest.
 * Needs memory for min(K,d)^2 numbers and time for K d min(K,d) products. */
ra_status ra_metric_singular_values(ra_backend *backend, const float *D, size_t K, size_t d, double *values,
                                    ra_error *err);

/* ---- two samples of the same shape -------------------------------------------------------------------- */

/* Mean absolute difference of X and Y [rows,d], the columns of each sorted. */
ra_status ra_metric_wasserstein_1d(ra_backend *backend, const float *X, const float *Y, size_t rows, size_t d,
                                   double *value, ra_error *err);

/* ||mean_X - mean_Y||^2 + tr(S_X + S_Y) - 2 tr((S_X S_Y)^(1/2)), S being the covariances (divided by rows -
 * 1). At least two rows. */
ra_status ra_metric_frechet_distance(ra_backend *backend, const float *X, const float *Y, size_t rows,
                                     size_t d, double *value, ra_error *err);

/* ---- two dictionaries --------------------------------------------------------------------------------- */

/* match[i] <- the column assigned to row i so that the total cost [n,n] is least (Jonker and Volgenant 1987).
 * Exact up to the rounding of float64 sums. RA_ERR_NOT_FINITE for a NaN or an infinity in cost. */
ra_status ra_assignment(const float *cost, size_t n, int32_t *match, double *total, ra_error *err);

typedef struct ra_comparison {
    size_t concepts;
    /* n: the atoms that are not zero, in the dictionary that has more of them; NaN if all are */
    double
        stability_with_flips; /* PW-MCC: (1/n) max over signed permutations P of tr(A^T P B), with unit atoms */
    double stability_without_flips; /* the same where signs count; without zero atoms overcomplete's, which is
                                   * 1 - cosine_hungarian_loss / K */
    double stability_centered;    /* the same of atoms minus the mean atom of their dictionary; NaN if no atom
                                   * differs from it */
    double cosine_hungarian_loss; /* overcomplete's: sum of cosine distances */
    double share_over_90,
        share_over_70;     /* of the atoms of A: with a match of a cosine of at least .9, .7, no flips */
    double hungarian_loss; /* overcomplete's: sum of Euclidean distances */
    int32_t *match;        /* [K] of stability_without_flips: atom i of A is matched to match[i] of B */
    float *match_cosine;   /* [K] */
} ra_comparison;

typedef struct ra_compare_options {
    /* Called now and then, `done` of `total` matches; false stops with RA_ERR_CANCELED. May be NULL. */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
} ra_compare_options;

/* A, B [K,d] are finite. Zero atoms have cosine 0 with all others. A dictionary compared with itself has
 * stabilities of exactly 1, and the identity as its match. Each figure is the sum of the exact values
 * of its own best assignment. Needs memory for K^2 numbers. options may be NULL. *comparison is overwritten. */
ra_status ra_compare(ra_backend *backend, const float *A, const float *B, size_t K, size_t d,
                     const ra_compare_options *options, ra_comparison *comparison, ra_error *err);
void ra_comparison_release(ra_comparison *comparison); /* leaves {0} */

/* *stability <- the stability without flips of two sets of K random directions in d dimensions, always the same ones: the
 * floor of the figure. K and d as for ra_compare(). */
ra_status ra_compare_directions(ra_backend *backend, size_t K, size_t d, double *stability, ra_error *err);

/* What two models have in common of the candidate points that atoms are mixtures of. */
typedef struct ra_shared_points {
    bool known;    /* both files hold their points, of as many dimensions */
    size_t equal;  /* the same in both, by position */
    size_t common; /* the same in both, wherever they stand */
    size_t of;     /* the number of points of the model that has fewer */
} ra_shared_points;

/* Needs memory for all points of both. */
ra_status ra_count_shared_points(const ra_model *a, const ra_model *b, ra_shared_points *points,
                                 ra_error *err);

/* On how many rows matched latents are active together: of the rows on which one of two latents is active, the share on
 * which both are; the mean over the pairs of which one is active at all. Owns its arrays; {0} is a valid, empty value. */
typedef struct ra_code_overlap {
    size_t latents;       /* K */
    const int32_t *match; /* [K] as in ra_comparison; not owned */
    uint64_t rows;
    uint64_t *first, *second, *both; /* [K] rows; `second` by the latents of the second model */
    uint64_t *seen;                  /* [K] */
} ra_code_overlap;

ra_status ra_code_overlap_init(ra_code_overlap *overlap, size_t latents, const int32_t *match, ra_error *err);
void ra_code_overlap_release(ra_code_overlap *overlap); /* leaves {0} */

/* a, b: the codes of the same rows by the two models, each of K latents. */
void ra_code_overlap_add(ra_code_overlap *overlap, const ra_codes *a, const ra_codes *b);
double ra_code_overlap_value(const ra_code_overlap *overlap); /* NaN: no latent is ever active */

/* ---- two sets of data against each other (ra_contrast.h) ------------------------------------------------ */

typedef struct ra_contrasting ra_contrasting;

#define RA_CONTRAST_CONFIDENCE 0.95

typedef struct ra_contrasting_set {
    const char *name; /* what it is called; not owned */
    size_t item_rows; /* rows of each item, which then are the units; 0: the rows are */
    /* the number of a row, which tells its item; NULL: its index among the rows of the set that were added */
    uint64_t (*row_number)(const void *context, uint64_t row);
    const void *row_context;
} ra_contrasting_set;

typedef struct ra_contrasting_options {
    const char *name;           /* of the contrast */
    ra_contrasting_set sets[2]; /* A and B */
    double confidence;          /* 0: RA_CONTRAST_CONFIDENCE */
    bool each;                  /* of each interval by itself, not of all at once */
} ra_contrasting_options;

/* RA_ERR_STATE for a model without an encoder, RA_ERR_ARGUMENT for a name or a confidence that is not possible. */
ra_status ra_contrasting_new(ra_model *model, const ra_contrasting_options *options,
                             ra_contrasting **contrasting, ra_error *err);
void ra_contrasting_free(ra_contrasting *contrasting); /* NULL is fine */

/* Rows x [rows,d] of set 0 (A) or 1 (B), in their order. */
ra_status ra_contrasting_add(ra_contrasting *contrasting, int set, const float *x, size_t rows,
                             ra_error *err);

/* *contrast lives as long as the contrasting. RA_ERR_STATE if a set has no rows. */
ra_status ra_contrasting_finish(ra_contrasting *contrasting, const ra_contrast **contrast, ra_error *err);

#endif
