/* layout.h - the parts of a layout, for the files of this folder:
 *
 *   layout.c   the two methods as one function
 *   pca.c      projection onto the two strongest directions
 *   graph.c    the nearest atoms of each atom, and the weights of the edges between them
 *   embed.c    positions from the graph
 *   quality.c  how well positions keep who is near whom
 *
 * Thread safety: plain functions of their arguments; the number of threads changes no result.
 */
#ifndef RA_METRICS_LAYOUT_LAYOUT_H
#define RA_METRICS_LAYOUT_LAYOUT_H

#include "ra_layout.h"

/* positions [K,2] <- D minus its mean atom, projected onto the two directions of largest variance. Not
 * scaled. */
ra_status ra_layout_pca(ra_backend *backend, const float *D, size_t K, size_t d, float *positions,
                        ra_error *err);

/* index, cosine [K,k] <- the k other atoms with the largest cosine, by ascending index; of equal cosines the
 * lower index counts. 1 <= k < K. */
ra_status ra_layout_nearest(ra_backend *backend, const float *D, size_t K, size_t d, size_t k, int32_t *index,
                            float *cosine, ra_error *err);

typedef struct ra_layout_edge {
    int32_t a, b; /* a < b */
    float weight; /* in (0, 1] */
} ra_layout_edge;

typedef struct ra_layout_graph {
    ra_layout_edge *edges;
    size_t count;
} ra_layout_graph;

/* The graph of the nearest atoms, each edge once. */
ra_status ra_layout_graph_init(ra_layout_graph *graph, const int32_t *index, const float *cosine, size_t K,
                               size_t k, ra_error *err);
void ra_layout_graph_release(ra_layout_graph *graph); /* leaves {0} */

/* positions [K,2], which hold the start, <- positions that follow from attraction along the edges and
 * repulsion by other atoms. Of the options it takes the seed and the progress. */
ra_status ra_layout_embed(const ra_layout_graph *graph, size_t K, size_t epochs,
                          const ra_layout_options *options, float *positions, ra_error *err);

#endif
