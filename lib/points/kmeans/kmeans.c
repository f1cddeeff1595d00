/* One k-means run. A method is a row of the table below: a function that iterates from centers that are there
 * to the end, and how many iterations it takes at most by default.
 *
 * A run can be interrupted after any iteration and continued: centers, the iteration's number and, for
 * mini-batches, the rows that each center has seen are all its state. Everything else is either derived from
 * these or only saves time, so a continued run gives the same bytes as one that was not interrupted. */
#include "points/kmeans/kmeans.h"
#include "ra_memory.h"
#include "base/random.h"

#include <string.h>

typedef struct kmeans_method {
    ra_status (*iterate)(ra_kmeans *run, ra_error *err);
    size_t iterations; /* at most, by default */
} kmeans_method;

/* To add a method: its function, a row here, an enum value and its name in train/settings.c. */
static const kmeans_method methods[RA_KMEANS_METHOD_COUNT] = {
    [RA_KMEANS_LLOYD] = {ra_kmeans_lloyd, 100},
    [RA_KMEANS_MINIBATCH] = {ra_kmeans_minibatch, 400},
};

static const double tolerance_default = 1e-4;
static const uint64_t sample_stream = 0x5bd1e9955bd1e995u; /* apart from the numbers that seeding draws */

ra_status ra_kmeans_report(const ra_kmeans *run, ra_error *err) {
    const ra_kmeans_options *options = run->options;
    const ra_kmeans_progress progress = {run->iteration,  run->inertia, run->clusters,
                                         run->dimensions, run->center,  run->members};
    if (!options->progress || options->progress(options->context, &progress)) return RA_OK;
    RA_FAIL(err, RA_ERR_CANCELED, "k-means was stopped in iteration %zu, as asked", run->iteration);
}

static ra_status check_options(const ra_kmeans_options *options, size_t rows, ra_error *err) {
    if (options->clusters == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k-means was asked for 0 points; expected at least 1");
    if (options->clusters > rows)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k-means was asked for %zu points, but the data have only %zu rows",
                options->clusters, rows);
    if (options->rows > rows || (options->rows && options->rows < options->clusters))
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "k-means was asked for %zu points from a sample of %zu rows; with %zu rows of data the sample "
            "can be %zu to %zu",
            options->clusters, options->rows, rows, options->clusters, rows);
    if (!(options->tolerance >= 0))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the tolerance of k-means is %g; expected at least 0",
                options->tolerance);
    if ((unsigned)options->method >= RA_KMEANS_METHOD_COUNT)
        RA_FAIL(err, RA_ERR_ARGUMENT, "there is no method %d of k-means; expected 0 to %d",
                (int)options->method, RA_KMEANS_METHOD_COUNT - 1);
    if (options->start && options->method == RA_KMEANS_MINIBATCH && options->start_iteration &&
        !options->start_members)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "k-means by mini-batches cannot go on from iteration %zu without the members of its clusters",
                options->start_iteration);
    return RA_OK;
}

/* The rows that take part. */
static ra_status draw_sample(ra_kmeans *run, const ra_data *data, ra_error *err) {
    size_t rows = ra_data_rows(data), wanted = run->options->rows;
    run->rows = rows;
    if (wanted == 0 || wanted == rows) return RA_OK;
    run->sample = ra_malloc(wanted, sizeof *run->sample);
    if (!run->sample) RA_FAIL_MEMORY(err, "the sample for k-means", wanted * sizeof *run->sample);
    ra_random random;
    ra_random_seed(&random, run->options->seed ^ sample_stream);
    ra_random_sample(&random, rows, run->sample, wanted);
    run->rows = wanted;
    return RA_OK;
}

static ra_status allocate(ra_kmeans *run, ra_error *err) {
    size_t rows = run->rows, N = run->clusters, d = run->dimensions, block = run->nearest.block.capacity;
    run->label = ra_calloc(rows, sizeof *run->label);
    run->distance = ra_malloc(rows, sizeof *run->distance);
    run->lower = ra_malloc(rows, sizeof *run->lower);
    run->sums = ra_malloc(N * d, sizeof *run->sums);
    run->members = ra_calloc(N, sizeof *run->members);
    run->moved = ra_calloc(N, sizeof *run->moved);
    run->step = ra_malloc(N, sizeof *run->step);
    run->row = ra_malloc(d, sizeof *run->row);
    run->order = ra_malloc(N, sizeof *run->order);
    run->index = ra_malloc(N, sizeof *run->index);
    run->fate = ra_malloc(block, sizeof *run->fate);
    run->picked = ra_malloc(block, sizeof *run->picked);
    if (run->label && run->distance && run->lower && run->sums && run->members && run->moved && run->step &&
        run->row && run->order && run->index && run->fate && run->picked)
        return ra_point_set_init(&run->fast, N / 2 + 1, d, N, err);
    RA_FAIL_MEMORY(err, "k-means", rows * 16 + N * d * sizeof *run->sums);
}

ra_status ra_kmeans_init(ra_kmeans *run, ra_backend *backend, const ra_data *data,
                         const ra_kmeans_options *options, float *center, ra_error *err) {
    *run = (ra_kmeans){.options = options,
                       .dimensions = ra_data_dimensions(data),
                       .clusters = options->clusters,
                       .center = center};
    RA_TRY(draw_sample(run, data, err));
    RA_TRY(ra_nearest_init(&run->nearest, backend, data, run->sample, run->rows, options->clusters, err));
    run->tolerance =
        (options->tolerance > 0 ? options->tolerance : tolerance_default) * run->nearest.block.variance;
    return allocate(run, err);
}

void ra_kmeans_release(ra_kmeans *run) {
    ra_nearest_release(&run->nearest);
    ra_point_set_release(&run->fast);
    ra_free(run->sample);
    ra_free(run->label);
    ra_free(run->distance);
    ra_free(run->lower);
    ra_free(run->sums);
    ra_free(run->members);
    ra_free(run->moved);
    ra_free(run->step);
    ra_free(run->row);
    ra_free(run->order);
    ra_free(run->index);
    ra_free(run->fate);
    ra_free(run->picked);
}

/* The centers to begin with: seeds, or those of a run that was interrupted. */
static ra_status start(ra_kmeans *run, ra_error *err) {
    const ra_kmeans_options *options = run->options;
    if (!options->start) return ra_kmeans_seed(run, err);
    memcpy(run->center, options->start, run->clusters * run->dimensions * sizeof *run->center);
    run->iteration = options->start_iteration;
    if (options->start_members)
        memcpy(run->members, options->start_members, run->clusters * sizeof *run->members);
    return RA_OK;
}

ra_status ra_kmeans_run(ra_backend *backend, const ra_data *data, const ra_kmeans_options *given,
                        ra_points *points, ra_error *err) {
    size_t rows = ra_data_rows(data);
    RA_TRY(check_options(given, rows, err));
    RA_TRY(ra_matrix_init(&points->vectors, given->clusters, ra_data_dimensions(data), err));
    if (given->clusters == rows) { /* each row is its own center */
        ra_data_read(data, 0, rows, points->vectors.data);
        return RA_OK;
    }
    ra_kmeans_options options = *given;
    if (!options.max_iterations) options.max_iterations = methods[options.method].iterations;
    ra_kmeans run;
    ra_status status = ra_kmeans_init(&run, backend, data, &options, points->vectors.data, err);
    if (status == RA_OK) status = start(&run, err);
    if (status == RA_OK) status = methods[options.method].iterate(&run, err);
    points->iterations = run.iteration;
    points->inertia = run.inertia;
    ra_kmeans_release(&run);
    return status;
}
