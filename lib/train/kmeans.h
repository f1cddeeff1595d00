/* kmeans.h - one k-means run: kmeans.c iterates (Lloyd 1982), kmeans_seed.c finds the start (k-means++). */
#ifndef RA_TRAIN_KMEANS_H
#define RA_TRAIN_KMEANS_H

#include "train/nearest.h"

typedef struct ra_kmeans {
    const ra_data *data;
    const ra_kmeans_options *options;
    size_t rows, dimensions, clusters; /* d, N */
    ra_nearest nearest;
    float *centre;    /* [N,d] not owned */
    int32_t *label;   /* [rows] cluster of each row */
    double *distance; /* [rows] its squared distance to that cluster's centre */
    double *sums;     /* [N,d] of the rows of each cluster */
    size_t *members;  /* [N] */
    float *row;       /* [d] */
    double inertia;   /* sum of `distance` */
} ra_kmeans;

/* vectors, iterations and inertia of *points, which is {0} before; on failure its vectors are the caller's to
 * release. Options are checked here. */
ra_status ra_kmeans_run(ra_backend *backend, const ra_data *data, const ra_kmeans_options *options,
                        ra_points *points, ra_error *err);

/* ---- the steps of a run ------------------------------------------------------------------------------- */

/* centre [N,d] is the caller's; release a run in any case. */
ra_status ra_kmeans_init(ra_kmeans *run, ra_backend *backend, const ra_data *data,
                         const ra_kmeans_options *options, float *centre, ra_error *err);
void ra_kmeans_release(ra_kmeans *run);

/* Chooses the first centres among the rows; label and distance are theirs afterwards. */
ra_status ra_kmeans_seed(ra_kmeans *run, ra_error *err);

/* Centres that were written from `first` to `first + count` come in addition to those before: label, distance
 * and inertia follow. */
ra_status ra_kmeans_admit(ra_kmeans *run, size_t first, size_t count, ra_error *err);

/* From label and distance as they are to the end. */
ra_status ra_kmeans_iterate(ra_kmeans *run, size_t *iterations, ra_error *err);

/* RA_ERR_CANCELLED when the caller's progress function says so. */
ra_status ra_kmeans_report(const ra_kmeans *run, size_t iteration, ra_error *err);

#endif
