/* ra_metrics.h - how good a model is, and how alike two dictionaries are.
 *
 * Definitions are those of REFERENCE section 3 (overcomplete 0.3.0, metrics.py); where the reference's
 * formula is not what its name says, both are given under names of their own. The reference guards its
 * quotients with 1e-6; so do we, where it is written out below. Sums run in float64.
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
 * need a CPU one (else RA_ERR_UNSUPPORTED) and give the same result for any number of its threads.
 * Thread safety: an evaluation belongs to one thread; functions of matrices may run anywhere.
 */
#ifndef RA_METRICS_H
#define RA_METRICS_H

#include "ra_model.h"

/* ---- a model on data, streaming ----------------------------------------------------------------------- */

typedef struct ra_evaluation ra_evaluation;

enum { RA_EVALUATION_SKIPS = 8, RA_EVALUATION_REASON = 192 };
#define RA_EVALUATION_MEMORY ((size_t)1 << 30)

typedef struct ra_evaluation_options {
    size_t memory;   /* bytes that what grows with K^2, d^2 and the rows may take in all, of which products of
                      * latents get 3/8, their interference and the codes of classes 3/16 each, the sample of
                      * rows and the covariances 1/8 each; 0: RA_EVALUATION_MEMORY */
    size_t examples; /* T rows of largest value kept a latent; 0: RA_LATENT_EXAMPLES_DEFAULT */
    bool basic;      /* leaves out what needs K^2 or d^2 numbers or a sample of rows */
    const float *directions; /* [C,d] of classifiers, for plausibility; not owned; NULL: none */
    size_t direction_count;
    const int32_t *row_class; /* [class_rows] the class of each row, below class_count, for identifiability;
                               * not owned; NULL: none */
    size_t class_rows, class_count;
    /* the number that a row has elsewhere, where examples and labels go by it; NULL: its place among the rows
     * added, from 0 */
    uint64_t (*row_number)(const void *context, uint64_t row);
    const void *row_context;
} ra_evaluation_options;

/* What is not known is NaN, and `skips` says why. */
typedef struct ra_evaluation_result {
    size_t rows;
    double mse;                      /* mean over rows and dimensions of (x - x_hat)^2 */
    double r2;                       /* 1 - mse / (variance about one scalar mean + 1e-6): the reference's */
    double r2_per_dimension;         /* the same with the variance about each dimension's own mean */
    double l0;                       /* mean active latents a row */
    double l0_share;                 /* l0 / K: the reference's l0 */
    double dead_ratio;               /* share of latents never active */
    double hoyer;                    /* mean over rows */
    double kappa_4;                  /* mean over rows */
    double l1_l2_ratio;              /* mean over rows of l1 / (l2 + 1e-6) */
    double codes_l1, codes_l2;       /* mean over rows of ||z|| */
    double codes_lp;                 /* the same with p = 1/2: (sum |z|^(1/2))^2 */
    double average_l1, average_l2;   /* mean over rows of ||x - x_hat|| */
    double relative_l1, relative_l2; /* the same over (||x|| + 1e-6) */
    double wasserstein_1d;           /* between data and reconstructions, of wasserstein_rows rows */
    double wasserstein_rows;         /* all, or a uniform sample as large as memory allows */
    double frechet_distance;         /* between data and reconstructions */
    /* of pairs of latents */
    double connectivity;                    /* 1 - ||Z^T Z||_0 / K^2 */
    double negative_interference;           /* ||relu(-(Z^T Z) * (D D^T))||_2, the largest singular value */
    double negative_interference_frobenius; /* the same with the Frobenius norm */
    double max_correlation;                 /* largest |covariance / (std std + 1e-6)| of two latents */
    /* of the dictionary */
    double collinearity;   /* largest |cosine| between two atoms, norms + 1e-6: the reference's */
    double coherence;      /* the same of exact unit atoms */
    double stable_rank;    /* ||D||_F^2 / ||D||_2^2 */
    double effective_rank; /* exp of the entropy of the singular values over their sum */
    double ood;            /* 1 - mean over atoms of the largest cosine with a data row */
    double energy;         /* sum over latents of ||E[z]_k D_k|| */
    /* with directions, with classes */
    double plausibility;    /* mean over directions of the largest cosine with an atom */
    double identifiability; /* mean over classes of the best detector's accuracy */
    struct {
        const char *metric; /* its name above */
        char reason[RA_EVALUATION_REASON];
    } skips[RA_EVALUATION_SKIPS];
    size_t skip_count;
} ra_evaluation_result;

/* Retains the model. options may be NULL. RA_ERR_STATE when it has no encoder; RA_ERR_ARGUMENT for a class
 * that is not below class_count. */
ra_status ra_evaluation_new(ra_model *model, const ra_evaluation_options *options, ra_evaluation **evaluation,
                            ra_error *err);
void ra_evaluation_free(ra_evaluation *evaluation); /* NULL is fine */

/* x [rows,d] as ra_model_encode() takes it, rows in any number of calls. For a model with a standardization
 * all figures are those of the standardized rows and their reconstructions, as the method measures them.
 * After a failure the evaluation holds a part of these rows and is of no more use. RA_ERR_SHAPE for more rows
 * than have a class. */
ra_status ra_evaluation_add(ra_evaluation *evaluation, const float *x, size_t rows, ra_error *err);

/* After all rows were added. *again: memory does not hold all products of latents, and the next ones need the
 * same rows once more, in the same order. Where memory suffices for all, it may be left out. */
ra_status ra_evaluation_next_pass(ra_evaluation *evaluation, bool *again, ra_error *err);

/* Of the rows so far; unless there was a second pass, more may be added afterwards. RA_ERR_STATE when there
 * are none, or rows are missing in a pass or a pass is. */
