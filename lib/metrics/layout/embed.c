/* Positions by stochastic gradients: they minimize minus the log-likelihood of the edges under q = 1 / (1 +
 * distance^2), with some random atoms per edge as examples of pairs without an edge. An edge of weight w is
 * used in every (largest weight / w)-th epoch; steps shrink to zero.
 *
 * It uses one thread, because each update reads what the last one wrote: so few epochs suffice, and the
 * result is the same every time. K = 10,000 takes some seconds. */
#include "metrics/layout/layout.h"
#include "ra_memory.h"
#include "base/random.h"

#include <math.h>

enum { REPELLED = 5 }; /* random atoms per end of an edge */

static const float longest_step = 4, start_size = 10, guard = 1e-3f;

static float clip(float step) {
    return step > longest_step ? longest_step : step < -longest_step ? -longest_step : step;
}

static void attract(float *a, float *b, float rate) {
    float x = a[0] - b[0], y = a[1] - b[1], pull = -2 / (1 + x * x + y * y) * rate;
    float dx = clip(pull * x), dy = clip(pull * y);
    a[0] += dx;
    a[1] += dy;
    b[0] -= dx;
    b[1] -= dy;
}

static void repel(float *a, const float *b, float rate) {
    float x = a[0] - b[0], y = a[1] - b[1], square = x * x + y * y;
    float push = 2 / ((guard + square) * (1 + square)) * rate;
    a[0] += clip(push * x);
    a[1] += clip(push * y);
}

static void repel_from_some(float *positions, size_t i, size_t K, float rate, ra_random *random) {
    for (int r = 0; r < REPELLED; r++) {
        size_t other = (size_t)ra_random_below(random, K);
        if (other != i) repel(positions + 2 * i, positions + 2 * other, rate);
    }
}

/* Scales positions to a square and moves each a little, so that equal atoms can separate. */
static void start(float *positions, size_t K, ra_random *random) {
    float largest = 0;
    for (size_t i = 0; i < 2 * K; i++) largest = fmaxf(largest, fabsf(positions[i]));
    for (size_t i = 0; i < 2 * K; i++)
        positions[i] = (largest > 0 ? positions[i] / largest * start_size : 0) +
                       (float)(ra_random_unit(random) - 0.5) * guard * start_size;
}

ra_status ra_layout_embed(const ra_layout_graph *graph, size_t K, size_t epochs,
                          const ra_layout_options *options, float *positions, ra_error *err) {
    float *next = ra_malloc(graph->count, sizeof *next), largest = 0;
    ra_random random;
    if (!next) RA_FAIL_MEMORY(err, "the embedding of atoms", graph->count * sizeof *next);
    ra_random_seed(&random, options->seed);
    start(positions, K, &random);
    for (size_t e = 0; e < graph->count; e++) largest = fmaxf(largest, graph->edges[e].weight);
    for (size_t e = 0; e < graph->count; e++) next[e] = largest / graph->edges[e].weight;
    bool canceled = false;
    for (size_t epoch = 1; epoch <= epochs && !canceled; epoch++) {
        float rate = 1 - (float)(epoch - 1) / (float)epochs;
        for (size_t e = 0; e < graph->count; e++) {
            const ra_layout_edge *edge = &graph->edges[e];
            if (next[e] > (float)epoch) continue;
            next[e] += largest / edge->weight;
            attract(positions + 2 * edge->a, positions + 2 * edge->b, rate);
            repel_from_some(positions, (size_t)edge->a, K, rate, &random);
            repel_from_some(positions, (size_t)edge->b, K, rate, &random);
        }
        canceled = options->progress && !options->progress(options->context, epoch, epochs);
    }
    ra_free(next);
    if (canceled) RA_FAIL(err, RA_ERR_CANCELED, "the layout was canceled");
    return RA_OK;
}
