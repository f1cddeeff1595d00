/* The state of a k-means run: its sample of the data, its memory, its reports. */
#include "points/kmeans/kmeans.h"
#include "ra_memory.h"
#include "base/random.h"

static const double tolerance_default = 1e-4;
static const uint64_t sample_stream =
    0x5bd1e9955bd1e995u; /* other random numbers than those of the seeding */

/* The rows to cluster. */
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
    size_t rows = run->rows, N = run->clusters, d = run->dimensions, chunk = run->nearest.reader.capacity;
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
    run->fate = ra_malloc(chunk, sizeof *run->fate);
    run->picked = ra_malloc(chunk, sizeof *run->picked);
    if (run->label && run->distance && run->lower && run->sums && run->members && run->moved && run->step &&
        run->row && run->order && run->index && run->fate && run->picked)
        return ra_point_set_init(&run->fast, run->nearest.backend, N / 2 + 1, d, N, err);
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
        (options->tolerance > 0 ? options->tolerance : tolerance_default) * run->nearest.reader.variance;
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

ra_status ra_kmeans_report(const ra_kmeans *run, ra_error *err) {
    const ra_kmeans_options *options = run->options;
    const ra_kmeans_progress progress = {.iteration = run->iteration,
                                         .seeds = run->iteration ? run->clusters : run->seeds,
                                         .inertia = run->inertia,
                                         .clusters = run->clusters,
                                         .dimensions = run->dimensions,
                                         .centers = run->center,
                                         .members = run->members};
    if (!options->progress || options->progress(options->context, &progress)) return RA_OK;
    RA_FAIL(err, RA_ERR_CANCELED, "k-means was stopped in iteration %zu, as asked", run->iteration);
}
