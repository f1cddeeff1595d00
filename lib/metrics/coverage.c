/* The cosines are matrix products of unit atoms with unit rows, and each atom keeps its maximum. Where it pays, a product
 * in 8 bits rules out almost all of them (tensor/coarse.h), and the rest are computed in float64. If it rules out too few,
 * as when all rows are alike, and on other machines, the product is one in float32, a tile at a time. */
#include "metrics/coverage.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "metrics/unit.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum {
    PART_ATOMS = 64,
    LANES = 16,
    FOUND_SHARE = 8, /* one cosine in so many: with more of them, a product in float32 takes less time */
    JUDGED_ROWS = 1024,
};

static size_t panels_of(const ra_coverage *coverage) {
    return ra_pool_parts(coverage->atoms, RA_COARSE_PANEL);
}

static ra_status prepare_coarse(ra_coverage *coverage, ra_error *err) {
    size_t K = coverage->atoms, d = coverage->dimensions;
    if (!ra_coarse_pays(d)) return RA_OK;
    RA_TRY(ra_coarse_init(&coverage->coarse_atoms, true, K, d, err));
    RA_TRY(ra_coarse_init(&coverage->coarse_rows, false, RA_TILE, d, err));
    coverage->found = ra_calloc(panels_of(coverage), sizeof *coverage->found);
    if (!coverage->found)
        RA_FAIL_MEMORY(err, "the cosines of atoms with data", panels_of(coverage) * sizeof(size_t));
    ra_coarse_round(&coverage->coarse_atoms, ra_backend_pool(coverage->backend), coverage->unit, K);
    coverage->coarse = true;
    return RA_OK;
}

ra_status ra_coverage_init(ra_coverage *coverage, ra_backend *backend, const ra_tensor *D, ra_error *err) {
    size_t K = D->shape[0], d = D->shape[1];
    *coverage = (ra_coverage){.backend = backend, .atoms = K, .dimensions = d};
    coverage->unit = ra_malloc(K * d, sizeof *coverage->unit);
    coverage->rows = ra_malloc(RA_TILE * d, sizeof *coverage->rows);
    coverage->score = ra_malloc((K < RA_TILE ? K : RA_TILE) * RA_TILE, sizeof *coverage->score);
    coverage->best = ra_malloc(K, sizeof *coverage->best);
    if (!coverage->unit || !coverage->rows || !coverage->score || !coverage->best) {
        ra_coverage_release(coverage);
        RA_FAIL_MEMORY(err, "the cosines of atoms with data", (K + RA_TILE) * d * sizeof(float));
    }
    ra_convert_to_f32(D->dtype, D->data, coverage->unit, K * d);
    ra_unit_rows(ra_backend_pool(backend), coverage->unit, K, d, coverage->unit);
    for (size_t k = 0; k < K; k++) coverage->best[k] = -INFINITY;
    ra_status status = prepare_coarse(coverage, err);
    if (status != RA_OK) ra_coverage_release(coverage);
    return status;
}

void ra_coverage_release(ra_coverage *coverage) {
    ra_free(coverage->unit);
    ra_free(coverage->rows);
    ra_free(coverage->score);
    ra_free(coverage->best);
    ra_free(coverage->found);
    ra_coarse_release(&coverage->coarse_atoms);
    ra_coarse_release(&coverage->coarse_rows);
    *coverage = (ra_coverage){0};
}

typedef struct best_job {
    const float *score; /* [atoms, rows] */
    size_t atoms, rows;
    float *best;
} best_job;

RA_MULTIVERSION static float largest(const float *restrict x, size_t n, float start) {
    float lane[LANES];
    size_t i = 0;
    for (size_t l = 0; l < LANES; l++) lane[l] = start;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (; i < n; i++) start = x[i] > start ? x[i] : start;
    for (size_t l = 0; l < LANES; l++) start = lane[l] > start ? lane[l] : start;
    return start;
}

