/* Every row to its nearest center, exactly, without looking at most pairs twice.
 *
 * From the search before, a row knows its center and a lower bound on its distance to any other. Centers have
 * moved since: by the triangle inequality a bound shrinks by no more than the largest movement. The distance
 * to the row's own center is computed (it is needed for the inertia anyway, and costs d operations in the
 * place of N d). While it is below the bound nothing can have changed (Hamerly 2010).
 *
 * Late in a run most centers stand still while a few still travel, and the travel of those few would ruin the
 * bound for all rows. So the centers are parted anew before each pass: the slow ones take their largest
 * movement off the bound, and a row that passes is held against the fast ones alone. Where the cut is made
 * follows from the slack that the rows have: the cut with the fewest pairs to compute wins. With every center
 * slow this is Hamerly's test; with every center fast nothing is saved, and the first pass is like that.
 *
 * A pass reads the data once, in order. Rows that need a search are gathered within a block, so that a search
 * stays one large product, and sums run over all rows in their order, whatever was skipped: what comes out
 * depends on the centers alone, not on the bounds. */
#include "points/kmeans/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PART_ROWS = 64,
    CUTS = 7, /* none of the centers fast, or 1/64, 1/32 ... 1/2 of them */
};

enum fate { KEEP, SEARCH_FAST, SEARCH_ALL };

/* Takes a movement off a bound, rounded down. */
static float shrink(float bound, double by) {
    double rest = (double)bound - by;
    return rest > 0 ? nextafterf((float)rest, 0) : 0;
}

/* Whether a bound is above a distance, beyond what float64 rounding could explain. */
static bool is_above(float bound, double distance) {
    return (double)bound > distance * (1 + 1e-12);
}

/* ---- fast and slow centers ---------------------------------------------------------------------------- */

static int falling(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static float above(double value) {
    return nextafterf((float)value, INFINITY);
}

/* How many centers to call fast; *slowest <- a bound on the movement of the others. order: movements,
 * falling.
 */
static size_t choose_cut(const ra_kmeans *run, float *slowest) {
    size_t fast[CUTS] = {0}, pass[CUTS + 1] = {0}, N = run->clusters;
    float limit[CUTS];
    for (size_t c = 0; c < CUTS; c++) {
        if (c) fast[c] = N >> (CUTS - c);
        limit[c] = run->order[fast[c]];
    }
    for (size_t i = 0; i < run->rows; i++) { /* at which cut a row begins to pass, as far as can be told */
        float slack = run->lower[i] - (float)(sqrt(run->distance[i]) + run->moved[run->label[i]]);
        size_t cut = 0;
        while (cut < CUTS && !(slack > limit[cut])) cut++;
        pass[cut]++;
    }
    size_t best = 0, passed = 0;
    double least = INFINITY;
    for (size_t c = 0; c < CUTS; c++) { /* rows that pass the first are held against none at any cut */
        passed += pass[c];
        double pairs =
            (double)(passed - pass[0]) * (double)fast[c] + (double)(run->rows - passed) * (double)N;
        if (pairs >= least) continue;
        least = pairs;
        best = c;
    }
    *slowest = limit[best];
    return fast[best];
}

/* Parts the centers by how far they went. */
static void part_centers(ra_kmeans *run, float *slowest, float *fastest) {
    size_t N = run->clusters, count = 0;
    for (size_t c = 0; c < N; c++) run->order[c] = run->step[c] = above(run->moved[c]);
    qsort(run->order, N, sizeof *run->order, falling);
    *fastest = run->order[0];
    size_t fast = choose_cut(run, slowest);
    for (size_t c = 0; fast && c < N; c++)
        if (run->step[c] > *slowest) run->index[count++] = (int32_t)c;
    ra_point_set_select(&run->fast, &run->nearest.points, run->index, count);
}

/* ---- one block ---------------------------------------------------------------------------------------- */

typedef struct fate_job {
    const ra_kmeans *run;
    double slowest, fastest;
} fate_job;

static void decide(const fate_job *job, size_t i) {
    const ra_kmeans *run = job->run;
    const ra_row_block *block = &run->nearest.block;
    size_t row = block->first + i, d = run->dimensions;
    const float *center = run->center + (size_t)run->label[row] * d;
    double squared = ra_squared_distance(block->raw + i * d, center, d), distance = sqrt(squared);
    float slow = shrink(run->lower[row], job->slowest), all = shrink(run->lower[row], job->fastest);
    run->distance[row] = squared;
    run->fate[i] = is_above(all, distance) ? KEEP : is_above(slow, distance) ? SEARCH_FAST : SEARCH_ALL;
    const float left[] = {[KEEP] = all, [SEARCH_FAST] = slow, [SEARCH_ALL] = INFINITY};
    run->lower[row] = left[run->fate[i]];
}

static void decide_part(void *context, size_t part) {
    const fate_job *job = context;
    size_t count = job->run->nearest.block.count, from = part * PART_ROWS;
    for (size_t i = from; i < from + PART_ROWS && i < count; i++) decide(job, i);
}

/* The first pass knows nothing. */
static void decide_afresh(ra_kmeans *run) {
    const ra_row_block *block = &run->nearest.block;
    for (size_t i = 0; i < block->count; i++) {
        run->label[block->first + i] = -1;
        run->distance[block->first + i] = run->lower[block->first + i] = INFINITY;
    }
    memset(run->fate, SEARCH_ALL, block->count);
}

static ra_status search(ra_kmeans *run, enum fate fate, ra_point_set *set, ra_error *err) {
    const ra_row_block *block = &run->nearest.block;
    size_t count = 0;
    for (size_t i = 0; i < block->count; i++)
        if (run->fate[i] == fate) run->picked[count++] = (int32_t)i;
    const ra_nearest_state state = {run->label + block->first, run->distance + block->first,
                                    run->lower + block->first};
    return ra_nearest_point(&run->nearest, set, run->picked, count, &state, err);
}

static void add_to_clusters(ra_kmeans *run) {
    const ra_row_block *block = &run->nearest.block;
    const int32_t *label = run->label + block->first;
    ra_row_block_accumulate(block, label, run->sums);
    for (size_t i = 0; i < block->count; i++) {
        run->members[label[i]]++;
        run->inertia += run->distance[block->first + i];
    }
}

ra_status ra_kmeans_assign(ra_kmeans *run, ra_error *err) {
    ra_row_block *block = &run->nearest.block;
    float slowest = 0, fastest = 0;
    ra_nearest_set(&run->nearest, run->center);
    if (run->bounded) part_centers(run, &slowest, &fastest);
    memset(run->sums, 0, run->clusters * run->dimensions * sizeof *run->sums);
    memset(run->members, 0, run->clusters * sizeof *run->members);
    run->inertia = 0;
    fate_job job = {run, (double)slowest, (double)fastest};
    for (size_t from = 0; from < run->rows; from += block->count) {
        ra_row_block_load(block, from);
        if (run->bounded)
            ra_pool_run(block->pool, ra_pool_parts(block->count, PART_ROWS), decide_part, &job);
        else
            decide_afresh(run);
        RA_TRY(search(run, SEARCH_FAST, &run->fast, err));
        RA_TRY(search(run, SEARCH_ALL, &run->nearest.points, err));
        add_to_clusters(run);
    }
    run->bounded = true;
    return RA_OK;
}
