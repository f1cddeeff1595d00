/* The two strongest directions by subspace iteration: a few vectors that are multiplied by X and X^T in turn
 * and made orthonormal approach the span of the singular vectors with the largest singular values; the
 * Rayleigh-Ritz step then separates these (Golub and Van Loan, section 8.2). A step is two thin matrix
 * products; a whole decomposition would take d^2 numbers and d^3 operations. */
#include "metrics/layout/layout.h"
#include "ra_memory.h"
#include "base/random.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum { VECTORS = 8, STEPS = 40, SWEEPS = 30 };

typedef struct pca {
    ra_backend *backend;
    size_t K, d, p; /* p <= VECTORS vectors */
    float *X;       /* [K,d] atoms minus their mean */
    float *Q;       /* [d,p] orthonormal columns */
    float *Y;       /* [K,p] X Q */
    double *column; /* [p,d] the columns of Q, in float64 */
} pca;

static void center(const float *D, size_t K, size_t d, double *mean, float *X) {
    memset(mean, 0, d * sizeof *mean);
    for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j < d; j++) mean[j] += (double)D[k * d + j] / (double)K;
    for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j < d; j++) X[k * d + j] = (float)((double)D[k * d + j] - mean[j]);
}

/* Gram-Schmidt, twice, which is enough. A column that depends on earlier ones becomes zero. */
static void orthonormalize(pca *f) {
    for (size_t c = 0; c < f->p; c++)
        for (size_t j = 0; j < f->d; j++) f->column[c * f->d + j] = (double)f->Q[j * f->p + c];
    for (size_t c = 0; c < f->p; c++) {
        double *x = f->column + c * f->d, before = sqrt(ra_dot_doubles(x, x, f->d));
        for (int pass = 0; pass < 2; pass++)
            for (size_t b = 0; b < c; b++) {
                const double *y = f->column + b * f->d;
                double share = ra_dot_doubles(x, y, f->d);
                for (size_t j = 0; j < f->d; j++) x[j] -= share * y[j];
            }
        double length = sqrt(ra_dot_doubles(x, x, f->d)), scale = length > 1e-6 * before ? 1 / length : 0;
        for (size_t j = 0; j < f->d; j++) x[j] = before > 0 ? x[j] * scale : 0;
    }
    for (size_t c = 0; c < f->p; c++)
        for (size_t j = 0; j < f->d; j++) f->Q[j * f->p + c] = (float)f->column[c * f->d + j];
}

static ra_status multiply(pca *f, ra_error *err) {
    return ra_backend_gemm(f->backend, false, false, f->K, f->p, f->d, 1, f->X, f->d, f->Q, f->p, 0, f->Y,
                           f->p, err);
}

static ra_status iterate(pca *f, ra_error *err) {
    ra_random random;
    ra_random_seed(&random, 1);
    for (size_t i = 0; i < f->d * f->p; i++) f->Q[i] = (float)(ra_random_unit(&random) - 0.5);
    for (int step = 0; step < STEPS; step++) {
        orthonormalize(f);
        RA_TRY(multiply(f, err));
        RA_TRY(ra_backend_gemm(f->backend, true, false, f->d, f->p, f->K, 1, f->X, f->d, f->Y, f->p, 0, f->Q,
                               f->p, err));
    }
    orthonormalize(f);
    return multiply(f, err);
}

/* Jacobi's rotations: A [n,n] symmetric becomes diagonal, V [n,n] has the eigenvectors as columns. */
static void diagonalize(double *A, double *V, size_t n) {
    for (size_t i = 0; i < n * n; i++) V[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (size_t p = 0; p < n; p++)
            for (size_t q = p + 1; q < n; q++) {
                if (A[p * n + q] == 0) continue;
                double theta = (A[q * n + q] - A[p * n + p]) / (2 * A[p * n + q]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (size_t k = 0; k < n; k++) {
                    double x = A[k * n + p], y = A[k * n + q];
                    A[k * n + p] = c * x - s * y;
                    A[k * n + q] = s * x + c * y;
                }
                for (size_t k = 0; k < n; k++) {
                    double x = A[p * n + k], y = A[q * n + k], v = V[k * n + p], w = V[k * n + q];
                    A[p * n + k] = c * x - s * y;
                    A[q * n + k] = s * x + c * y;
                    V[k * n + p] = c * v - s * w;
                    V[k * n + q] = s * v + c * w;
                }
            }
}

/* positions <- Y times its two strongest directions; each with its largest coordinate positive. */
static void project(const pca *f, float *positions) {
    double A[VECTORS * VECTORS] = {0}, V[VECTORS * VECTORS];
    size_t p = f->p, order[2] = {0, 0};
    for (size_t k = 0; k < f->K; k++)
        for (size_t a = 0; a < p; a++)
            for (size_t b = 0; b < p; b++) A[a * p + b] += (double)f->Y[k * p + a] * (double)f->Y[k * p + b];
    diagonalize(A, V, p);
    for (size_t a = 1; a < p; a++)
        if (A[a * p + a] > A[order[0] * p + order[0]]) order[0] = a;
    order[1] = order[0] == 0 && p > 1 ? 1 : 0;
    for (size_t a = 0; a < p; a++)
        if (a != order[0] && A[a * p + a] > A[order[1] * p + order[1]]) order[1] = a;
    for (size_t axis = 0; axis < 2; axis++) {
        float extreme = 0;
        for (size_t k = 0; k < f->K; k++) {
            double sum = 0;
            for (size_t a = 0; a < p; a++) sum += (double)f->Y[k * p + a] * V[a * p + order[axis]];
            positions[2 * k + axis] = axis < p ? (float)sum : 0;
            if (fabsf(positions[2 * k + axis]) > fabsf(extreme)) extreme = positions[2 * k + axis];
        }
        for (size_t k = 0; k < f->K && extreme < 0; k++) positions[2 * k + axis] = -positions[2 * k + axis];
    }
}

ra_status ra_layout_pca(ra_backend *backend, const float *D, size_t K, size_t d, float *positions,
                        ra_error *err) {
    pca f = {.backend = backend, .K = K, .d = d, .p = d < VECTORS ? d : VECTORS};
    f.X = ra_malloc(K * d, sizeof *f.X);
    f.Q = ra_malloc(d * f.p, sizeof *f.Q);
    f.Y = ra_malloc(K * f.p, sizeof *f.Y);
    f.column = ra_malloc(d * f.p, sizeof *f.column);
    ra_status status;
    if (f.X && f.Q && f.Y && f.column) {
        center(D, K, d, f.column, f.X);
        status = iterate(&f, err);
        if (status == RA_OK) project(&f, positions);
    } else {
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the principal directions need %zu bytes",
                              (K * d + (K + 3 * d) * f.p) * sizeof(float));
    }
    ra_free(f.X);
    ra_free(f.Q);
    ra_free(f.Y);
    ra_free(f.column);
    return status;
}
