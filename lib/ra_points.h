/* ra_points.h - candidate points: the C of an archetypal dictionary, each point tied to the data rows near
 * it.
 *
 *     ra_points points = {0};
 *     RA_TRY(ra_points_kmeans(backend, data, &(ra_kmeans_options){.clusters = 1000, .seed = 1}, &points,
 * err));
 *     ...
 *     ra_points_release(&points);
 *
 * The same data, options and seed give the same bytes, whatever the number of threads.
 *
 * Symbols: N points, d dimensions, R rows kept for a point.
 * Thread safety: points may be shared once they are complete.
 */
#ifndef RA_POINTS_H
#define RA_POINTS_H

#include "ra_backend.h"
#include "ra_data.h"

/* C with what ties each point to data: its R nearest rows, nearest first, of equally near ones the lower.
 * Owner; {0} is a valid, empty one. */
typedef struct ra_points {
    ra_matrix vectors;   /* C [N,d] */
    size_t nearest;      /* R; 0 for given points without data */
    int32_t *row;        /* [N,R] their numbers in the files (ra_data.h); -1: fewer */
    float *row_distance; /* [N,R] Euclidean, exact; 0 where there is no row */
    size_t iterations;   /* of k-means; 0 for given points */
    double inertia;      /* of k-means: sum over rows of the squared distance to the nearest point */
} ra_points;

void ra_points_release(ra_points *points);

enum { RA_POINT_ROWS_DEFAULT = 5 };

/* Where points come from when no file gives them. */
typedef enum ra_points_method {
    RA_POINTS_KMEANS, /* ra_points_kmeans() */
    RA_POINTS_SAMPLE, /* ra_points_sample() */
    RA_POINTS_ALL,    /* every row is a point */
    RA_POINTS_METHOD_COUNT
} ra_points_method;

typedef enum ra_kmeans_method {
    RA_KMEANS_LLOYD,     /* all rows in every iteration */
    RA_KMEANS_MINIBATCH, /* random batches: for data of which a part says enough; some per
                          * cent more inertia */
    RA_KMEANS_METHOD_COUNT
} ra_kmeans_method;

/* How far a run is. The arrays are the run's own, to be read or copied within the call: with the iteration
 * they are all that it takes to continue. */
typedef struct ra_kmeans_progress {
    size_t iteration; /* 0 while seeds are chosen, and when these have been assigned */
    double inertia;   /* so far; of mini-batches that of the last batch, scaled to all rows */
    size_t clusters, dimensions;
    const float *centers;    /* [N,d] */
    const uint64_t *members; /* [N] rows of each cluster; of mini-batches all that it has seen */
} ra_kmeans_progress;

typedef struct ra_kmeans_options {
    ra_kmeans_method method;
    size_t clusters;       /* N, 1 <= N <= rows */
    size_t rows;           /* k-means on a random sample of so many rows, N <= rows; 0: on all */
    size_t max_iterations; /* 0: 100 of Lloyd, 400 mini-batches */
    double tolerance; /* stop when the centroids move less than this share of the data's variance; 0: 1e-4 */
    uint64_t seed;
    size_t nearest; /* R; 0: RA_POINT_ROWS_DEFAULT */
    /* A run that was interrupted goes on from these, in the place of seeds: centers [N,d], iteration and (for
     * mini-batches) members [N] as the progress function saw them last in an iteration above 0, with the same
     * data and options. It ends with the bytes of a run that was not interrupted. NULL: from the start. */
    const float *start;
    size_t start_iteration;
    const uint64_t *start_members;
    /* called after every iteration, and as iteration 0 while the seeds are chosen; false stops with
     * RA_ERR_CANCELED. May be NULL. */
    bool (*progress)(void *context, const ra_kmeans_progress *progress);
    void *context;
} ra_kmeans_options;

/* k-means from greedy k-means++ seeds, which are drawn from a sample of 64 rows a cluster (4,096 at least;
 * fewer when they take more than 256 MiB). With Lloyd's method a cluster that runs empty takes the row
 * farthest from its centroid, points are the means of their rows in the last iteration, and inertia is
 * exactly theirs; held against the tolerance is the mean squared movement of a centroid. A mini-batch has 4
 * rows a cluster (1,024 at least), and the inertia is that of the points at the end. With a sample, inertia
 * is over its rows; nearest rows are found among all data in any case. With as many clusters as rows of data
 * they are the rows. More clusters than rows, or a sample that cannot be: RA_ERR_ARGUMENT. *points is
 * overwritten; on failure it is {0}.
 */
ra_status ra_points_kmeans(ra_backend *backend, const ra_data *data, const ra_kmeans_options *options,
                           ra_points *points, ra_error *err);

/* `count` random rows (without replacement, in their order) become points, with their `nearest` (0:
 * RA_POINT_ROWS_DEFAULT) rows. RA_ERR_ARGUMENT for 0 points or more than rows. *points is overwritten; on
 * failure it is {0}. */
ra_status ra_points_sample(ra_backend *backend, const ra_data *data, size_t count, uint64_t seed,
                           size_t nearest, ra_points *points, ra_error *err);

/* Given vectors [N,d] in any float type become points; their `nearest` (0: RA_POINT_ROWS_DEFAULT) rows are
 * found (data may be NULL: no rows). Copies the vectors. *points is overwritten; on failure it is {0}. */
ra_status ra_points_from(ra_backend *backend, const ra_tensor *vectors, const ra_data *data, size_t nearest,
                         ra_points *points, ra_error *err);

/* The points of a checkpoint with their rows, as ra_points_store() put them there. On failure
 * *points is {0}. */
ra_status ra_points_load(const ra_safetensors *file, ra_points *points, ra_error *err);

/* Adds points.rows, points.row_distance and, with labels (one a row in the files; may be NULL),
 * points.row_labels to a checkpoint; nothing for points without rows. *text receives a block (or NULL) that
 * must outlive the write and be freed with ra_free(). In row_labels each point has a line, its R labels with
 * tabs between; tabs and line ends within a label become spaces. See proto/artifact.md. */
ra_status ra_points_store(const ra_points *points, const ra_labels *labels, ra_safetensors_writer *writer,
                          char **text, ra_error *err);

#endif
