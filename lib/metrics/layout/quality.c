/* How well a map keeps who is near whom, on a sample of the atoms: for each of them, its cosines with all atoms and its
 * distances to all positions, exactly.
 *
 * Atoms of equal cosine are equally near: an atom counts as near if fewer than k are nearer. So a map is not blamed for
 * its choice among copies, nor among atoms of zeros. */
#include "metrics/layout/layout.h"
#include "ra_memory.h"
#include "metrics/unit.h"

#include <math.h>
#include <string.h>

enum { CHUNK_ATOMS = 256, MOST_COUNTED = 64 };

typedef struct quality_job {
    const float *positions; /* [K,2] */
    size_t K, k, sampled;
    const float *cosines; /* [CHUNK_ATOMS,K] */
    size_t first;         /* of the chunk, in the sample */
    size_t *kept;         /* [CHUNK_ATOMS] of the k nearest */
    double *intruded;     /* [CHUNK_ATOMS] ranks beyond k of those that are near on the map only */
} quality_job;

/* The t-th of the sample, which is spread evenly. */
static size_t sampled_atom(const quality_job *job, size_t t) {
    return t * job->K / job->sampled;
}

/* The k smallest keys, ascending; of equal keys the lower index first. */
typedef struct smallest {
    size_t count, index[MOST_COUNTED];
    float key[MOST_COUNTED];
} smallest;

static void offer(smallest *list, size_t k, size_t j, float key) {
    if (list->count == k && key >= list->key[k - 1]) return;
    size_t at = list->count < k ? list->count++ : k - 1;
    for (; at > 0 && list->key[at - 1] > key; at--) {
        list->key[at] = list->key[at - 1];
        list->index[at] = list->index[at - 1];
    }
    list->key[at] = key;
    list->index[at] = j;
}

static void measure_atom(void *context, size_t part) {
    const quality_job *job = context;
    size_t i = sampled_atom(job, job->first + part), K = job->K, k = job->k;
    const float *cosine = job->cosines + part * K, *own = job->positions + 2 * i;
    smallest shown = {.count = 0};
    for (size_t j = 0; j < K; j++) {
        float x = job->positions[2 * j] - own[0], y = job->positions[2 * j + 1] - own[1];
        if (j != i) offer(&shown, k, j, x * x + y * y);
    }
    job->kept[part] = 0;
    job->intruded[part] = 0;
    for (size_t t = 0; t < shown.count; t++) {
        float limit = cosine[shown.index[t]];
        size_t nearer = 0;
        for (size_t o = 0; o < K; o++) nearer += cosine[o] > limit;
        nearer -= cosine[i] > limit; /* itself */
        if (nearer < k)
            job->kept[part]++;
        else
            job->intruded[part] += (double)(nearer + 1 - k);
    }
}

static ra_status measure_chunk(ra_backend *backend, quality_job *job, const float *unit, size_t d,
                               size_t count, float *rows, float *cosines, ra_error *err) {
    for (size_t t = 0; t < count; t++)
        memcpy(rows + t * d, unit + sampled_atom(job, job->first + t) * d, d * sizeof *rows);
    RA_TRY(ra_products(backend, rows, count, unit, job->K, d, cosines, err));
    ra_pool_run(ra_backend_pool(backend), count, measure_atom, job);
    return RA_OK;
}

ra_status ra_layout_measure(ra_backend *backend, const float *D, size_t K, size_t d, const float *positions,
                            size_t k, size_t sample, ra_layout_quality *quality, ra_error *err) {
    size_t kept[CHUNK_ATOMS];
    double intruded[CHUNK_ATOMS], all_kept = 0, all_intruded = 0;
    RA_TRY(ra_need_host_backend(backend, "a layout", err));
    if (k == 0 || k > MOST_COUNTED)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%zu neighbors cannot be counted; expected 1 to %d", k, MOST_COUNTED);
    if (k > K - 1) k = K - 1;
    if (sample == 0 || sample > K) sample = K;
    *quality = (ra_layout_quality){.atoms = sample, .preserved = 1, .trustworthiness = 1};
    if (k == 0) return RA_OK;
    float *unit = ra_malloc(K * d, sizeof *unit), *rows = ra_malloc(CHUNK_ATOMS * d, sizeof *rows),
          *cosines = ra_malloc(CHUNK_ATOMS * K, sizeof *cosines);
    ra_status status = RA_OK;
    if (!unit || !rows || !cosines)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the neighbors of %zu atoms", K);
    else
        ra_unit_rows(ra_backend_pool(backend), D, K, d, unit);
    quality_job job = {.positions = positions,
                       .K = K,
                       .k = k,
                       .sampled = sample,
                       .cosines = cosines,
                       .kept = kept,
                       .intruded = intruded};
    for (; job.first < sample && status == RA_OK; job.first += CHUNK_ATOMS) {
        size_t count = sample - job.first < CHUNK_ATOMS ? sample - job.first : CHUNK_ATOMS;
        status = measure_chunk(backend, &job, unit, d, count, rows, cosines, err);
        for (size_t t = 0; t < count && status == RA_OK; t++) {
            all_kept += (double)kept[t];
            all_intruded += intruded[t];
        }
    }
    ra_free(unit);
    ra_free(rows);
    ra_free(cosines);
    RA_TRY(status);
    double counted = (double)sample * (double)k, worst = 2.0 * (double)K - 3.0 * (double)k - 1;
    quality->preserved = all_kept / counted;
    quality->trustworthiness = 2 * k < K ? 1 - 2 * all_intruded / (counted * worst) : NAN;
    return RA_OK;
}
