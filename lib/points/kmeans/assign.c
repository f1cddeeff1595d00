/* Assigns every row to its nearest center, exactly, but computes only some of the distances.
 *
 * From the last assignment, a row has its center and a lower bound of its distance to every other. The
 * centers have moved since then: by the triangle inequality, that lowers a bound by at most the largest
 * movement. The distance to the row's own center is computed in any case (it is part of the inertia, and
 * costs d operations instead of N d). If it is below the bound, the center is still the nearest (Hamerly
 * 2010).
 *
 * Late in a run most centers hardly move, but a few still do, and these few would spoil the bounds of all
 * rows. So before each pass the centers are divided into slow and fast ones. The bounds are lowered by the
 * largest movement of a slow center; a row that passes that test is compared with the fast centers only. The
 * division is the one that leaves the fewest pairs to compute, estimated from how far the rows' bounds exceed
 * their distances. If all centers are slow, this is Hamerly's test; if all are fast, as in the first pass,
 * nothing is saved.
 *
 * A pass reads the data once, in order. Rows of a chunk that need a search are gathered, so that the search
 * is one large matrix product. Sums run over all rows, in order, so that the result depends on the centers
 * alone and not on the bounds. */
#include "points/kmeans/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PART_ROWS = 64,
    CUTS = 7, /* no center is fast, or 1/64, 1/32 ... 1/2 of them */
};

enum fate { KEEP, SEARCH_FAST, SEARCH_ALL };

/* A bound minus a movement, rounded down. */
static float shrink(float bound, double by) {
    double rest = (double)bound - by;
    return rest > 0 ? nextafterf((float)rest, 0) : 0;
}

/* Whether a bound exceeds a distance by more than the rounding errors of float64. */
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

/* Returns how many centers are fast; *slowest <- the largest movement of the others. run->order holds the
 * movements, descending. */
static size_t choose_cut(const ra_kmeans *run, float *slowest) {
    size_t fast[CUTS] = {0}, pass[CUTS + 1] = {0}, N = run->clusters;
    float limit[CUTS];
    for (size_t c = 0; c < CUTS; c++) {
        if (c) fast[c] = N >> (CUTS - c);
        limit[c] = run->order[fast[c]];
    }
    for (size_t i = 0; i < run->rows; i++) { /* the first cut at which the row passes, by an estimate */
        float slack = run->lower[i] - (float)(sqrt(run->distance[i]) + run->moved[run->label[i]]);
        size_t cut = 0;
        while (cut < CUTS && !(slack > limit[cut])) cut++;
        pass[cut]++;
    }
    size_t best = 0, passed = 0;
    double least = INFINITY;
    for (size_t c = 0; c < CUTS; c++) { /* a row that passes at cut 0 is compared with no center */
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

/* Divides the centers by how far they moved. */
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

/* ---- one chunk ---------------------------------------------------------------------------------------- */

typedef struct fate_job {
    const ra_kmeans *run;
    double slowest, fastest;
} fate_job;

static void decide(const fate_job *job, size_t i) {
    const ra_kmeans *run = job->run;
    const ra_row_reader *reader = &run->nearest.reader;
    size_t row = reader->first + i, d = run->dimensions;
    const float *center = run->center + (size_t)run->label[row] * d;
    double squared = ra_squared_distance(reader->chunk + i * d, center, d), distance = sqrt(squared);
    float slow = shrink(run->lower[row], job->slowest), any = shrink(run->lower[row], job->fastest);
    run->distance[row] = squared;
    run->fate[i] = is_above(any, distance) ? KEEP : is_above(slow, distance) ? SEARCH_FAST : SEARCH_ALL;
    const float left[] = {[KEEP] = any, [SEARCH_FAST] = slow, [SEARCH_ALL] = INFINITY};
    run->lower[row] = left[run->fate[i]];
}

static void decide_part(void *context, size_t part) {
    const fate_job *job = context;
    size_t count = job->run->nearest.reader.count, from = part * PART_ROWS;
    for (size_t i = from; i < from + PART_ROWS && i < count; i++) decide(job, i);
}

/* In the first pass, every row needs a search. */
static void decide_afresh(ra_kmeans *run) {
    const ra_row_reader *reader = &run->nearest.reader;
    for (size_t i = 0; i < reader->count; i++) {
        run->label[reader->first + i] = -1;
        run->distance[reader->first + i] = run->lower[reader->first + i] = INFINITY;
    }
    memset(run->fate, SEARCH_ALL, reader->count);
}

static ra_status search(ra_kmeans *run, enum fate fate, ra_point_set *set, ra_error *err) {
    const ra_row_reader *reader = &run->nearest.reader;
    size_t count = 0;
    for (size_t i = 0; i < reader->count; i++)
        if (run->fate[i] == fate) run->picked[count++] = (int32_t)i;
    const ra_nearest_state state = {run->label + reader->first, run->distance + reader->first,
                                    run->lower + reader->first};
    return ra_nearest_point(&run->nearest, set, run->picked, count, &state, err);
}

static void add_to_clusters(ra_kmeans *run) {
    const ra_row_reader *reader = &run->nearest.reader;
    const int32_t *label = run->label + reader->first;
    ra_row_reader_accumulate(reader, label, run->sums);
    for (size_t i = 0; i < reader->count; i++) {
        run->members[label[i]]++;
        run->inertia += run->distance[reader->first + i];
    }
}

ra_status ra_kmeans_assign(ra_kmeans *run, ra_error *err) {
    ra_row_reader *reader = &run->nearest.reader;
    float slowest = 0, fastest = 0;
    ra_nearest_set(&run->nearest, run->center);
    if (run->bounded) part_centers(run, &slowest, &fastest);
    memset(run->sums, 0, run->clusters * run->dimensions * sizeof *run->sums);
    memset(run->members, 0, run->clusters * sizeof *run->members);
    run->inertia = 0;
    fate_job job = {run, (double)slowest, (double)fastest};
    for (size_t from = 0; from < run->rows; from += reader->count) {
        ra_row_reader_load(reader, from);
        if (run->bounded)
            ra_pool_run(reader->pool, ra_pool_parts(reader->count, PART_ROWS), decide_part, &job);
        else
            decide_afresh(run);
        RA_TRY(search(run, SEARCH_FAST, &run->fast, err));
        RA_TRY(search(run, SEARCH_ALL, &run->nearest.points, err));
        add_to_clusters(run);
    }
    run->bounded = true;
    return RA_OK;
}
