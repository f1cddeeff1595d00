/* The cosines are matrix products of unit atoms with unit rows, a tile at a time; each atom keeps its
 * maximum. */
#include "metrics/coverage.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "metrics/unit.h"

#include <math.h>

enum { PART_ATOMS = 64, LANES = 16 };

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
    return RA_OK;
}

void ra_coverage_release(ra_coverage *coverage) {
    ra_free(coverage->unit);
    ra_free(coverage->rows);
    ra_free(coverage->score);
    ra_free(coverage->best);
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

static ra_status add_tiles(ra_coverage *coverage, const float *x, size_t rows, ra_error *err) {
    ra_pool *pool = ra_backend_pool(coverage->backend);
    size_t K = coverage->atoms, d = coverage->dimensions;
    ra_unit_rows(pool, x, rows, d, coverage->rows);
    for (size_t first = 0; first < K; first += RA_TILE) {
        size_t atoms = K - first < RA_TILE ? K - first : RA_TILE;
        RA_TRY(ra_products(coverage->backend, coverage->unit + first * d, atoms, coverage->rows, rows, d,
                           coverage->score, err));
        best_job job = {coverage->score, atoms, rows, coverage->best + first};
        ra_pool_run(pool, ra_pool_parts(atoms, PART_ATOMS), best_part, &job);
    }
    return RA_OK;
}

ra_status ra_coverage_add(ra_coverage *coverage, const float *x, size_t rows, ra_error *err) {
    for (size_t from = 0; from < rows; from += RA_TILE) {
        size_t count = rows - from < RA_TILE ? rows - from : RA_TILE;
        RA_TRY(add_tiles(coverage, x + from * coverage->dimensions, count, err));
    }
    return RA_OK;
}

double ra_coverage_ood(const ra_coverage *coverage) {
    double sum = 0;
    for (size_t k = 0; k < coverage->atoms; k++) sum += (double)coverage->best[k];
    return 1 - sum / (double)coverage->atoms;
}
