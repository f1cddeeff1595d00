/* The shape of a dictionary.
 *
 * Collinearity is a maximum over K^2 cosines, taken a tile of the upper triangle at a time.
 *
 * Stable rank needs the largest eigenvalue of D^T D. Power iteration finds it slowly when the next one is
 * close, as it is in a random dictionary. Lanczos' method costs one product with D and one with D^T a step as
 * well, but takes the best estimate from all steps so far: the largest eigenvalue of a small tridiagonal
 * matrix. Its residual bounds the error, so it is known when to stop. The products run in float64 straight
 * from D; neither D^T D nor a copy of D is formed. Without orthogonalisation against earlier vectors
 * eigenvalues that have been found may come up again; that does not hurt the largest one. */
#include "ra_metrics.h"
#include "base/error.h"
#include "tensor/dot.h"
#include "base/multiversion.h"
#include "base/random.h"
#include "metrics/spectrum.h"
#include "metrics/unit.h"

#include <math.h>
#include <string.h>

/* ---- collinearity ------------------------------------------------------------------------------------- */

enum { PART_ROWS = 64, LANES = 16 };

typedef struct tile_job {
    const float *cosine; /* [rows, columns] */
    size_t rows, columns;
    bool diagonal; /* the tile of the first rows with themselves */
    float largest[RA_TILE / PART_ROWS];
} tile_job;

RA_MULTIVERSION static float largest_magnitude(const float *restrict x, size_t n) {
    float lane[LANES] = {0}, largest = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float magnitude = fabsf(x[i + l]);
            lane[l] = magnitude > lane[l] ? magnitude : lane[l];
        }
    for (; i < n; i++) largest = fmaxf(largest, fabsf(x[i]));
    for (size_t l = 0; l < LANES; l++) largest = lane[l] > largest ? lane[l] : largest;
    return largest;
}

static void tile_part(void *context, size_t part) {
    tile_job *job = context;
    size_t from = part * PART_ROWS;
    float largest = 0;
    for (size_t i = from; i < from + PART_ROWS && i < job->rows; i++) {
        size_t skip = job->diagonal ? i + 1 : 0; /* below the diagonal there is nothing new */
        largest =
            fmaxf(largest, largest_magnitude(job->cosine + i * job->columns + skip, job->columns - skip));
    }
    job->largest[part] = largest;
}

static float largest_of_tile(ra_pool *pool, const float *cosine, size_t rows, size_t columns, bool diagonal) {
    tile_job job = {.cosine = cosine, .rows = rows, .columns = columns, .diagonal = diagonal};
    size_t parts = (rows + PART_ROWS - 1) / PART_ROWS;
    ra_pool_run(pool, parts, tile_part, &job);
    float largest = 0;
    for (size_t p = 0; p < parts; p++) largest = fmaxf(largest, job.largest[p]);
    return largest;
}

ra_status ra_metric_collinearity(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                 ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "collinearity", err));
    size_t tile = K < RA_TILE ? K : RA_TILE;
    ra_pool *pool = ra_backend_pool(backend);
    ra_matrix unit = {0}, cosine = {0};
    float largest = 0;
    ra_status status = ra_matrix_init(&unit, K, d, err);
    if (status == RA_OK) status = ra_matrix_init(&cosine, tile, tile, err);
    if (status == RA_OK) ra_unit_rows(pool, D, K, d, 1e-6, unit.data);
    for (size_t i = 0; i < K && status == RA_OK; i += RA_TILE) {
        size_t rows = K - i < RA_TILE ? K - i : RA_TILE;
        for (size_t j = i; j < K && status == RA_OK; j += RA_TILE) {
            size_t columns = K - j < RA_TILE ? K - j : RA_TILE;
            status = ra_products(backend, unit.data + i * d, rows, unit.data + j * d, columns, d, cosine.data,
                                 err);
            if (status == RA_OK)
                largest = fmaxf(largest, largest_of_tile(pool, cosine.data, rows, columns, i == j));
        }
    }
    ra_matrix_release(&unit);
    ra_matrix_release(&cosine);
    if (status == RA_OK) *value = (double)largest;
    return status;
}

/* ---- stable rank -------------------------------------------------------------------------------------- */

enum { STEPS = 1000, STEPS_BETWEEN_CHECKS = 5, PART_COLUMNS = 64 };

static const double accuracy = 1e-7;

typedef struct lanczos {
    ra_pool *pool;
    const float *D; /* [K,d] */
    size_t K, d;
    double *v, *before;        /* [d] this step's vector of length one, and the last one's */
    double *w;                 /* [d] D^T D v */
    double *y;                 /* [K] D v */
    double *diagonal, *beside; /* [STEPS] */
} lanczos;

