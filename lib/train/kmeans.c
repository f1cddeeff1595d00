/* Lloyd's algorithm. One pass over the data assigns every row to its nearest centre (exactly: nearest.h) and,
 * while the block is at hand, adds it to the sum of its cluster; the sums then give the next centres. So an
 * iteration reads the data once and in order, whether they fit in memory or not, at the price of float64 sums
 * of all centres beside the centres.
 *
 * Sums run in the order of the rows and nothing is cut by the number of threads, so a run depends on data and
 * seed alone. What it returns belongs together: inertia is that of an assignment to the centres returned, and
 * those are the means of the assignment before it. When the run stopped because no row changed its cluster,
 * the two are the same. */
#include "train/kmeans.h"
#include "base/error.h"

#include <math.h>
#include <string.h>

enum { ITERATIONS_DEFAULT = 100 };

static const double tolerance_default = 1e-4;

ra_status ra_kmeans_report(const ra_kmeans *run, size_t iteration, ra_error *err) {
    const ra_kmeans_options *options = run->options;
    if (!options->progress || options->progress(options->context, iteration, run->inertia)) return RA_OK;
    RA_FAIL(err, RA_ERR_CANCELLED, "k-means was stopped in iteration %zu, as asked", iteration);
}

/* ---- passes over the data ----------------------------------------------------------------------------- */

ra_status ra_kmeans_admit(ra_kmeans *run, size_t first, size_t count, ra_error *err) {
    ra_row_block *block = &run->nearest.block;
    ra_nearest_set(&run->nearest, run->centre, first, count);
    run->inertia = 0;
    for (size_t from = 0; from < run->rows; from += block->count) {
        ra_row_block_load(block, from);
        RA_TRY(ra_nearest_point(&run->nearest, first, count, run->label + from, run->distance + from, err));
        for (size_t i = 0; i < block->count; i++) run->inertia += run->distance[from + i];
    }
    return RA_OK;
}

static void add_to_clusters(ra_kmeans *run) {
    const ra_row_block *block = &run->nearest.block;
    const int32_t *label = run->label + block->first;
    ra_row_block_accumulate(block, label, run->sums);
    for (size_t i = 0; i < block->count; i++) run->members[label[i]]++;
}

static void clear_clusters(ra_kmeans *run) {
    memset(run->sums, 0, run->clusters * run->dimensions * sizeof *run->sums);
    memset(run->members, 0, run->clusters * sizeof *run->members);
}

/* The clusters of the labels as they are. */
static void sum_clusters(ra_kmeans *run) {
    ra_row_block *block = &run->nearest.block;
    clear_clusters(run);
    for (size_t from = 0; from < run->rows; from += block->count) {
        ra_row_block_load(block, from);
        add_to_clusters(run);
    }
}

/* Every row to its nearest centre; *changed <- rows that went to another cluster. */
static ra_status assign(ra_kmeans *run, size_t *changed, ra_error *err) {
    ra_row_block *block = &run->nearest.block;
    int32_t before[RA_BLOCK_ROWS];
    ra_nearest_set(&run->nearest, run->centre, 0, run->clusters);
    clear_clusters(run);
    run->inertia = 0;
    *changed = 0;
    for (size_t from = 0; from < run->rows; from += block->count) {
        ra_row_block_load(block, from);
        int32_t *label = run->label + from;
        double *distance = run->distance + from;
        memcpy(before, label, block->count * sizeof *label);
        for (size_t i = 0; i < block->count; i++) distance[i] = INFINITY;
        RA_TRY(ra_nearest_point(&run->nearest, 0, run->clusters, label, distance, err));
        add_to_clusters(run);
        for (size_t i = 0; i < block->count; i++) {
            *changed += label[i] != before[i];
            run->inertia += distance[i];
        }
    }
    return RA_OK;
}

/* ---- new centres -------------------------------------------------------------------------------------- */

/* The row farthest from its centre among those whose cluster has others; run->rows when all lie on theirs. */
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

/* Gives each empty cluster a row. There may be fewer different rows than clusters: some then stay empty, and
 * their centres where they are. */
static void fill_empty(ra_kmeans *run) {
    size_t d = run->dimensions;
    for (size_t c = 0; c < run->clusters; c++) {
        if (run->members[c]) continue;
        size_t row = farthest_row(run);
        if (row == run->rows) return;
        size_t donor = (size_t)run->label[row];
        ra_data_read(run->data, row, 1, run->row);
        for (size_t j = 0; j < d; j++) {
            run->sums[donor * d + j] -= (double)run->row[j];
            run->sums[c * d + j] = (double)run->row[j];
        }
        run->members[donor]--;
        run->members[c] = 1;
        run->label[row] = (int32_t)c;
        run->distance[row] = 0;
    }
}

