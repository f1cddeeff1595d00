/* The graph of nearest atoms.
 *
 * All cosines of a block of atoms with all others are one product; the backend's selection finds the largest.
 * That is exact, and for tens of thousands of atoms quicker than any index is built.
 *
 * How strongly an edge pulls follows from how far its end is beyond the nearest one, by a scale of each
 * atom's own: the one at which its edges weigh log2(k) together. So every atom is tied to its surroundings,
 * those of a dense region no more than a lonely one. An edge that both ends have weighs a + b - ab. */
#include "metrics/layout/layout.h"
#include "ra_memory.h"
#include "metrics/unit.h"

#include <math.h>
#include <string.h>

enum { BLOCK_ATOMS = 256, BISECTIONS = 64 };

/* ---- nearest ------------------------------------------------------------------------------------------ */

typedef struct nearest {
    ra_backend *backend;
    size_t K, d, k;
    float *unit;   /* [K,d] */
    float *scores; /* [BLOCK_ATOMS,K] */
    ra_codes found;
    int32_t *index; /* [K,k] */
    float *cosine;
} nearest;

static ra_status search_block(nearest *n, size_t from, ra_error *err) {
    size_t rows = n->K - from < BLOCK_ATOMS ? n->K - from : BLOCK_ATOMS;
    RA_TRY(ra_products(n->backend, n->unit + from * n->d, rows, n->unit, n->K, n->d, n->scores, err));
    for (size_t i = 0; i < rows; i++) n->scores[i * n->K + from + i] = -INFINITY; /* not itself */
    RA_TRY(ra_backend_top_k(n->backend, n->scores, rows, n->K, n->k, -INFINITY, &n->found, err));
    memcpy(n->index + from * n->k, n->found.index, rows * n->k * sizeof *n->index);
    memcpy(n->cosine + from * n->k, n->found.value, rows * n->k * sizeof *n->cosine);
    return RA_OK;
}

ra_status ra_layout_nearest(ra_backend *backend, const float *D, size_t K, size_t d, size_t k, int32_t *index,
                            float *cosine, ra_error *err) {
    nearest n = {.backend = backend, .K = K, .d = d, .k = k, .index = index, .cosine = cosine};
    n.unit = ra_malloc(K * d, sizeof *n.unit);
    n.scores = ra_malloc(BLOCK_ATOMS * K, sizeof *n.scores);
    ra_status status = RA_OK;
    if (!n.unit || !n.scores)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the nearest atoms need %zu bytes",
                              (d + BLOCK_ATOMS) * K * sizeof(float));
    else
        ra_unit_rows(ra_backend_pool(backend), D, K, d, 0, n.unit);
    for (size_t from = 0; from < K && status == RA_OK; from += BLOCK_ATOMS)
        status = search_block(&n, from, err);
    ra_codes_release(&n.found);
    ra_free(n.unit);
    ra_free(n.scores);
    return status;
}

/* ---- weights ------------------------------------------------------------------------------------------ */

static double sum_of_weights(const float *cosine, size_t k, float largest, double scale) {
    double sum = 0;
    for (size_t t = 0; t < k; t++) sum += exp(-(double)(largest - cosine[t]) / scale);
    return sum;
}

/* weight [k] <- exp(-(distance beyond the nearest) / scale), log2(k) in all (1 for the nearest at least). */
static void weigh(const float *cosine, size_t k, float *weight) {
    float largest = cosine[0];
    double low = 0, high = INFINITY, scale = 0.1, wanted = fmax(log2((double)k), 1);
    for (size_t t = 1; t < k; t++) largest = fmaxf(largest, cosine[t]);
    for (int i = 0; i < BISECTIONS; i++) {
        if (sum_of_weights(cosine, k, largest, scale) > wanted)
            high = scale;
        else
            low = scale;
        scale = isfinite(high) ? (low + high) / 2 : 2 * scale;
        if (scale > 1e3 || scale < 1e-9) break; /* all are as near, or only one counts */
    }
    for (size_t t = 0; t < k; t++) weight[t] = (float)exp(-(double)(largest - cosine[t]) / scale);
}

/* Where atom j has i among its nearest; k when it has not. */
static size_t place_of(const int32_t *index, size_t k, int32_t i) {
    size_t t = 0;
    while (t < k && index[t] < i) t++; /* indices rise */
    return t < k && index[t] == i ? t : k;
}

ra_status ra_layout_graph_init(ra_layout_graph *graph, const int32_t *index, const float *cosine, size_t K,
                               size_t k, ra_error *err) {
    *graph = (ra_layout_graph){0};
    float *weight = ra_malloc(K * k, sizeof *weight);
    graph->edges = ra_malloc(K * k, sizeof *graph->edges);
    if (!weight || !graph->edges) {
        ra_free(weight);
        ra_layout_graph_release(graph);
        RA_FAIL_MEMORY(err, "the graph of nearest atoms", K * k * (sizeof *weight + sizeof *graph->edges));
    }
    for (size_t i = 0; i < K; i++) weigh(cosine + i * k, k, weight + i * k);
    for (size_t i = 0; i < K; i++)
        for (size_t t = 0; t < k; t++) {
            size_t j = (size_t)index[i * k + t], back = place_of(index + j * k, k, (int32_t)i);
            float one = weight[i * k + t], other = back < k ? weight[j * k + back] : 0;
            float both = one + other - one * other;
            if ((back < k && j < i) || !(both > 0)) continue; /* seen from the other end */
            graph->edges[graph->count++] =
                (ra_layout_edge){(int32_t)(i < j ? i : j), (int32_t)(i < j ? j : i), both};
        }
    ra_free(weight);
    return RA_OK;
}

void ra_layout_graph_release(ra_layout_graph *graph) {
    ra_free(graph->edges);
    *graph = (ra_layout_graph){0};
}