static void best_part(void *context, size_t part) {
    const best_job *job = context;
    size_t from = part * PART_ATOMS;
    for (size_t k = from; k < from + PART_ATOMS && k < job->atoms; k++)
        job->best[k] = largest(job->score + k * job->rows, job->rows, job->best[k]);
}

/* coverage->rows [rows,d] */
static ra_status add_tiles(ra_coverage *coverage, size_t rows, ra_error *err) {
    ra_pool *pool = ra_backend_pool(coverage->backend);
    size_t K = coverage->atoms, d = coverage->dimensions;
    for (size_t first = 0; first < K; first += RA_TILE) {
        size_t atoms = K - first < RA_TILE ? K - first : RA_TILE;
        RA_TRY(ra_products(coverage->backend, coverage->unit + first * d, atoms, coverage->rows, rows, d,
                           coverage->score, err));
        best_job job = {coverage->score, atoms, rows, coverage->best + first};
        ra_pool_run(pool, ra_pool_parts(atoms, PART_ATOMS), best_part, &job);
    }
    return RA_OK;
}

/* ---- in 8 bits ----------------------------------------------------------------------------------------- */

static float found_cosine(void *context, size_t atom, size_t row) {
    ra_coverage *coverage = context;
    size_t d = coverage->dimensions;
    float cosine = (float)ra_dot_f64(coverage->unit + atom * d, coverage->rows + row * d, d);
    coverage->found[atom / RA_COARSE_PANEL]++;
    if (cosine > coverage->best[atom]) coverage->best[atom] = cosine;
    return coverage->best[atom];
}

static void panel_part(void *context, size_t part) {
    ra_coverage *coverage = context;
    size_t first = part * RA_COARSE_PANEL;
    float bar[RA_COARSE_PANEL];
    for (size_t c = 0; c < RA_COARSE_PANEL; c++)
        bar[c] = first + c < coverage->atoms ? coverage->best[first + c] : INFINITY;
    ra_coarse_compare(&coverage->coarse_atoms, part, &coverage->coarse_rows, 0, false, bar, found_cosine,
                      coverage);
}

/* Once in JUDGED_ROWS rows. At first nothing can be ruled out, and so a few rows alone say little. */
static void judge(ra_coverage *coverage) {
    size_t panels = panels_of(coverage), found = 0;
    if (coverage->coarse_count < JUDGED_ROWS) return;
    for (size_t p = 0; p < panels; p++) found += coverage->found[p];
    coverage->coarse = found <= coverage->atoms * coverage->coarse_count / FOUND_SHARE;
    memset(coverage->found, 0, panels * sizeof *coverage->found);
    coverage->coarse_count = 0;
}

static void add_coarse(ra_coverage *coverage, size_t rows) {
    ra_pool *pool = ra_backend_pool(coverage->backend);
    ra_coarse_round(&coverage->coarse_rows, pool, coverage->rows, rows);
    ra_pool_run(pool, panels_of(coverage), panel_part, coverage);
    coverage->coarse_count += rows;
    judge(coverage);
}

ra_status ra_coverage_add(ra_coverage *coverage, const float *x, size_t rows, ra_error *err) {
    for (size_t from = 0; from < rows; from += RA_TILE) {
        size_t count = rows - from < RA_TILE ? rows - from : RA_TILE;
        ra_unit_rows(ra_backend_pool(coverage->backend), x + from * coverage->dimensions, count,
                     coverage->dimensions, coverage->rows);
        if (coverage->coarse)
            add_coarse(coverage, count);
        else
            RA_TRY(add_tiles(coverage, count, err));
    }
    return RA_OK;
}

double ra_coverage_ood(const ra_coverage *coverage) {
    double sum = 0;
    for (size_t k = 0; k < coverage->atoms; k++) sum += (double)coverage->best[k];
    return 1 - sum / (double)coverage->atoms;
}
