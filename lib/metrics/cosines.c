/* Metrics of cosines: between the atoms, and between the atoms and other directions.
 *
 * Collinearity and coherence are the maximum of K^2 cosines. Where it pays, a product in 8 bits rules out almost all of
 * them (tensor/coarse.h), and the rest are computed in float64. If it rules out too few, as when many atoms are the same,
 * and on other machines, they are computed a tile of the upper triangle at a time. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "metrics/coverage.h"
#include "metrics/unit.h"
#include "tensor/coarse.h"
#include "tensor/vectors.h"

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

static ra_status largest_of_tiles(ra_backend *backend, const ra_matrix *unit, double *value, ra_error *err) {
    size_t K = unit->rows, d = unit->cols, tile = K < RA_TILE ? K : RA_TILE;
    ra_pool *pool = ra_backend_pool(backend);
    ra_matrix cosine;
    float largest = 0;
    RA_TRY(ra_matrix_init(&cosine, tile, tile, err));
    ra_status status = RA_OK;
    for (size_t i = 0; i < K && status == RA_OK; i += RA_TILE) {
        size_t rows = K - i < RA_TILE ? K - i : RA_TILE;
        for (size_t j = i; j < K && status == RA_OK; j += RA_TILE) {
            size_t columns = K - j < RA_TILE ? K - j : RA_TILE;
            status = ra_products(backend, unit->data + i * d, rows, unit->data + j * d, columns, d,
                                 cosine.data, err);
            if (status == RA_OK)
                largest = fmaxf(largest, largest_of_tile(pool, cosine.data, rows, columns, i == j));
        }
    }
    ra_matrix_release(&cosine);
    if (status == RA_OK) *value = (double)largest;
    return status;
}

/* ---- of the atoms, in 8 bits --------------------------------------------------------------------------- */

enum { FOUND_SHARE = 8 }; /* one cosine in so many: with more of them, a product in float32 takes less time */

typedef struct panel {
    const struct coarse_job *job;
    size_t columns, found, most;
    double largest;
    float bar[RA_COARSE_PANEL]; /* no smaller cosine can be the largest */
} panel;

typedef struct coarse_job {
    const ra_matrix *unit;
    ra_coarse columns, rows; /* the atoms, in both roles */
    panel *panels;
} coarse_job;

static void set_bar(panel *own, float bar) {
    for (size_t c = 0; c < own->columns; c++) own->bar[c] = bar;
}

static float found_cosine(void *context, size_t column, size_t row) {
    panel *own = context;
    const ra_matrix *unit = own->job->unit;
    size_t d = unit->cols;
    if (row > column) {
        double cosine = fabs(ra_dot_f64(unit->data + column * d, unit->data + row * d, d));
        if (cosine > own->largest) set_bar(own, (float)(own->largest = cosine));
        if (++own->found > own->most) set_bar(own, INFINITY);
    }
    return own->bar[column % RA_COARSE_PANEL];
}

static void panel_part(void *context, size_t part) {
    const coarse_job *job = context;
    panel *own = job->panels + part;
    size_t first = part * RA_COARSE_PANEL, left = job->unit->rows - first,
           columns = left < RA_COARSE_PANEL ? left : RA_COARSE_PANEL;
    *own = (panel){.job = job, .columns = columns, .most = RA_COARSE_PANEL + left * columns / FOUND_SHARE};
    for (size_t c = columns; c < RA_COARSE_PANEL; c++) own->bar[c] = INFINITY; /* no such atom */
    ra_coarse_compare(&job->columns, part, &job->rows, first, true, own->bar, found_cosine, own);
}

/* *done <- false if too many cosines had to be computed. */
static ra_status largest_coarsely(ra_backend *backend, const ra_matrix *unit, double *value, bool *done,
                                  ra_error *err) {
    ra_pool *pool = ra_backend_pool(backend);
    coarse_job job = {.unit = unit};
    size_t K = unit->rows, panels = ra_pool_parts(K, RA_COARSE_PANEL);
    ra_status status;
    RA_TRY_OUT(status, ra_coarse_init(&job.columns, true, K, unit->cols, err));
    RA_TRY_OUT(status, ra_coarse_init(&job.rows, false, K, unit->cols, err));
    job.panels = ra_malloc(panels, sizeof *job.panels);
    if (!job.panels) {
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the cosines of %zu atoms", K);
        goto out;
    }
    ra_coarse_round(&job.columns, pool, unit->data, K);
    ra_coarse_round(&job.rows, pool, unit->data, K);
    ra_pool_run(pool, panels, panel_part, &job);
    *done = true;
    for (size_t p = 0; p < panels; p++) {
        *done &= job.panels[p].found <= job.panels[p].most;
        *value = fmax(*value, job.panels[p].largest);
    }
out:
    ra_coarse_release(&job.columns);
    ra_coarse_release(&job.rows);
    ra_free(job.panels);
    return status;
}

static ra_status largest_cosine(ra_backend *backend, const float *D, size_t K, size_t d, double *value,
                                ra_error *err) {
    ra_matrix unit;
    double largest = 0;
    bool done = false;
    RA_TRY(ra_matrix_init(&unit, K, d, err));
    ra_unit_rows(ra_backend_pool(backend), D, K, d, unit.data);
    ra_status status = ra_coarse_pays(d) ? largest_coarsely(backend, &unit, &largest, &done, err) : RA_OK;
    if (status == RA_OK && !done) status = largest_of_tiles(backend, &unit, &largest, err);
    ra_matrix_release(&unit);
    if (status == RA_OK) *value = largest;
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
