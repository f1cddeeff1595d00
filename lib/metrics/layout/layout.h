/* layout.h - the parts of a layout.
 *
 *   layout.c           the two methods as one function, and how well places keep neighbors
 *   layout_pca.c       projection on the two strongest directions
 *   layout_graph.c     who is near whom, and how strongly each edge pulls
 *   layout_embed.c     the places that follow from the graph
 */
#ifndef RA_METRICS_LAYOUT_LAYOUT_H
#define RA_METRICS_LAYOUT_LAYOUT_H

#include "ra_layout.h"

/* places [K,2] <- D less its mean atom, on the two directions of largest variance. Not scaled. */
ra_status ra_layout_pca(ra_backend *backend, const float *D, size_t K, size_t d, float *places,
                        ra_error *err);

/* index, cosine [K,k] <- for each atom the k others of largest cosine, by rising index; of equals the lower
 * index. 1 <= k < K. */
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

/* The graph of the nearest, each edge once. */
ra_status ra_layout_graph_init(ra_layout_graph *graph, const int32_t *index, const float *cosine, size_t K,
                               size_t k, ra_error *err);
void ra_layout_graph_release(ra_layout_graph *graph); /* leaves {0} */

/* places [K,2], which say where to start, <- where edges pull and all atoms push them. */
ra_status ra_layout_embed(const ra_layout_graph *graph, size_t K, size_t epochs, uint64_t seed, float *places,
                          ra_error *err);

#endif
