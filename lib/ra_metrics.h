/* ra_metrics.h - how good a model is, and how alike two dictionaries are.
 *
 * Definitions are those of REFERENCE section 3 (overcomplete 0.3.0, metrics.py); where the reference's
 * formula is not what its name says, both are given under names of their own. The reference guards its
 * quotients with 1e-6; so do we, where it is written out below. Sums run in float64.
 *
 *     ra_evaluation *evaluation = NULL;
 *     ra_evaluation_result result;
 *     RA_TRY(ra_evaluation_new(model, &evaluation, err));
 *     RA_TRY(ra_evaluation_add(evaluation, x, rows, err));
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

typedef struct ra_evaluation_result {
    size_t rows;
    double mse;                      /* mean over rows and dimensions of (x - x_hat)^2 */
    double r2;                       /* 1 - mse / (variance about one scalar mean + 1e-6): the reference's */
    double r2_per_dimension;         /* the same with the variance about each dimension's own mean */
    double l0;                       /* mean active latents a row */
    double dead_ratio;               /* share of latents never active */
    double hoyer;                    /* mean over rows */
    double kappa_4;                  /* mean over rows */
    double average_l1, average_l2;   /* mean over rows of ||x - x_hat|| */
    double relative_l1, relative_l2; /* the same over (||x|| + 1e-6) */
    /* of the dictionary */
    double collinearity; /* largest |cosine| between two atoms, norms + 1e-6 */
    double stable_rank;  /* ||D||_F^2 / ||D||_2^2 */
    double ood;          /* 1 - mean over atoms of the largest cosine with a data row */
} ra_evaluation_result;

/* Retains the model. RA_ERR_STATE when it has no encoder. */
ra_status ra_evaluation_new(ra_model *model, ra_evaluation **evaluation, ra_error *err);
void ra_evaluation_free(ra_evaluation *evaluation); /* NULL is fine */

/* x [rows,d] as ra_model_encode() takes it, rows in any number of calls. For a model with a standardisation
 * all figures are those of the standardised rows and their reconstructions, as the method measures them.
 * After a failure the evaluation holds a part of these rows and is of no more use. */
ra_status ra_evaluation_add(ra_evaluation *evaluation, const float *x, size_t rows, ra_error *err);

/* Of the rows so far; more may be added afterwards. RA_ERR_STATE when there are none. */
ra_status ra_evaluation_finish(ra_evaluation *evaluation, ra_evaluation_result *result, ra_error *err);

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

/* The largest |covariance / (std std + 1e-6)| between two latents; 0 when there is one. At least two rows. */
ra_status ra_metric_max_correlation(const ra_codes *codes, double *value, ra_error *err);

/* ---- dictionaries ------------------------------------------------------------------------------------- */

/* The largest |cosine| between two rows of D [K,d], norms + 1e-6; 0 when there is one. */
ra_status ra_metric_collinearity(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                 ra_error *err);

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
    double stability_centred;     /* of atoms less the mean atom of their dictionary, signs kept */
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
