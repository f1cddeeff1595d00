/* ra_layout.h - a position in the plane for each atom, for maps of a dictionary.
 *
 * Two methods:
 *   neighbors  puts each atom close to the atoms with the largest cosines: an embedding of the exact graph of
 *              nearest neighbors (UMAP's) by noise-contrastive estimation of what t-SNE looks for; the formulas are
 *              in metrics/layout/embed.c
 *   pca        projects the atoms onto their two strongest directions: fast and linear, but atoms that lie
 *              far apart along other directions may come close together
 *
 *     float *positions = ra_malloc(2 * K, sizeof *positions);
 *     ra_layout_quality quality;
 *     RA_TRY(ra_layout(backend, D, K, d, &(ra_layout_options){0}, positions, err));
 *     RA_TRY(ra_layout_measure(backend, D, K, d, positions, 10, 0, &quality, err));
 *     ra_free(positions);
 *
 * Positions are centered on 0, and the largest coordinate is 1 in magnitude. The same seed gives the same
 * positions, bit for bit, for any number of threads.
 *
 * Symbols: K atoms, d dimensions. Functions need a CPU backend (otherwise RA_ERR_UNSUPPORTED).
 * Thread safety: plain functions of their arguments.
 */
#ifndef RA_LAYOUT_H
#define RA_LAYOUT_H

#include "ra_backend.h"

typedef enum ra_layout_method { RA_LAYOUT_NEIGHBORS, RA_LAYOUT_PCA } ra_layout_method;

typedef struct ra_layout_options {
    int method;       /* ra_layout_method */
    size_t neighbors; /* edges per atom, at most K - 1; 0: 15 */
    size_t epochs;    /* 0: 1000, or 500 for 10,000 atoms and more */
    uint64_t seed;
    /* Called after every epoch, `done` of `total`; false stops with RA_ERR_CANCELED. May be NULL. */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
} ra_layout_options;

/* positions [K,2] <- of the atoms D [K,d], which are finite. */
ra_status ra_layout(ra_backend *backend, const float *D, size_t K, size_t d, const ra_layout_options *options,
                    float *positions, ra_error *err);

/* Both are means over atoms, of their k nearest; atoms of equal cosine are equally near. */
typedef struct ra_layout_quality {
    size_t atoms; /* that they were measured on */
    double
        preserved; /* share of the k atoms with the largest cosines that are also among the k nearest on the map */
    /* Venna and Kaski 2001: 1 - 2 / (K k (2 K - 3 k - 1)) times the sum, over the atoms that are among the k nearest on
     * the map only, of how much their rank by cosine exceeds k. 1: there are none; NaN: k is half of the atoms or more */
    double trustworthiness;
} ra_layout_quality;

/* On `sample` atoms, evenly spaced (0: all), against all others; k is limited to K - 1. A single atom has 1. */
ra_status ra_layout_measure(ra_backend *backend, const float *D, size_t K, size_t d, const float *positions,
                            size_t k, size_t sample, ra_layout_quality *quality, ra_error *err);

#endif
