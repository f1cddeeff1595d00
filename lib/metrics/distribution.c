/* Distances between two samples.
 *
 * Wasserstein: in one dimension, the best transport pairs the sorted values. Floats sort by their bits.
 *
 * Frechet: the trace of (S_X S_Y)^(1/2) is the sum of the square roots of the eigenvalues of S_X S_Y. This
 * product is not symmetric, but with S_X = L L^T it has the eigenvalues of the symmetric L^T S_Y L. The
 * covariance of few rows is singular, so L comes from Cholesky's method with pivots, which stops when only
 * rounding errors are left. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "metrics/covariance.h"
#include "backend/cpu/lapack.h"
#include "metrics/unit.h"
#include "tensor/vectors.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- Wasserstein -------------------------------------------------------------------------------------- */

enum { COLUMNS = 16, DIGIT = 11, BUCKETS = 1 << DIGIT, PASSES = 3 };

/* Bits in the order of the floats: all are inverted for a negative float, the sign for others. */
static uint32_t key_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t key) {
    uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Sorts by digits, the lowest first. Returns keys or other, whichever has the result. */
static const uint32_t *sort_keys(uint32_t *keys, uint32_t *other, size_t n) {
    for (int pass = 0; pass < PASSES; pass++) {
        size_t position[BUCKETS] = {0}, sum = 0;
        for (size_t i = 0; i < n; i++) position[keys[i] >> pass * DIGIT & (BUCKETS - 1)]++;
        for (size_t b = 0; b < BUCKETS; b++) {
            size_t count = position[b];
            position[b] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++) other[position[keys[i] >> pass * DIGIT & (BUCKETS - 1)]++] = keys[i];
        uint32_t *sorted = other;
        other = keys;
        keys = sorted;
    }
    return keys;
}

/* keys [columns,rows] <- columns of X from j on; several at a time, because each row of X is another cache
 * line. */
static void gather(const float *X, size_t rows, size_t d, size_t j, size_t columns, uint32_t *keys) {
    if (columns == COLUMNS) /* a number that the compiler knows */
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < COLUMNS; c++) keys[c * rows + i] = key_of(X[i * d + j + c]);
    else
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < columns; c++) keys[c * rows + i] = key_of(X[i * d + j + c]);
}

typedef struct sorting {
    const float *X, *Y;
    size_t rows, d, width;
    double *sum; /* [parts]; -1: no memory */
} sorting;

/* Of some columns, the sum of the distances. */
static void sort_part(void *context, size_t part) {
    const sorting *job = context;
    size_t rows = job->rows, j = part * job->width, end = ra_pool_part_end(part, job->width, job->d);
    uint32_t *x = ra_malloc((2 * job->width + 2) * rows, sizeof *x);
    double sum = 0;
    job->sum[part] = -1;
    if (!x) return;
    uint32_t *y = x + job->width * rows, *spare_x = y + job->width * rows, *spare_y = spare_x + rows;
    gather(job->X, rows, job->d, j, end - j, x);
    gather(job->Y, rows, job->d, j, end - j, y);
    for (size_t c = 0; c < end - j; c++) {
        const uint32_t *a = sort_keys(x + c * rows, spare_x, rows);
        const uint32_t *b = sort_keys(y + c * rows, spare_y, rows);
        for (size_t i = 0; i < rows; i++) sum += fabs((double)value_of(a[i]) - (double)value_of(b[i]));
    }
    job->sum[part] = sum;
    ra_free(x);
}

ra_status ra_metric_wasserstein_1d(ra_backend *backend, const float *X, const float *Y, size_t rows, size_t d,
                                   double *value, ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "the Wasserstein distance", err));
    size_t width = d < COLUMNS ? d : COLUMNS, parts = rows && d ? ra_pool_parts(d, width) : 0;
    sorting job = {X, Y, rows, d, width, ra_malloc(parts, sizeof *job.sum)};
    if (!job.sum) RA_FAIL_MEMORY(err, "the Wasserstein distance", parts * sizeof *job.sum);
    ra_pool_run(ra_backend_pool(backend), parts, sort_part, &job);
    double sum = 0;
    bool failed = false;
    for (size_t part = 0; part < parts; part++) {
        sum += job.sum[part];
        failed |= job.sum[part] < 0;
    }
    ra_free(job.sum);
    if (failed)
        RA_FAIL_MEMORY(err, "the sorted columns of two samples", (2 * width + 2) * rows * sizeof(float));
    *value = parts ? sum / ((double)rows * (double)d) : 0;
    return RA_OK;
}

