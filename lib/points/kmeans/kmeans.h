/* kmeans.h - one k-means run, in parts:
 *
 *     kmeans.c            options, the table of methods, the run
 *     kmeans_seed.c       the first centers: greedy k-means++ on a sample
 *     kmeans_assign.c     every row to its nearest center, skipping those that cannot change
 *     kmeans_lloyd.c      the method `lloyd`
 *     kmeans_minibatch.c  the method `minibatch`
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
    double tolerance;                  /* of the mean squared movement of a center */
    uint64_t *sample;                  /* [rows] of options->rows; NULL: all rows */
    ra_nearest nearest;
    float *center;     /* [N,d] not owned */
    uint64_t *members; /* [N] rows of each cluster in the sums; minibatch: of all batches */
    double *sums;      /* [N,d] of the rows of each cluster */
    size_t iteration;
    double inertia; /* sum of `distance`; minibatch: of the last batch, scaled to all rows */

    /* kmeans_assign.c */
    int32_t *label;   /* [rows] cluster of each row */
    double *distance; /* [rows] its squared distance to that cluster's center */
    float *lower;     /* [rows] no other center is nearer than this */
    double *moved;    /* [N] how far each center went since the last assignment */
    bool bounded;     /* label, lower and moved hold something */
    ra_point_set fast;
    float *step, *order; /* scratch [N] */
    float *row;          /* scratch [d] */
    int32_t *index;      /* scratch [N] */
    uint8_t *fate;       /* scratch [block] */
    int32_t *picked;     /* scratch [block] */
} ra_kmeans;

/* vectors, iterations and inertia of *points, which is {0} before; on failure its vectors are the caller's to
 * release. Options are checked here. */
ra_status ra_kmeans_run(ra_backend *backend, const ra_data *data, const ra_kmeans_options *options,
                        ra_points *points, ra_error *err);

/* ---- the steps of a run ------------------------------------------------------------------------------- */

/* center [N,d] is the caller's; release a run in any case. */
ra_status ra_kmeans_init(ra_kmeans *run, ra_backend *backend, const ra_data *data,
                         const ra_kmeans_options *options, float *center, ra_error *err);
void ra_kmeans_release(ra_kmeans *run);

/* Chooses the first centers among the rows. */
ra_status ra_kmeans_seed(ra_kmeans *run, ra_error *err);

/* Every row to its nearest center: label, distance, lower, sums, members and inertia. What it gives depends
 * on the centers alone. */
ra_status ra_kmeans_assign(ra_kmeans *run, ra_error *err);

/* The methods: from the centers as they are to the end, run->iteration counting on. */
ra_status ra_kmeans_lloyd(ra_kmeans *run, ra_error *err);
ra_status ra_kmeans_minibatch(ra_kmeans *run, ra_error *err);

/* RA_ERR_CANCELED when the caller's progress function says so. */
ra_status ra_kmeans_report(const ra_kmeans *run, ra_error *err);

#endif
