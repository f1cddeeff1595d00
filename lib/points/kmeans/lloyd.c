/* Lloyd's algorithm (1982): assigns every row to its nearest center, then moves every center to the mean of
 * its rows.
 *
 * The inertia that a run returns is that of the centers it returns, and these are the means of the assignment
 * before. Whether to stop is decided before the centers move, from how far they would: so it depends on the
 * centers alone, and a continued run stops where the uninterrupted one would have. Sums are in the order of
 * the rows, and no division of work depends on the number of threads. */
#include "points/kmeans/kmeans.h"

#include <math.h>

enum { PART_CENTRES = 16 };

/* The row farthest from its center, of those that are not alone in their cluster; run->rows if every such row
 * is at its center. */
static size_t farthest_row(const ra_kmeans *run) {
    size_t best = run->rows;
    double farthest = 0;
    for (size_t i = 0; i < run->rows; i++) {
        if (!(run->distance[i] > farthest) || run->members[run->label[i]] < 2) continue;
        farthest = run->distance[i];
        best = i;
    }
    return best;
}

/* Moves a row to an empty cluster. Its bound held for another center, so it becomes 0. */
static void move_row(ra_kmeans *run, size_t row, size_t to) {
    size_t d = run->dimensions, donor = (size_t)run->label[row];
    double *sums = run->sums + to * d, *rest = run->sums + donor * d;
    ra_row_reader_read(&run->nearest.reader, &(uint64_t){row}, 1, run->row);
    for (size_t j = 0; j < d; j++) {
        sums[j] = (double)run->row[j];
        rest[j] -= (double)run->row[j];
    }
    run->members[donor]--;
    run->members[to] = 1;
    run->label[row] = (int32_t)to;
    run->distance[row] = 0;
    run->lower[row] = 0;
}

/* Gives each empty cluster a row; returns to how many. If there are fewer different rows than clusters, some
 * stay empty and keep their centers. */
static size_t fill_empty(ra_kmeans *run) {
    size_t filled = 0;
    for (size_t c = 0; c < run->clusters; c++) {
        if (run->members[c]) continue;
        size_t row = farthest_row(run);
        if (row == run->rows) break;
        move_row(run, row, c);
        filled++;
    }
    return filled;
}

typedef struct mean_job {
    ra_kmeans *run;
    bool move; /* false: only measure the movement */
} mean_job;

/* One center moves to the mean of its rows; that of an empty cluster stays. */
static void take_mean(const mean_job *job, size_t c) {
    ra_kmeans *run = job->run;
    size_t d = run->dimensions;
    const double *sums = run->sums + c * d;
    float *center = run->center + c * d;
    double members = (double)run->members[c], squared = 0;
    for (size_t j = 0; run->members[c] && j < d; j++) {
        float mean = (float)(sums[j] / members);
        double gap = (double)mean - (double)center[j];
        squared += gap * gap;
        if (job->move) center[j] = mean;
    }
    run->moved[c] = sqrt(squared);
}

static void mean_part(void *context, size_t part) {
    const mean_job *job = context;
    for (size_t c = part * PART_CENTRES; c < (part + 1) * PART_CENTRES && c < job->run->clusters; c++)
        take_mean(job, c);
}

/* run->moved <- how far each center is from the mean of its rows. Returns the mean of the squares. */
static double means(ra_kmeans *run, bool move) {
    mean_job job = {run, move};
    double total = 0;
    ra_pool_run(run->nearest.reader.pool, ra_pool_parts(run->clusters, PART_CENTRES), mean_part, &job);
    for (size_t c = 0; c < run->clusters; c++) total += run->moved[c] * run->moved[c];
    return total / (double)run->clusters;
}

/* ---- before the first pass -------------------------------------------------------------------------------- */

/* A sample of so many rows shows where the centers of the clusters are nearly as well as all rows do, in a part of
 * the time: the first pass over all rows, in which no bound helps yet, starts from better centers. */
enum { WARM_PER_CLUSTER = 32, WARM_LEAST = 1 << 14, WORTH = 2 };

ra_status ra_kmeans_warm_up(ra_kmeans *run, ra_backend *backend, const ra_data *data, ra_error *err) {
    size_t rows = WARM_PER_CLUSTER * run->clusters;
    if (rows < WARM_LEAST) rows = WARM_LEAST;
    if (run->sample || run->rows / WORTH < rows) return RA_OK;
    ra_kmeans_options few = *run->options;
    ra_kmeans sample;
    few.rows = rows;
    ra_status status = ra_kmeans_init(&sample, backend, data, &few, run->center, err);
    if (status == RA_OK) status = ra_kmeans_assign(&sample, err);
    if (status == RA_OK) {
        (void)fill_empty(&sample);
        (void)means(&sample, true);
    }
    ra_kmeans_release(&sample);
    return status;
}

/* ---- all passes ------------------------------------------------------------------------------------------- */

ra_status ra_kmeans_lloyd(ra_kmeans *run, ra_error *err) {
    for (;;) {
        RA_TRY(ra_kmeans_assign(run, err));
        RA_TRY(ra_kmeans_report(run, err));
        if (run->iteration >= run->options->max_iterations) return RA_OK;
        size_t filled = fill_empty(run);
        double movement = means(run, false);
        if (movement == 0 || (movement <= run->tolerance && !filled)) return RA_OK;
        (void)means(run, true);
        run->iteration++;
    }
}