/* ---- Frechet ------------------------------------------------------------------------------------------ */

typedef struct frechet {
    size_t d, rank;
    double *first, *second; /* [d,d] the covariances */
    double *L;              /* [d,d] the Cholesky factor of the first, by columns: L[k*d+i] */
    double *SL;             /* [d,d] the second covariance times L, by columns */
    double *M;              /* [d,d] L^T S_Y L; its first `rank` rows and columns are used */
    double *rest;           /* [d] the remaining diagonal, then the eigenvalues of M */
} frechet;

static double trace(const double *A, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += A[i * n + i];
    return sum;
}

/* L <- columns with S = sum of L_k L_k^T, the one with the largest remaining variance first; returns how
 * many. rest [d] is scratch memory for the remaining diagonal. */
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

static void multiply_column(void *context, size_t k) {
    const frechet *f = context;
    for (size_t i = 0; i < f->d; i++)
        f->SL[k * f->d + i] = ra_dot_doubles(f->second + i * f->d, f->L + k * f->d, f->d);
}

static void project_row(void *context, size_t k) {
    const frechet *f = context;
    for (size_t l = 0; l < f->rank; l++)
        f->M[k * f->rank + l] = ra_dot_doubles(f->L + k * f->d, f->SL + l * f->d, f->d);
}

/* *trace <- tr((S_X S_Y)^(1/2)) */
static ra_status trace_of_root(frechet *f, ra_pool *pool, double *trace, ra_error *err) {
    size_t d = f->d, rank = f->rank = factorize(f->first, d, f->L, f->rest);
    ra_pool_run(pool, rank, multiply_column, f);
    ra_pool_run(pool, rank, project_row, f);
    RA_TRY(ra_eigenvalues(f->M, rank, f->rest, err));
    double least = rank ? (double)d * DBL_EPSILON * f->rest[rank - 1] : 0; /* below: rounding error */
    *trace = 0;
    for (size_t k = 0; k < rank; k++) *trace += f->rest[k] > least ? sqrt(f->rest[k]) : 0;
    return RA_OK;
}

ra_status ra_covariance_frechet(const ra_covariance *X, const ra_covariance *Y, double *value,
                                ra_error *err) {
    size_t d = X->d, square = d * d, count = 5 * square + 3 * d;
    if (X->rows < 2)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the Frechet distance needs at least two rows, but there are %zu",
                X->rows);
    double *memory = ra_calloc(count, sizeof *memory);
    if (!memory) RA_FAIL_MEMORY(err, "the Frechet distance", count * sizeof *memory);
    frechet f = {.d = d, .first = memory, .second = memory + square, .L = memory + 2 * square};
    f.SL = f.L + square;
    f.M = f.SL + square;
    double *mean = f.M + square;
    f.rest = mean + 2 * d;
    ra_status status = ra_covariance_measure(X, mean, f.first, err);
    if (status == RA_OK) status = ra_covariance_measure(Y, mean + d, f.second, err);
    double root = 0;
    if (status == RA_OK) status = trace_of_root(&f, X->pool, &root, err);
    if (status == RA_OK) {
        double between = 0;
        for (size_t j = 0; j < d; j++) between += (mean[j] - mean[d + j]) * (mean[j] - mean[d + j]);
        *value = between + trace(f.first, d) + trace(f.second, d) - 2 * root;
    }
    ra_free(memory);
    return status;
}

ra_status ra_metric_frechet_distance(ra_backend *backend, const float *X, const float *Y, size_t rows,
                                     size_t d, double *value, ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "the Frechet distance", err));
    ra_covariance x = {0}, y = {0};
    ra_status status = ra_covariance_init(&x, ra_backend_pool(backend), d, err);
    if (status == RA_OK) status = ra_covariance_init(&y, ra_backend_pool(backend), d, err);
    if (status == RA_OK) {
        ra_covariance_add(&x, X, rows);
        ra_covariance_add(&y, Y, rows);
        status = ra_covariance_frechet(&x, &y, value, err);
    }
    ra_covariance_release(&x);
    ra_covariance_release(&y);
    return status;
}
