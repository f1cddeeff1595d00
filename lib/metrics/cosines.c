/* Metrics of cosines: between the atoms, and between the atoms and other directions.
 *
 * Collinearity and coherence are the maximum of K^2 cosines, computed a tile of the upper triangle at a
 * time. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "metrics/coverage.h"
#include "metrics/unit.h"

#include <math.h>

enum { PART_ROWS = 64, LANES = 16 };

/* ---- of the atoms -------------------------------------------------------------------------------------- */

typedef struct tile_job {
    const float *cosine; /* [rows, columns] */
    size_t rows, columns;
    bool diagonal; /* of the rows with themselves */
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
        size_t skip = job->diagonal ? i + 1 : 0; /* the tile is symmetric */
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

static ra_status largest_cosine(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                ra_error *err) {
    size_t tile = K < RA_TILE ? K : RA_TILE;
    ra_pool *pool = ra_backend_pool(backend);
    ra_matrix unit = {0}, cosine = {0};
    float largest = 0;
    ra_status status = ra_matrix_init(&unit, K, d, err);
    if (status == RA_OK) status = ra_matrix_init(&cosine, tile, tile, err);
    if (status == RA_OK) ra_unit_rows(pool, D, K, d, unit.data);
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
    return largest_cosine(backend, D, K, d, value, err);
}

ra_status ra_metric_coherence(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                              ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "coherence", err));
    return largest_cosine(backend, D, K, d, value, err);
}

/* ---- with other directions ----------------------------------------------------------------------------- */

/* ood takes each atom's largest cosine with the data; this takes each direction's largest cosine with the
 * atoms, so the two exchange roles. */
ra_status ra_metric_plausibility(ra_backend *backend, const float *D, size_t K, size_t d,
                                 const float *directions, size_t count, double *value, ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "plausibility", err));
    const ra_tensor tensor = ra_tensor_2d(RA_F32, directions, count, d);
    ra_coverage coverage;
    RA_TRY(ra_coverage_init(&coverage, backend, &tensor, err));
    ra_status status = ra_coverage_add(&coverage, D, K, err);
    if (status == RA_OK) *value = 1 - ra_coverage_ood(&coverage);
    ra_coverage_release(&coverage);
    return status;
}
