/* One k-means run: its options, its first centers, its method, its points.
 *
 * A run can be interrupted after any iteration and continued. Its state is the centers, the number of the
 * iteration and, for mini-batches, the number of rows that each center has received. Everything else follows
 * from these or only saves time, so a continued run gives the same bytes as an uninterrupted one. */
#include "points/kmeans/kmeans.h"
#include "ra_memory.h"

#include <string.h>

static const struct {
    ra_status (*iterate)(ra_kmeans *run, ra_error *err);
    size_t iterations; /* the default limit */
} methods[RA_KMEANS_METHOD_COUNT] = {
#define ROW(ID, name, iterations) [RA_KMEANS_##ID] = {ra_kmeans_##name, iterations},
    RA_KMEANS_METHODS(ROW)
#undef ROW
};

static ra_status check_options(const ra_kmeans_options *options, size_t rows, ra_error *err) {
    if (options->clusters == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k-means cannot make 0 points; expected at least 1");
    if (options->clusters > rows)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k-means cannot make %zu points from data of only %zu rows",
                options->clusters, rows);
    if (options->rows > rows || (options->rows && options->rows < options->clusters))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "k-means cannot make %zu points from a sample of %zu rows of %zu; expected a sample of %zu "
                "to %zu rows",
                options->clusters, options->rows, rows, options->clusters, rows);
    if (!(options->tolerance >= 0))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the tolerance of k-means is %g; expected at least 0",
                options->tolerance);
    if ((unsigned)options->method >= RA_KMEANS_METHOD_COUNT)
        RA_FAIL(err, RA_ERR_ARGUMENT, "there is no method %d of k-means; expected 0 to %d",
                (int)options->method, RA_KMEANS_METHOD_COUNT - 1);
    if (options->start && options->method == RA_KMEANS_MINIBATCH && options->start_iteration &&
        !options->start_members)
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "k-means by mini-batches cannot continue from iteration %zu without the members of its clusters",
            options->start_iteration);
    return RA_OK;
}

/* The first centers: seeds, or those of an interrupted run. */
static ra_status start(ra_kmeans *run, ra_backend *backend, const ra_data *data, ra_error *err) {
    const ra_kmeans_options *options = run->options;
    if (!options->start) {
        RA_TRY(ra_kmeans_seed(run, err));
        return options->method == RA_KMEANS_LLOYD ? ra_kmeans_warm_up(run, backend, data, err) : RA_OK;
    }
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
    if (status == RA_OK) status = start(&run, backend, data, err);
    if (status == RA_OK) status = methods[options.method].iterate(&run, err);
    points->iterations = run.iteration;
    points->inertia = run.inertia;
    ra_kmeans_release(&run);
    return status;
}