RA_MULTIVERSION static double dot_mixed(const float *restrict x, const double *restrict y, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += (double)x[i + l] * y[i + l];
    for (; i < n; i++) sum += (double)x[i] * y[i];
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

RA_MULTIVERSION static void add_scaled(double *restrict y, const float *restrict x, double scale, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += scale * (double)x[i];
}

static void multiply_part(void *context, size_t part) {
    const lanczos *l = context;
    size_t from = part * PART_ROWS;
    for (size_t k = from; k < from + PART_ROWS && k < l->K; k++)
        l->y[k] = dot_mixed(l->D + k * l->d, l->v, l->d);
}

static void multiply_back_part(void *context, size_t part) {
    const lanczos *l = context;
    size_t from = part * PART_COLUMNS, columns = l->d - from < PART_COLUMNS ? l->d - from : PART_COLUMNS;
    memset(l->w + from, 0, columns * sizeof *l->w);
    for (size_t k = 0; k < l->K; k++) add_scaled(l->w + from, l->D + k * l->d + from, l->y[k], columns);
}

static double dot(const double *x, const double *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* The last entry of the eigenvector (of length one) of `value`. Run backwards the recurrence grows towards
 * the large entries, which is the stable direction. */
static double last_entry(const ra_tridiagonal *t, double value) {
    double entry = 1, behind = 0, square = 1;
    for (size_t i = t->n - 1; i > 0 && square < 1e200; i--) {
        double beside = i + 1 < t->n ? t->beside[i] : 0;
        double next = ((value - t->diagonal[i]) * entry - beside * behind) / t->beside[i - 1];
        behind = entry;
        entry = next;
        square += entry * entry;
    }
    return 1 / sqrt(square);
}

/* The largest eigenvalue of D^T D. */
static double largest_eigenvalue(lanczos *l) {
    size_t d = l->d;
    double value = 0, beside = 0;
    for (size_t step = 0; step < STEPS; step++) {
        ra_pool_run(l->pool, (l->K + PART_ROWS - 1) / PART_ROWS, multiply_part, l);
        ra_pool_run(l->pool, (d + PART_COLUMNS - 1) / PART_COLUMNS, multiply_back_part, l);
        double diagonal = dot(l->v, l->w, d);
        for (size_t j = 0; j < d; j++) l->w[j] -= diagonal * l->v[j] + beside * l->before[j];
        beside = sqrt(dot(l->w, l->w, d));
        l->diagonal[step] = diagonal;
        l->beside[step] = beside;
        ra_tridiagonal t = {l->diagonal, l->beside, step + 1};
        bool ends = !(beside > 1e-14 * diagonal) || step + 1 == STEPS; /* no further direction is left */
        if (ends || step % STEPS_BETWEEN_CHECKS == 0) {
            value = ra_tridiagonal_eigenvalue(&t, step);
            if (ends || beside * last_entry(&t, value) <= accuracy * value) break;
        }
        double *oldest = l->before;
        l->before = l->v;
        l->v = oldest;
        for (size_t j = 0; j < d; j++) l->v[j] = l->w[j] / beside;
    }
    return value;
}

/* Not a vector of ones: that may well be at right angles to the one that is sought. */
static void start(lanczos *l) {
    ra_random random;
    ra_random_seed(&random, 1);
    for (size_t j = 0; j < l->d; j++) l->v[j] = ra_random_unit(&random) - 0.5;
    double length = sqrt(dot(l->v, l->v, l->d));
    for (size_t j = 0; j < l->d; j++) l->v[j] /= length;
}

ra_status ra_metric_stable_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "stable rank", err));
    size_t count = 3 * d + K + 2 * STEPS;
    double squares = 0, *block = ra_calloc(count, sizeof *block);
    if (!block) RA_FAIL_MEMORY(err, "the stable rank", count * sizeof *block);
    lanczos l = {.pool = ra_backend_pool(backend), .D = D, .K = K, .d = d};
    l.v = block;
    l.before = l.v + d;
    l.w = l.before + d;
    l.y = l.w + d;
    l.diagonal = l.y + K;
    l.beside = l.diagonal + STEPS;
    start(&l);
    for (size_t k = 0; k < K; k++) squares += ra_dot_f64(D + k * d, D + k * d, d);
    *value = squares > 0 ? squares / largest_eigenvalue(&l) : 0;
    ra_free(block);
    return RA_OK;
}
