/* Mini-batch k-means (Sculley 2010): assigns a batch of random rows to the nearest centers; each center
 * becomes the mean of all rows that it has received so far. It reads a small part of large data, and ends
 * with a somewhat larger inertia than Lloyd's algorithm.
 *
 * The rows of a batch follow from the seed and the number of the iteration, and whether to stop from how far
 * the batch would move the centers. So the centers, the number of rows that each has received and the number
 * of the iteration are the whole state of a run. The inertia that an iteration reports is that of its batch,
 * scaled to all rows; the one at the end is exact. */
#include "points/kmeans/kmeans.h"
#include "ra_memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_LEAST = 1024,
    ROWS_PER_CLUSTER = 4, /* of a batch */
};

static const uint64_t batch_stream = 0x2545f4914f6cdd1du; /* other random numbers than the rest of the run */

static int rising(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorted, because that is the order on the disk. */
static void draw_batch(const ra_kmeans *run, uint64_t *row, size_t count) {
    ra_random random;
    ra_random_seed(&random, (run->options->seed ^ batch_stream) + 0x9e3779b97f4a7c15u * run->iteration);
    for (size_t i = 0; i < count; i++) row[i] = ra_random_below(&random, run->rows);
    qsort(row, count, sizeof *row, rising);
}

/* run->sums, and fresh [N] <- the members of the batch. */
static ra_status assign_batch(ra_kmeans *run, const uint64_t *row, size_t count, uint64_t *fresh,
                              ra_error *err) {
    ra_row_reader *reader = &run->nearest.reader;
    const ra_nearest_state state = {run->label, run->distance, NULL};
    ra_nearest_set(&run->nearest, run->center);
    memset(run->sums, 0, run->clusters * run->dimensions * sizeof *run->sums);
    memset(fresh, 0, run->clusters * sizeof *fresh);
    double inertia = 0;
    for (size_t from = 0; from < count; from += reader->count) {
        size_t rest = count - from;
        ra_row_reader_gather(reader, row + from, rest < reader->capacity ? rest : reader->capacity);
        for (size_t i = 0; i < reader->count; i++) {
            run->label[i] = -1;
            run->distance[i] = INFINITY;
        }
        RA_TRY(ra_nearest_point(&run->nearest, &run->nearest.points, NULL, 0, &state, err));
        ra_row_reader_accumulate(reader, run->label, run->sums);
        for (size_t i = 0; i < reader->count; i++) {
            fresh[run->label[i]]++;
            inertia += run->distance[i];
        }
    }
    run->inertia = inertia * ((double)run->rows / (double)count);
    return RA_OK;
}

/* Moves the centers by the batch, or with `move` false only measures that; returns the mean squared
 * movement. */
static double update_centers(ra_kmeans *run, const uint64_t *fresh, bool move) {
    size_t d = run->dimensions;
    double moved = 0;
    for (size_t c = 0; c < run->clusters; c++) {
        if (!fresh[c]) continue;
        double seen = (double)run->members[c], total = seen + (double)fresh[c];
        float *center = run->center + c * d;
        const double *sums = run->sums + c * d;
        for (size_t j = 0; j < d; j++) {
            float mean = (float)((seen * (double)center[j] + sums[j]) / total);
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
    size_t batch = ROWS_PER_CLUSTER * run->clusters;
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
