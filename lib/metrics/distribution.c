/* Distances between two samples.
 *
 * Frechet: the trace of (S_X S_Y)^(1/2) is the sum of the square roots of the eigenvalues of S_X S_Y. That
 * product is not symmetric, but with S_X = L L^T it has the eigenvalues of the symmetric L^T S_Y L.
 * Covariances of few rows are singular, so L comes from Cholesky's method with pivots, which stops when
 * nothing but rounding is left. Covariances are made from products in float32 of a few hundred rows, added in
 * float64. */
#include "ra_metrics.h"
#include "base/error.h"
#include "metrics/spectrum.h"
#include "metrics/unit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Wasserstein -------------------------------------------------------------------------------------- */

static int rising(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void sorted_column(const float *X, size_t rows, size_t d, size_t j, float *column) {
    for (size_t i = 0; i < rows; i++) column[i] = X[i * d + j];
    qsort(column, rows, sizeof *column, rising);
}

ra_status ra_metric_wasserstein_1d(const float *X, const float *Y, size_t rows, size_t d, double *value,
                                   ra_error *err) {
    float *x = ra_malloc(2 * rows, sizeof *x);
    if (!x) RA_FAIL_MEMORY(err, "the sorted columns of two samples", 2 * rows * sizeof *x);
    float *y = x + rows;
    double sum = 0;
    for (size_t j = 0; j < d; j++) {
        sorted_column(X, rows, d, j, x);
        sorted_column(Y, rows, d, j, y);
        for (size_t i = 0; i < rows; i++) sum += fabs((double)x[i] - (double)y[i]);
    }
    ra_free(x);
    *value = rows && d ? sum / ((double)rows * (double)d) : 0;
    return RA_OK;
}

/* ---- Frechet ------------------------------------------------------------------------------------------ */

enum { BLOCK_ROWS = 256 };

typedef struct sample {
    double *mean;       /* [d] */
    double *covariance; /* [d,d] */
} sample;

typedef struct frechet {
    ra_backend *backend;
    size_t rows, d;
    sample sample[2];
    float *block;   /* [BLOCK_ROWS,d] rows less the mean */
    float *product; /* [d,d] */
    double *L;      /* [d,d] Cholesky factor of the first covariance, by columns: L[k*d+i] */
    double *SL;     /* [d,d] second covariance times L, by columns */
    double *M;      /* [d,d] L^T S_Y L, of which the first rank rows and columns are used */
    ra_tridiagonal tridiagonal;
} frechet;

static ra_status measure(frechet *f, const float *X, const sample *s, ra_error *err) {
    size_t d = f->d;
    for (size_t i = 0; i < f->rows; i++)
        for (size_t j = 0; j < d; j++) s->mean[j] += (double)X[i * d + j] / (double)f->rows;
    for (size_t from = 0; from < f->rows; from += BLOCK_ROWS) {
        size_t count = f->rows - from < BLOCK_ROWS ? f->rows - from : BLOCK_ROWS;
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < d; j++)
                f->block[i * d + j] = (float)((double)X[(from + i) * d + j] - s->mean[j]);
        RA_TRY(ra_backend_operations(f->backend)
                   ->gemm(ra_backend_self(f->backend), NULL, true, false, d, d, count, 1, f->block, d,
                          f->block, d, 0, f->product, d, err));
        for (size_t i = 0; i < d * d; i++) s->covariance[i] += (double)f->product[i] / (double)(f->rows - 1);
    }
    return RA_OK;
}

static double trace(const double *A, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += A[i * n + i];
    return sum;
}

