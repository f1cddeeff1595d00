/* ra_points.h - candidate points: the C of an archetypal dictionary, and the data rows nearest to each point.
 *
 *     ra_points points = {0};
 *     ra_kmeans_options options = {.clusters = 1000, .seed = 1};
 *     RA_TRY(ra_points_kmeans(backend, data, &options, &points, err));
 *     printf("inertia %g\n", points.inertia);
 *     ra_points_release(&points);
 *
 * The same data, options and seed give the same bytes for any number of threads.
 *
 * Symbols: N points, d dimensions, R rows kept for each point.
 * Thread safety: complete points are constant and may be shared.
 */
#ifndef RA_POINTS_H
#define RA_POINTS_H

#include "ra_backend.h"
#include "ra_data.h"

/* C, and for each point its R nearest rows, nearest first; of equally near rows the lower number comes first.
 * Owns its arrays; {0} is a valid, empty value. */
typedef struct ra_points {
    ra_matrix vectors;   /* C [N,d] */
    size_t nearest;      /* R; 0: given points without data */
    int32_t *row;        /* [N,R] numbers in the files (ra_data.h); -1 behind the last row */
    float *row_distance; /* [N,R] Euclidean, exact; 0 where row is -1 */
    size_t iterations;   /* of k-means; 0: other points */
    double inertia;      /* of k-means: sum over rows of the squared distance to the nearest point */
} ra_points;

void ra_points_release(ra_points *points);

enum { RA_POINT_ROWS_DEFAULT = 5 };

/* How points are made if no file contains them. */
typedef enum ra_points_method {
    RA_POINTS_KMEANS, /* ra_points_kmeans() */
    RA_POINTS_SAMPLE, /* ra_points_sample() */
    RA_POINTS_ALL,    /* every row is a point */
    RA_POINTS_METHOD_COUNT
} ra_points_method;

/* The methods: RA_KMEANS_<ID>, the names of the setting `kmeans`, and the default limits of iterations.
 *
 *   lloyd       all rows in every iteration
 *   minibatch   random batches: faster on large data, with a few percent more inertia
 */
#define RA_KMEANS_METHODS(X)                                                                                 \
    X(LLOYD, lloyd, 100)                                                                                     \
    X(MINIBATCH, minibatch, 400)

#define RA_KMEANS_ENUM(ID, name, iterations) RA_KMEANS_##ID,
typedef enum ra_kmeans_method { RA_KMEANS_METHODS(RA_KMEANS_ENUM) RA_KMEANS_METHOD_COUNT } ra_kmeans_method;
#undef RA_KMEANS_ENUM

/* The state of a run, which is all that continuing it needs. The arrays belong to the run: read or copy them
 * during the call. */
typedef struct ra_kmeans_progress {
    size_t iteration; /* 0: seeding, and the first assignment of rows */
    size_t seeds;     /* centers that are drawn so far; all of them once iterations begin */
    double inertia;   /* so far; for mini-batches that of the last batch, scaled to all rows */
    size_t clusters, dimensions;
    const float *centers;    /* [N,d] */
    const uint64_t *members; /* [N] rows of each cluster; for mini-batches all rows that it has received */
} ra_kmeans_progress;

typedef struct ra_kmeans_options {
    ra_kmeans_method method;
    size_t clusters;       /* N, 1 <= N <= rows */
    size_t rows;           /* cluster a random sample of this size, N <= rows; 0: all rows */
    size_t max_iterations; /* 0: the method's default */
    double tolerance; /* stop if the centroids move less than this share of the data's variance; 0: 1e-4 */
    uint64_t seed;
    size_t nearest; /* R; 0: RA_POINT_ROWS_DEFAULT */
    /* Continues an interrupted run instead of seeding: centers [N,d], iteration and (for mini-batches)
     * members [N] of the last progress call with an iteration above 0. With the same data and options the
     * result has the bytes of an uninterrupted run. NULL: start with seeding. */
    const float *start;
    size_t start_iteration;
    const uint64_t *start_members;
    /* called after every iteration, and as iteration 0 during seeding; returning false stops the run with
     * RA_ERR_CANCELED. May be NULL. */
    bool (*progress)(void *context, const ra_kmeans_progress *progress);
    void *context;
} ra_kmeans_options;

/* k-means from greedy k-means++ seeds, drawn from a sample of 64 rows per cluster (at least 4,096; fewer if
 * they took more than 256 MiB).
 *   Lloyd's method: an empty cluster takes the row farthest from its centroid; points are the means of their
 *   rows in the last iteration, and the inertia is exactly theirs; the tolerance applies to the mean squared
 *   movement of a centroid.
 *   Mini-batches have 4 rows per cluster (at least 1,024); the inertia is that of the final points.
 * With a sample, the inertia is over the sample's rows; the nearest rows are always searched among all data.
 * With as many clusters as rows, the points are the rows. RA_ERR_ARGUMENT for more clusters than rows, or an
 * impossible sample size. *points is overwritten; on failure it is {0}. */
ra_status ra_points_kmeans(ra_backend *backend, const ra_data *data, const ra_kmeans_options *options,
                           ra_points *points, ra_error *err);

/* chosen [count] <- random numbers below `rows`, without replacement, ascending. RA_ERR_ARGUMENT for none, or
 * for more than there are. */
ra_status ra_points_draw(size_t rows, size_t count, uint64_t seed, uint64_t *chosen, ra_error *err);

/* *points <- `count` random rows (without replacement, in their order), with the `nearest` (0:
 * RA_POINT_ROWS_DEFAULT) rows of each. RA_ERR_ARGUMENT for no points or more points than rows. On failure
 * *points is {0}. */
ra_status ra_points_sample(ra_backend *backend, const ra_data *data, size_t count, uint64_t seed,
                           size_t nearest, ra_points *points, ra_error *err);

/* *points <- a copy of the vectors [N,d], of any float type, with the `nearest` (0: RA_POINT_ROWS_DEFAULT)
 * rows of each; data may be NULL: no rows. On failure *points is {0}. */
ra_status ra_points_from(ra_backend *backend, const ra_tensor *vectors, const ra_data *data, size_t nearest,
                         ra_points *points, ra_error *err);

/* *points <- the points of a checkpoint with their rows, as ra_points_store() wrote them. On failure *points
 * is {0}. */
ra_status ra_points_load(const ra_safetensors *file, ra_points *points, ra_error *err);

/* Adds points.rows, points.row_distance and, if labels are given (one per row in the files; may be NULL),
 * points.row_labels to a checkpoint; adds nothing for points without rows. *text receives memory (or NULL)
 * that must outlive the write and is the caller's to ra_free(). row_labels has one line per point: its R
 * labels with tabs between them; tabs and line ends within a label become spaces. See proto/artifact.md. */
ra_status ra_points_store(const ra_points *points, const ra_labels *labels, ra_safetensors_writer *writer,
                          char **text, ra_error *err);

#endif