/* Centres become means. Returns how far they moved: the mean squared distance. */
static double move_centres(ra_kmeans *run) {
    size_t d = run->dimensions;
    double moved = 0;
    for (size_t c = 0; c < run->clusters; c++) {
        if (!run->members[c]) continue;
        float *centre = run->centre + c * d;
        for (size_t j = 0; j < d; j++) {
            float mean = (float)(run->sums[c * d + j] / (double)run->members[c]);
            double gap = (double)mean - (double)centre[j];
            moved += gap * gap;
            centre[j] = mean;
        }
    }
    return moved / (double)run->clusters;
}

static bool any_empty(const ra_kmeans *run) {
    for (size_t c = 0; c < run->clusters; c++)
        if (!run->members[c]) return true;
    return false;
}

ra_status ra_kmeans_iterate(ra_kmeans *run, size_t *iterations, ra_error *err) {
    size_t limit = run->options->max_iterations ? run->options->max_iterations : ITERATIONS_DEFAULT;
    double share = run->options->tolerance > 0 ? run->options->tolerance : tolerance_default;
    double tolerance = share * run->nearest.block.variance;
    sum_clusters(run);
    for (size_t iteration = 1; iteration <= limit; iteration++) {
        fill_empty(run);
        double moved = move_centres(run);
        size_t changed;
        RA_TRY(assign(run, &changed, err));
        *iterations = iteration;
        RA_TRY(ra_kmeans_report(run, iteration, err));
        if (changed == 0 || (moved <= tolerance && !any_empty(run))) break;
    }
    return RA_OK;
}

/* ---- the run ------------------------------------------------------------------------------------------ */

static ra_status check_options(const ra_kmeans_options *options, size_t rows, ra_error *err) {
    if (options->clusters == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k-means was asked for 0 points; expected at least 1");
    if (options->clusters > rows)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k-means was asked for %zu points, but the data have only %zu rows",
                options->clusters, rows);
    if (!(options->tolerance >= 0))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the tolerance of k-means is %g; expected at least 0",
                options->tolerance);
    return RA_OK;
}

ra_status ra_kmeans_init(ra_kmeans *run, ra_backend *backend, const ra_data *data,
                         const ra_kmeans_options *options, float *centre, ra_error *err) {
    size_t rows = ra_data_rows(data), d = ra_data_dimensions(data), values = options->clusters * d;
    *run = (ra_kmeans){.data = data,
                       .options = options,
                       .rows = rows,
                       .dimensions = d,
                       .clusters = options->clusters,
                       .centre = centre};
    RA_TRY(ra_nearest_init(&run->nearest, backend, data, options->clusters, err));
    run->label = ra_calloc(rows, sizeof *run->label);
    run->distance = ra_malloc(rows, sizeof *run->distance);
    run->sums = ra_malloc(values, sizeof *run->sums);
    run->members = ra_malloc(options->clusters, sizeof *run->members);
    run->row = ra_malloc(d, sizeof *run->row);
    if (!run->label || !run->distance || !run->sums || !run->members || !run->row)
        RA_FAIL_MEMORY(err, "k-means",
                       rows * (sizeof *run->label + sizeof *run->distance) + values * sizeof *run->sums);
    for (size_t i = 0; i < rows; i++) run->distance[i] = INFINITY;
    return RA_OK;
}

void ra_kmeans_release(ra_kmeans *run) {
    ra_nearest_release(&run->nearest);
    ra_free(run->label);
    ra_free(run->distance);
    ra_free(run->sums);
    ra_free(run->members);
    ra_free(run->row);
}

ra_status ra_kmeans_run(ra_backend *backend, const ra_data *data, const ra_kmeans_options *options,
                        ra_points *points, ra_error *err) {
    size_t rows = ra_data_rows(data);
    RA_TRY(check_options(options, rows, err));
    RA_TRY(ra_matrix_init(&points->vectors, options->clusters, ra_data_dimensions(data), err));
    if (options->clusters == rows) { /* each row is its own centre */
        ra_data_read(data, 0, rows, points->vectors.data);
        return RA_OK;
    }
    ra_kmeans run;
    ra_status status = ra_kmeans_init(&run, backend, data, options, points->vectors.data, err);
    if (status == RA_OK) status = ra_kmeans_seed(&run, err);
    if (status == RA_OK) status = ra_kmeans_iterate(&run, &points->iterations, err);
    points->inertia = run.inertia;
    ra_kmeans_release(&run);
    return status;
}