ra_status ra_evaluation_finish(ra_evaluation *evaluation, ra_evaluation_result *result, ra_error *err);

/* Statistics of the latents on the rows so far, for ra_model_save_with(); live until the next call.
 * row_labels (may be NULL): line i is that of the row with number i. RA_ERR_SHAPE when there are fewer lines
 * than rows (without row_number). */
ra_status ra_evaluation_latents(ra_evaluation *evaluation, const ra_labels *row_labels,
                                ra_latent_statistics *latents, ra_error *err);

/* The best single latent for a class: rows with z_latent > threshold are taken for the class. */
typedef struct ra_class_detector {
    double accuracy;
    size_t latent;
    float threshold; /* infinity: no row is; -infinity: every row is; then no latent has a say */
} ra_class_detector;

/* detectors [class_count] <- of the rows so far; RA_ERR_STATE without classes or rows, or when their codes
 * were more than memory allows. */
ra_status ra_evaluation_classes(ra_evaluation *evaluation, ra_class_detector *detectors, ra_error *err);

/* ---- codes -------------------------------------------------------------------------------------------- */

/* Of each row of codes [B,K]; norms are those of the row. */
void ra_metric_l1_l2_ratio(const ra_codes *codes, double *values /* [B] */); /* l1 / (l2 + 1e-6) */

/* (sqrt(K) - l1 / (l2 + 1e-6)) / (sqrt(K) - 1): 1 for one active latent, 0 for all alike. A row without any
 * gives sqrt(K) / (sqrt(K) - 1), as in the reference. With K = 1, where the formula has no value, 1. */
void ra_metric_hoyer(const ra_codes *codes, double *values /* [B] */);

/* sum z^4 / ((sum z^2)^2 + 1e-6) */
void ra_metric_kappa_4(const ra_codes *codes, double *values /* [B] */);

/* ||E[z]_k D_k|| of each latent; D [K,d]. */
void ra_metric_energy(const ra_codes *codes, const float *D, size_t d, double *values /* [K] */);

/* The largest |covariance / (std std + 1e-6)| between two latents; 0 when there is one. 2 to 2^32
 * - 1 rows. */
ra_status ra_metric_max_correlation(const ra_codes *codes, double *value, ra_error *err);

/* ---- dictionaries ------------------------------------------------------------------------------------- */

/* The largest |cosine| between two rows of D [K,d], norms + 1e-6; 0 when there is one. */
ra_status ra_metric_collinearity(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                 ra_error *err);

/* The same of unit atoms, without the guard of 1e-6. */
ra_status ra_metric_coherence(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                              ra_error *err);

/* exp(-sum p log p), p the singular values of D [K,d] over their sum; 0 for a matrix of zeros. Memory for
 * min(K,d)^2 float64. */
ra_status ra_metric_effective_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                   ra_error *err);

/* Mean over directions [count,d] of the largest cosine with an atom of D [K,d]. count >= 1. */
ra_status ra_metric_plausibility(ra_backend *backend, const float *D, size_t K, size_t d,
                                 const float *directions, size_t count, double *value, ra_error *err);

/* ||D||_F^2 / ||D||_2^2 of D [K,d], to 1e-6; 0 for a matrix of zeros. */
ra_status ra_metric_stable_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                ra_error *err);

/* values [min(K,d)] <- the singular values of D [K,d], largest first, each to 1e-8 of the largest. Takes
 * memory for min(K,d)^2 numbers and time for K d min(K,d) products. */
ra_status ra_metric_singular_values(ra_backend *backend, const float *D, size_t K, size_t d, double *values,
                                    ra_error *err);

/* ---- two samples of the same shape -------------------------------------------------------------------- */

/* Mean absolute difference of X and Y [rows,d], the columns of each sorted. */
ra_status ra_metric_wasserstein_1d(const float *X, const float *Y, size_t rows, size_t d, double *value,
                                   ra_error *err);

/* ||mean_X - mean_Y||^2 + tr(S_X + S_Y) - 2 tr((S_X S_Y)^(1/2)), S the covariances (over rows - 1). At least
 * two rows. */
ra_status ra_metric_frechet_distance(ra_backend *backend, const float *X, const float *Y, size_t rows,
                                     size_t d, double *value, ra_error *err);

/* ---- two dictionaries --------------------------------------------------------------------------------- */

/* match[i] <- the column assigned to row i so that the total cost [n,n] is least (Jonker and Volgenant 1987).
 * Exact but for the rounding of float64 sums. RA_ERR_NOT_FINITE for a NaN or an infinity among the costs. */
ra_status ra_assignment(const float *cost, size_t n, int32_t *match, double *total, ra_error *err);

typedef struct ra_comparison {
    size_t concepts;
    double stability;             /* (1/K) max over signed permutations of tr(A^T P B), unit atoms */
    double stability_unsigned;    /* 1 - cosine_hungarian_loss / K: the reference's, signs kept */
    double stability_centered;    /* of atoms less the mean atom of their dictionary, signs kept */
    double cosine_hungarian_loss; /* sum of cosine distances, the reference's */
    double hungarian_loss;        /* sum of Euclidean distances, the reference's */
    int32_t *match;               /* [K] of stability_unsigned: atom i of A goes with match[i] of B */
    float *match_cosine;          /* [K] */
} ra_comparison;

/* A, B [K,d] of the same shape, finite. Zero atoms have cosine 0 with everything. Each figure is the sum of
 * the exact values of its own best assignment. Needs memory for K^2 numbers. *comparison is overwritten. */
ra_status ra_compare(ra_backend *backend, const float *A, const float *B, size_t K, size_t d,
                     ra_comparison *comparison, ra_error *err);
void ra_comparison_release(ra_comparison *comparison); /* leaves {0} */

#endif
