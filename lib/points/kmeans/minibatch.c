/* Mini-batch k-means (Sculley 2010): a batch of random rows goes to the nearest centers, and each center
 * becomes the mean of all the rows it has been given so far. It reads a small part of large data, and ends
 * somewhat above what Lloyd's algorithm reaches.
 *
 * The rows of a batch follow from the seed and the iteration's number, and whether to stop from how far the
 * centers would go for it: so centers, the rows that each has seen and the number are all there is to a run
 * that is to be continued. The inertia reported on the way is that of the batch, scaled to all rows; the
 * one at the end is exact. */
#include "points/kmeans/kmeans.h"
#include "ra_memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_LEAST = 1024,
    ROWS_A_CLUSTER = 4, /* of a batch */
};

static const uint64_t batch_stream = 0x2545f4914f6cdd1du; /* apart from other numbers of the same seed */

static int rising(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* In their order, which is that of the disk. */
static void draw_batch(const ra_kmeans *run, uint64_t *row, size_t count) {
    ra_random random;
    ra_random_seed(&random, (run->options->seed ^ batch_stream) + 0x9e3779b97f4a7c15u * run->iteration);
    for (size_t i = 0; i < count; i++) row[i] = ra_random_below(&random, run->rows);
    qsort(row, count, sizeof *row, rising);
}

/* Sums and fresh [N] members of the batch. */
static ra_status assign_batch(ra_kmeans *run, const uint64_t *row, size_t count, uint64_t *fresh,
                              ra_error *err) {
    ra_row_block *block = &run->nearest.block;
    const ra_nearest_state state = {run->label, run->distance, NULL};
    ra_nearest_set(&run->nearest, run->center);
    memset(run->sums, 0, run->clusters * run->dimensions * sizeof *run->sums);
    memset(fresh, 0, run->clusters * sizeof *fresh);
    double inertia = 0;
    for (size_t from = 0; from < count; from += block->count) {
        size_t rest = count - from;
        ra_row_block_gather(block, row + from, rest < block->capacity ? rest : block->capacity);
        for (size_t i = 0; i < block->count; i++) {
            run->label[i] = -1;
            run->distance[i] = INFINITY;
        }
        RA_TRY(ra_nearest_point(&run->nearest, &run->nearest.points, NULL, 0, &state, err));
        ra_row_block_accumulate(block, run->label, run->sums);
        for (size_t i = 0; i < block->count; i++) {
            fresh[run->label[i]]++;
            inertia += run->distance[i];
        }
    }
    run->inertia = inertia * ((double)run->rows / (double)count);
    return RA_OK;
}

/* Centers take the batch in, or with `move` false only would; returns the mean squared movement. */
static double update_centers(ra_kmeans *run, const uint64_t *fresh, bool move) {
    size_t d = run->dimensions;
    double moved = 0;
    for (size_t c = 0; c < run->clusters; c++) {
        if (!fresh[c]) continue;
        double seen = (double)run->members[c], all = seen + (double)fresh[c];
        float *center = run->center + c * d;
        const double *sums = run->sums + c * d;
        for (size_t j = 0; j < d; j++) {
            float mean = (float)((seen * (double)center[j] + sums[j]) / all);
            double gap = (double)mean - (double)center[j];
            moved += gap * gap;
            if (move) center[j] = mean;
        }
        if (move) run->members[c] += fresh[c];
    }
    return moved / (double)run->clusters;
}

static ra_status iterate(ra_kmeans *run, uint64_t *row, size_t batch, uint64_t *fresh, ra_error *err) {
    while (run->iteration < run->options->max_iterations) {
        draw_batch(run, row, batch);
        RA_TRY(assign_batch(run, row, batch, fresh, err));
        if (update_centers(run, fresh, false) <= run->tolerance) break;
        (void)update_centers(run, fresh, true);
        run->iteration++;
        RA_TRY(ra_kmeans_report(run, err));
    }
    return ra_kmeans_assign(run, err);
}

ra_status ra_kmeans_minibatch(ra_kmeans *run, ra_error *err) {
    size_t batch = ROWS_A_CLUSTER * run->clusters;
    if (batch < BATCH_LEAST) batch = BATCH_LEAST;
    uint64_t *row = ra_malloc(batch, sizeof *row), *fresh = ra_malloc(run->clusters, sizeof *fresh);
    ra_status status = RA_OK;
    if (row && fresh)
        status = iterate(run, row, batch, fresh, err);
    else
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: batches of %zu rows for k-means", batch);
    ra_free(row);
    ra_free(fresh);
    return status;
}