static double dot(const double *x, const double *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* Columns L with S = sum of L_k L_k^T, the largest remaining variance first; returns how many. `rest` [d] is
 * scratch: what is left of the diagonal. */
static size_t factorize(const double *S, size_t d, double *L, double *rest) {
    double largest = 0;
    for (size_t i = 0; i < d; i++) {
        rest[i] = S[i * d + i];
        largest = fmax(largest, rest[i]);
    }
    for (size_t k = 0; k < d; k++) {
        size_t pivot = 0;
        for (size_t i = 1; i < d; i++)
            if (rest[i] > rest[pivot]) pivot = i;
        if (!(rest[pivot] > (double)d * DBL_EPSILON * largest)) return k;
        double *column = L + k * d, root = sqrt(rest[pivot]);
        memcpy(column, S + pivot * d, d * sizeof *column);
        for (size_t l = 0; l < k; l++) {
            double share = L[l * d + pivot];
            for (size_t i = 0; i < d; i++) column[i] -= share * L[l * d + i];
        }
        for (size_t i = 0; i < d; i++) {
            column[i] /= root;
            rest[i] -= column[i] * column[i];
        }
        rest[pivot] = 0;
    }
    return d;
}

/* tr((S_X S_Y)^(1/2)) */
static double trace_of_root(frechet *f) {
    size_t d = f->d, rank = factorize(f->sample[0].covariance, d, f->L, f->tridiagonal.diagonal);
    for (size_t k = 0; k < rank; k++)
        for (size_t i = 0; i < d; i++)
            f->SL[k * d + i] = dot(f->sample[1].covariance + i * d, f->L + k * d, d);
    for (size_t k = 0; k < rank; k++)
        for (size_t l = 0; l < rank; l++) f->M[k * rank + l] = dot(f->L + k * d, f->SL + l * d, d);
    ra_tridiagonalize(f->M, rank, &f->tridiagonal);
    double largest = rank ? ra_tridiagonal_eigenvalue(&f->tridiagonal, rank - 1) : 0, sum = 0;
    for (size_t k = 0; k < rank; k++) {
        double value = ra_tridiagonal_eigenvalue(&f->tridiagonal, k);
        if (value > (double)d * DBL_EPSILON * largest) sum += sqrt(value); /* the rest is rounding */
    }
    return sum;
}

ra_status ra_metric_frechet_distance(ra_backend *backend, const float *X, const float *Y, size_t rows,
                                     size_t d, double *value, ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "the Frechet distance", err));
    if (rows < 2)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the Frechet distance needs at least two rows, got %zu", rows);
    size_t square = d * d, count = 5 * square + 4 * d;
    double *block = ra_calloc(count, sizeof *block);
    frechet f = {.backend = backend, .rows = rows, .d = d};
    f.block = ra_malloc(BLOCK_ROWS * d, sizeof *f.block);
    f.product = ra_malloc(square, sizeof *f.product);
    ra_status status = RA_OK;
    if (!block || !f.block || !f.product) {
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the Frechet distance needs %zu bytes",
                              count * sizeof *block + (BLOCK_ROWS * d + square) * sizeof *f.block);
        goto out;
    }
    f.L = block;
    f.SL = f.L + square;
    f.M = f.SL + square;
    f.sample[0] = (sample){.covariance = f.M + square, .mean = f.M + 3 * square};
    f.sample[1] = (sample){.covariance = f.M + 2 * square, .mean = f.sample[0].mean + d};
    f.tridiagonal = (ra_tridiagonal){.diagonal = f.sample[1].mean + d, .beside = f.sample[1].mean + 2 * d};
    RA_TRY_OUT(status, measure(&f, X, &f.sample[0], err));
    RA_TRY_OUT(status, measure(&f, Y, &f.sample[1], err));
    double between = 0;
    for (size_t j = 0; j < d; j++) {
        double gap = f.sample[0].mean[j] - f.sample[1].mean[j];
        between += gap * gap;
    }
    *value =
        between + trace(f.sample[0].covariance, d) + trace(f.sample[1].covariance, d) - 2 * trace_of_root(&f);
out:
    ra_free(block);
    ra_free(f.block);
    ra_free(f.product);
    return status;
}
