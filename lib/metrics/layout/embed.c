/* Positions by stochastic gradients.
 *
 * A map should give each edge of the graph the probability q / Z, where q = 1 / (1 + distance^2) of its ends and Z is the
 * sum of q over all pairs: that is t-SNE (van der Maaten and Hinton 2008). Z costs K^2. Noise-contrastive estimation
 * does without it (Gutmann and Hyvarinen 2010; for maps Artemenkov and Panov 2020, "NCVis", and Damrich and others 2023):
 * the map has to tell edges from random pairs, m for each edge. With z = m times the mean of q over random pairs,
 *
 *     an edge pulls its ends together by               2 z / (1 + z (1 + distance^2)),
 *     a random pair pushes its ends apart by  2 / ((1 + distance^2) (1 + z (1 + distance^2)))
 *
 * times their difference. UMAP (McInnes, Healy and Melville 2018) has z = 1, whatever the map: too much pull, which packs
 * what is near and mixes up who is nearest. Here z is measured in each epoch, on the pairs that are drawn anyway. In the
 * first quarter it comes down from 1, so that groups find each other before they are told apart.
 *
 * Each end of an edge draws m atoms. A pair that is drawn moves both of its atoms, by half each, since each atom is also
 * drawn by others: the same expected push with less noise. An edge of weight w is used in every (largest weight / w)-th
 * epoch; steps shrink to zero.
 *
 * It uses one thread, because each update reads what the last one wrote: so few epochs suffice, and the result is the same
 * every time. K = 32,000 takes some ten seconds. */
#include "metrics/layout/layout.h"
#include "ra_memory.h"
#include "base/random.h"

#include <math.h>

enum { DRAWN = 10 }; /* random atoms per end of an edge: m */

static const float longest_step = 4, start_size = 10, jitter = 1e-2f;
static const double first_rate = 4, warm_up = 0.25, first_mean = 0.01;

typedef struct embedding {
    float *positions; /* [K,2] */
    size_t K;
    float rate, z;
    ra_random random;
    double sum; /* of q over the pairs that were drawn in this epoch, and how many */
    size_t pairs;
} embedding;

static float clip(float step) {
    return step > longest_step ? longest_step : step < -longest_step ? -longest_step : step;
}

/* Moves a and b along their difference, by `factor` of it. */
static void move(float *a, float *b, float x, float y, float factor) {
    float dx = clip(factor * x), dy = clip(factor * y);
    a[0] += dx;
    a[1] += dy;
    b[0] -= dx;
    b[1] -= dy;
}

static void attract(const embedding *e, float *a, float *b) {
    float x = a[0] - b[0], y = a[1] - b[1], square = x * x + y * y;
    move(a, b, x, y, -2 * e->z / (1 + e->z * (1 + square)) * e->rate);
}

static void repel_from_some(embedding *e, size_t i) {
    float *a = e->positions + 2 * i;
    for (int n = 0; n < DRAWN; n++) {
        size_t other = (size_t)ra_random_below(&e->random, e->K);
        if (other == i) continue;
        float *b = e->positions + 2 * other;
        float x = a[0] - b[0], y = a[1] - b[1], square = x * x + y * y, q = 1 / (1 + square);
        move(a, b, x, y, q / (1 + e->z * (1 + square)) * e->rate);
        e->sum += (double)q;
        e->pairs++;
    }
}

/* Scales positions to a square and moves each a little, so that equal atoms can separate. */
static void start(embedding *e) {
    float largest = 0, *positions = e->positions;
    for (size_t i = 0; i < 2 * e->K; i++) largest = fmaxf(largest, fabsf(positions[i]));
    for (size_t i = 0; i < 2 * e->K; i++)
        positions[i] = (largest > 0 ? positions[i] / largest * start_size : 0) +
                       (float)(ra_random_unit(&e->random) - 0.5) * jitter;
}

static void run_epoch(embedding *e, const ra_layout_graph *graph, float largest, float *next, size_t epoch) {
    e->sum = 0;
    e->pairs = 0;
    for (size_t i = 0; i < graph->count; i++) {
        const ra_layout_edge *edge = &graph->edges[i];
        if (next[i] > (float)epoch) continue;
        next[i] += largest / edge->weight;
        attract(e, e->positions + 2 * (size_t)edge->a, e->positions + 2 * (size_t)edge->b);
        repel_from_some(e, (size_t)edge->a);
        repel_from_some(e, (size_t)edge->b);
    }
}

ra_status ra_layout_embed(const ra_layout_graph *graph, size_t K, size_t epochs,
                          const ra_layout_options *options, float *positions, ra_error *err) {
    float *next = ra_malloc(graph->count, sizeof *next), largest = 0;
    embedding e = {.positions = positions, .K = K};
    double mean = first_mean; /* of q over random pairs */
    if (!next) RA_FAIL_MEMORY(err, "the embedding of atoms", graph->count * sizeof *next);
    ra_random_seed(&e.random, options->seed);
    start(&e);
    for (size_t i = 0; i < graph->count; i++) largest = fmaxf(largest, graph->edges[i].weight);
    for (size_t i = 0; i < graph->count; i++) next[i] = largest / graph->edges[i].weight;
    bool canceled = false;
    for (size_t epoch = 1; epoch <= epochs && !canceled; epoch++) {
        double done = (double)(epoch - 1) / (double)epochs, z = DRAWN * mean;
        e.rate = (float)(first_rate * (1 - done));
        e.z = (float)(done < warm_up ? pow(z, done / warm_up) : z);
        run_epoch(&e, graph, largest, next, epoch);
        if (e.pairs) mean = (mean + e.sum / (double)e.pairs) / 2;
        canceled = options->progress && !options->progress(options->context, epoch, epochs);
    }
    ra_free(next);
    if (canceled) RA_FAIL(err, RA_ERR_CANCELED, "the layout was canceled");
    return RA_OK;
}
