/* kmeans.h - one k-means run, for the files of this folder:
 *
 *   kmeans.c     the table of methods, and the run from the options to the points
 *   state.c      the memory of a run; reports
 *   seed.c       the first centers: greedy k-means++ on a sample
 *   products.c   the products that this takes
 *   assign.c     assigns every row to its nearest center; skips rows that cannot change
 *   lloyd.c      the method `lloyd`
 *   minibatch.c  the method `minibatch`
 *
 * To add a method: a row of RA_KMEANS_METHODS (ra_points.h), a file of this folder that defines
 * ra_kmeans_<name>(), and a test in tests/unit/lib/points/kmeans/test_kmeans.c.
 *
 * Symbols: N clusters, d dimensions.
 */
#ifndef RA_POINTS_KMEANS_KMEANS_H
#define RA_POINTS_KMEANS_KMEANS_H

#include "points/nearest.h"
#include "ra_points.h"

typedef struct ra_kmeans {
    const ra_kmeans_options *options;
    size_t rows, dimensions, clusters; /* d, N */
    double tolerance;                  /* compared with the mean squared movement of a center */
    uint64_t *sample;                  /* [rows] of the data, ascending; NULL: all rows */
    ra_nearest nearest;
    float *center;     /* [N,d] the caller's */
    uint64_t *members; /* [N] rows of each cluster; minibatch: over all batches */
    double *sums;      /* [N,d] over the rows of each cluster */
    size_t iteration;
    size_t seeds;   /* drawn so far */
    double inertia; /* sum of `distance`; minibatch: of the last batch, scaled to all rows */

    /* of assign.c */
    int32_t *label;      /* [rows] cluster of each row */
    double *distance;    /* [rows] its squared distance to that cluster's center */
    float *lower;        /* [rows] every other center is at least this far away */
    double *moved;       /* [N] how far each center has moved since the last assignment */
    bool bounded;        /* label, lower and moved have values */
    ra_point_set fast;   /* the centers that moved far */
    float *step, *order; /* scratch [N] */
    float *row;          /* scratch [d] */
    int32_t *index;      /* scratch [N] */
    uint8_t *fate;       /* scratch [rows of a chunk] */
    int32_t *picked;     /* scratch [rows of a chunk] */
} ra_kmeans;

/* Checks the options and computes the vectors, iterations and inertia of *points, which is {0} before. On
 * failure the caller releases *points. */
ra_status ra_kmeans_run(ra_backend *backend, const ra_data *data, const ra_kmeans_options *options,
                        ra_points *points, ra_error *err);

/* ---- the steps of a run ------------------------------------------------------------------------------- */

/* center [N,d] is the caller's. The run must be released even if this fails. */
ra_status ra_kmeans_init(ra_kmeans *run, ra_backend *backend, const ra_data *data,
                         const ra_kmeans_options *options, float *center, ra_error *err);
void ra_kmeans_release(ra_kmeans *run);

/* Chooses the first centers among the rows. */
ra_status ra_kmeans_seed(ra_kmeans *run, ra_error *err);

/* Moves seeds by a step of Lloyd's algorithm over a sample, if there are many more rows. */
ra_status ra_kmeans_warm_up(ra_kmeans *run, ra_backend *backend, const ra_data *data, ra_error *err);

/* Assigns every row to its nearest center: computes label, distance, lower, sums, members and inertia. The
 * result depends on the centers alone. */
ra_status ra_kmeans_assign(ra_kmeans *run, ra_error *err);

/* The methods, ra_kmeans_lloyd() and so on: iterate from the present centers to the end, and count
 * run->iteration. */
#define RA_KMEANS_FUNCTION(ID, name, iterations) ra_status ra_kmeans_##name(ra_kmeans *run, ra_error *err);
RA_KMEANS_METHODS(RA_KMEANS_FUNCTION)
#undef RA_KMEANS_FUNCTION

/* Calls the caller's progress function; RA_ERR_CANCELED if that stops the run. */
ra_status ra_kmeans_report(const ra_kmeans *run, ra_error *err);

#endif
