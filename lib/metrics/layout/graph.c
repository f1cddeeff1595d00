/* The graph of nearest atoms.
 *
 * One matrix product gives the cosines of a chunk of atoms with all others; the backend selects the largest.
 * This is exact, and for tens of thousands of atoms faster than building an index.
 *
 * The weight of an edge falls with how much farther its end is than the nearest atom, in units of a scale
 * that each atom has for itself: the one at which the weights of its edges sum to log2(k). So atoms in a
 * dense region have no more weight than a lonely one. The weights a and b of an edge that both ends have are
 * combined to a + b - ab. */
#include "metrics/layout/layout.h"
#include "ra_memory.h"
#include "metrics/unit.h"

#include <math.h>
#include <string.h>

enum { CHUNK_ATOMS = 256, BISECTIONS = 64 };

/* ---- nearest ------------------------------------------------------------------------------------------ */

typedef struct nearest {
    ra_backend *backend;
    size_t K, d, k;
    float *unit;   /* [K,d] */
    float *scores; /* [CHUNK_ATOMS,K] */
    ra_codes found;
    int32_t *index; /* [K,k] */
    float *cosine;
} nearest;

static ra_status search_chunk(nearest *n, size_t from, ra_error *err) {
    size_t rows = n->K - from < CHUNK_ATOMS ? n->K - from : CHUNK_ATOMS;
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
    n.scores = ra_malloc(CHUNK_ATOMS * K, sizeof *n.scores);
    ra_status status = RA_OK;
    if (!n.unit || !n.scores)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the nearest atoms need %zu bytes",
                              (d + CHUNK_ATOMS) * K * sizeof(float));
    else
        ra_unit_rows(ra_backend_pool(backend), D, K, d, n.unit);
    for (size_t from = 0; from < K && status == RA_OK; from += CHUNK_ATOMS)
        status = search_chunk(&n, from, err);
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

/* weight [k] <- exp(-(distance - that of the nearest) / scale), with the scale that makes their sum log2(k),
 * at least 1. */
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
        if (scale > 1e3 || scale < 1e-9) break; /* all are equally near, or only one counts */
    }
    for (size_t t = 0; t < k; t++) weight[t] = (float)exp(-(double)(largest - cosine[t]) / scale);
}

/* The position of i among the nearest of another atom; k if it is not there. */
static size_t position_of(const int32_t *index, size_t k, int32_t i) {
    size_t t = 0;
    while (t < k && index[t] < i) t++; /* indices ascend */
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
            size_t j = (size_t)index[i * k + t], back = position_of(index + j * k, k, (int32_t)i);
            float there = weight[i * k + t], here = back < k ? weight[j * k + back] : 0;
            float both = there + here - there * here;
            if ((back < k && j < i) || !(both > 0)) continue; /* already added from the other end */
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
