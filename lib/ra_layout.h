/* ra_layout.h - a place in the plane for each atom, for maps of a dictionary.
 *
 * Two methods. `pca` projects the atoms on their two strongest directions: fast, linear, and near atoms may
 * land anywhere along what is left out. `neighbors` places each atom close to the atoms of largest cosine: an
 * embedding of the exact graph of nearest neighbors by stochastic gradients, attraction along its edges and
 * repulsion from random atoms (McInnes, Healy and Melville 2018, "UMAP"; with the kernel 1 / (1 + distance^2)
 * of t-SNE).
 *
 *     RA_TRY(ra_layout(backend, D, K, d, &(ra_layout_options){0}, places, err));
 *     RA_TRY(ra_layout_preservation(backend, D, K, d, places, 10, &share, err));
 *
 * Places are centered on 0, and the largest coordinate is 1 in magnitude. The same seed gives the same places,
 * bit for bit, for any number of threads.
 *
 * Symbols: K atoms, d dimensions. Functions need a CPU backend (else RA_ERR_UNSUPPORTED).
 * Thread safety: plain functions of their arguments.
 */
#ifndef RA_LAYOUT_H
#define RA_LAYOUT_H

#include "ra_backend.h"

typedef enum ra_layout_method { RA_LAYOUT_NEIGHBORS, RA_LAYOUT_PCA } ra_layout_method;

typedef struct ra_layout_options {
    int method;       /* ra_layout_method */
    size_t neighbors; /* edges of an atom; 0: 15. At most K - 1 are used */
    size_t epochs;    /* 0: 500, and 200 from 10,000 atoms on */
    uint64_t seed;
} ra_layout_options;

/* places [K,2] <- for the atoms D [K,d], finite. */
ra_status ra_layout(ra_backend *backend, const float *D, size_t K, size_t d, const ra_layout_options *options,
                    float *places, ra_error *err);

/* *share <- mean over atoms: how many of the k atoms of largest cosine are among the k nearest places. k is
 * cut to K - 1; 1 for a single atom. */
ra_status ra_layout_preservation(ra_backend *backend, const float *D, size_t K, size_t d, const float *places,
                                 size_t k, double *share, ra_error *err);

#endif
