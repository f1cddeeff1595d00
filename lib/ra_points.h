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

typedef struct ra_kmeans_options {
    size_t clusters;       /* N, 1 <= N <= rows */
    size_t max_iterations; /* 0: 100 */
    double tolerance; /* stop when the centroids move less than this share of the data's variance; 0: 1e-4 */
    uint64_t seed;
    size_t nearest; /* R; 0: RA_POINT_ROWS_DEFAULT */
    /* called after every iteration, and as iteration 0 while the seeds are chosen, with the inertia so far;
     * false stops with RA_ERR_CANCELLED. May be NULL. */
    bool (*progress)(void *context, size_t iteration, double inertia);
    void *context;
} ra_kmeans_options;

/* Lloyd's algorithm from k-means++ seeds. A cluster that runs empty takes the row farthest from its centroid.
 * Points are the means of their rows in the last iteration; with as many clusters as rows they are the rows.
 * More clusters than rows: RA_ERR_ARGUMENT. Held against the tolerance is the mean squared movement of a
 * centroid. *points is overwritten; on failure it is {0}. Needs a CPU backend. */
ra_status ra_points_kmeans(ra_backend *backend, const ra_data *data, const ra_kmeans_options *options,
                           ra_points *points, ra_error *err);

/* Given vectors [N,d] in any float type become points; their `nearest` (0: RA_POINT_ROWS_DEFAULT) rows are
 * found (data may be NULL: no rows). Copies the vectors. *points is overwritten; on failure it is {0}. */
ra_status ra_points_from(ra_backend *backend, const ra_tensor *vectors, const ra_data *data, size_t nearest,
                         ra_points *points, ra_error *err);

/* The points of a checkpoint with their rows, as ra_points_store() put them there. On failure *points is {0}.
 */
ra_status ra_points_load(const ra_safetensors *file, ra_points *points, ra_error *err);

/* Adds points.rows, points.row_distance and, with labels (one a row in the files; may be NULL),
 * points.row_labels to a checkpoint; nothing for points without rows. *text receives a block (or NULL) that
 * must outlive the write and be freed with ra_free(). In row_labels each point has a line, its R labels with
 * tabs between; tabs and line ends within a label become spaces. See proto/artifact.md. */
ra_status ra_points_store(const ra_points *points, const ra_labels *labels, ra_safetensors_writer *writer,
                          char **text, ra_error *err);

#endif
