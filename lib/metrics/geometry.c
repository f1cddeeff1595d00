/* The shape of a dictionary.
 *
 * Collinearity and coherence are a maximum over K^2 cosines, taken a tile of the upper triangle at a time.
 *
 * Stable rank needs the largest eigenvalue of D^T D, for which Lanczos' method (lanczos.c) multiplies by D
 * and by D^T, in float64 straight from D: neither D^T D nor a copy of D is formed. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "tensor/vectors.h"
#include "base/multiversion.h"
#include "metrics/lanczos.h"
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
    size_t parts = ra_pool_parts(rows, PART_ROWS);
    ra_pool_run(pool, parts, tile_part, &job);
    float largest = 0;
    for (size_t p = 0; p < parts; p++) largest = fmaxf(largest, job.largest[p]);
    return largest;
}

static ra_status largest_cosine(ra_backend *backend, const float *D, size_t K, size_t d, double guard,
                                double *value, ra_error *err) {
    size_t tile = K < RA_TILE ? K : RA_TILE;
    ra_pool *pool = ra_backend_pool(backend);
    ra_matrix unit = {0}, cosine = {0};
    float largest = 0;
    ra_status status = ra_matrix_init(&unit, K, d, err);
    if (status == RA_OK) status = ra_matrix_init(&cosine, tile, tile, err);
    if (status == RA_OK) ra_unit_rows(pool, D, K, d, guard, unit.data);
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

ra_status ra_metric_collinearity(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                 ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "collinearity", err));
    return largest_cosine(backend, D, K, d, 1e-6, value, err);
}

ra_status ra_metric_coherence(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                              ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "coherence", err));
    return largest_cosine(backend, D, K, d, 0, value, err);
}

/* ---- stable rank -------------------------------------------------------------------------------------- */

enum { PART_COLUMNS = 64 };

typedef struct gram_product {
    ra_pool *pool;
    const float *D; /* [K,d] */
    size_t K, d;
    const double *v; /* [d] */
    double *w;       /* [d] D^T D v */
    double *y;       /* [K] D v */
} gram_product;

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
    const gram_product *g = context;
    size_t from = part * PART_ROWS;
    for (size_t k = from; k < from + PART_ROWS && k < g->K; k++)
        g->y[k] = dot_mixed(g->D + k * g->d, g->v, g->d);
}

static void multiply_back_part(void *context, size_t part) {
    const gram_product *g = context;
    size_t from = part * PART_COLUMNS, columns = g->d - from < PART_COLUMNS ? g->d - from : PART_COLUMNS;
    memset(g->w + from, 0, columns * sizeof *g->w);
    for (size_t k = 0; k < g->K; k++) add_scaled(g->w + from, g->D + k * g->d + from, g->y[k], columns);
}

static void multiply(void *context, const double *v, double *product) {
    gram_product *g = context;
    g->v = v;
    g->w = product;
    ra_pool_run(g->pool, ra_pool_parts(g->K, PART_ROWS), multiply_part, g);
    ra_pool_run(g->pool, ra_pool_parts(g->d, PART_COLUMNS), multiply_back_part, g);
}

ra_status ra_metric_stable_rank(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "stable rank", err));
    double squares = 0, largest = 0, *y = ra_malloc(K, sizeof *y);
    if (!y) RA_FAIL_MEMORY(err, "the stable rank", K * sizeof *y);
    gram_product g = {.pool = ra_backend_pool(backend), .D = D, .K = K, .d = d, .y = y};
    for (size_t k = 0; k < K; k++) squares += ra_dot_f64(D + k * d, D + k * d, d);
    ra_status status = squares > 0 ? ra_lanczos_largest(multiply, &g, d, &largest, err) : RA_OK;
    ra_free(y);
    if (status == RA_OK) *value = squares > 0 ? squares / largest : 0;
    return status;
}
