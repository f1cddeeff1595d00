/* The atoms nearest to a vector: exact, and the same whatever computed the scores.
 *
 * The backend scores all atoms in float32, which for one query is a single pass over D at the speed of
 * memory. Float32 sums of d products are off by a known amount at most (d times half a unit in the last
 * place, times the norms), and by different amounts in different tiles of a matrix product, so they cannot
 * decide who is k-th. They decide who can be: every atom whose score is within twice that bound of the k-th
 * largest, a handful more than k. Those few are scored again in float64 and sorted. So the answer does not
 * depend on the backend, on how many queries were asked together, or on where in D an atom stands, and atoms
 * that are equal come in the order of their index.
 *
 * Queries are scaled to length one first: neither their size nor the metric's division by it changes the
 * order, and products of very large or very small queries stay in range. */
#include "model/model.h"
#include "model/vectors.h"
#include "tensor/dot.h"

#include <math.h>

enum {
    SCORES = 4 << 20, /* floats of scores at a time: blocks of queries */
    MOST_QUERIES = 256,
};

static const size_t nobody = SIZE_MAX;

typedef struct search {
    const ra_model *model;
    size_t k;
    ra_metric metric;
    size_t except;     /* an atom that must not be found, or nobody */
    float *unit;       /* [block,d] */
    float *scores;     /* [block,K] */
    ra_ranked *ranked; /* [K] */
} search;

static ra_status reserve(search *s, ra_workspace *workspace, size_t block, ra_error *err) {
    const ra_model *model = s->model;
    size_t concepts = model->info.concepts, d = model->info.dimensions;
    void *values = NULL;
    RA_TRY(ra_scratch_reserve(&workspace->query, "unit queries", block * d, sizeof(float), &values, err));
    s->unit = values;
    RA_TRY(ra_scratch_reserve(&workspace->scores, "scores", block * concepts, sizeof(float), &values, err));
    s->scores = values;
    RA_TRY(ra_scratch_reserve(&workspace->ranked, "a ranking", concepts, sizeof(ra_ranked), &values, err));
    s->ranked = values;
    return RA_OK;
}

/* The score by the metric that a float32 product with a unit query stands for; false when it stands for
 * nothing, because it overflowed, or because the atom is so small that products vanished. */
static bool rough(const search *s, float product, size_t k, float *key) {
    static const double smallest = 0x1p-96;
    double scale = s->metric == RA_METRIC_DOT ? s->model->largest_norm : s->model->norm[k];
    if (!isfinite(product) || (scale > 0 && scale < smallest)) return false;
    *key = s->metric == RA_METRIC_DOT || scale == 0 ? product : (float)(product / scale);
    return true;
}

/* The score as it is answered. + 0.0f: no negative zeros, which order and print differently. */
static float precise(const search *s, const float *query, double length, size_t k) {
    const ra_tensor *D = &s->model->dictionary;
    double dot = ra_vector_dot_row(D->dtype, ra_tensor_row(D, k), query, D->shape[1]);
    double scale = s->metric == RA_METRIC_DOT ? 1 : length * s->model->norm[k];
    return (scale > 0 ? (float)(dot / scale) : 0.0f) + 0.0f;
}

/* How far two rough scores in the right order can be apart the wrong way round: the bound of float32 sums of
 * d products, for both of them, with a little for the rounding of the query and of the answer, which loses
 * more when a tiny query makes it a subnormal number. */
static float slack(const search *s, double length) {
    double unit = 0x1p-24 * (double)(s->model->info.dimensions + 16);
    if (s->metric == RA_METRIC_COSINE) return (float)(2 * unit);
    return (float)(2 * unit * s->model->largest_norm + 0x1p-148 / length);
}

/* ranked <- all atoms that can be among the best k; how many, at least k. Overwrites the scores. Atoms whose
 * rough score says nothing stay in the race, and say nothing about the others. */
static size_t candidates(const search *s, double length, float *scores) {
    size_t concepts = s->model->info.concepts, n = 0, kept = 0;
    for (size_t k = 0; k < concepts; k++) {
        if (k == s->except) continue;
        if (!rough(s, scores[k], k, &scores[k]))
            scores[k] = INFINITY;
        else if (kept < s->k || scores[k] > s->ranked[0].key)
            ra_ranking_offer(s->ranked, &kept, s->k, (ra_ranked){scores[k], (uint32_t)k});
    }
    float least = kept < s->k ? -INFINITY : s->ranked[0].key - slack(s, length);
    for (size_t k = 0; k < concepts; k++)
        if (scores[k] >= least && k != s->except) s->ranked[n++].id = (uint32_t)k;
    return n;
}

static void answer(const search *s, const float *query, double length, float *scores, size_t *ids,
                   float *found) {
    if (length > 0) {
        size_t n = candidates(s, length, scores);
        for (size_t i = 0; i < n; i++) s->ranked[i].key = precise(s, query, length, s->ranked[i].id);
        ra_ranking_sort(s->ranked, n);
    } else { /* everything is equally far from nothing */
        for (size_t i = 0; i < s->k; i++) s->ranked[i] = (ra_ranked){0, (uint32_t)(i + (i >= s->except))};
    }
    for (size_t i = 0; i < s->k; i++) {
        ids[i] = s->ranked[i].id;
        found[i] = s->ranked[i].key;
    }
}

static double length_of(const float *query, size_t d) {
    return sqrt(ra_dot_f64(query, query, d));
}

static ra_status run(search *s, ra_workspace *workspace, const float *queries, size_t count, size_t *ids,
                     float *found, ra_error *err) {
    size_t concepts = s->model->info.concepts, d = s->model->info.dimensions;
    size_t block = SCORES / concepts < 1 ? 1 : SCORES / concepts;
    if (block > MOST_QUERIES) block = MOST_QUERIES;
    if (block > count) block = count;
    RA_TRY(reserve(s, workspace, block, err));
    for (size_t from = 0; from < count; from += block) {
        size_t n = count - from < block ? count - from : block;
        for (size_t q = 0; q < n; q++) {
            const float *query = queries + (from + q) * d;
            double length = length_of(query, d), scale = length > 0 ? 1 / length : 0;
            for (size_t i = 0; i < d; i++) s->unit[q * d + i] = (float)(query[i] * scale);
        }
        RA_TRY(ra_model_score(s->model, workspace, s->unit, n, s->scores, err));
        for (size_t q = 0; q < n; q++) {
            const float *query = queries + (from + q) * d;
            answer(s, query, length_of(query, d), s->scores + q * concepts, ids + (from + q) * s->k,
                   found + (from + q) * s->k);
        }
    }
    return RA_OK;
}

static ra_status check_metric(ra_metric metric, ra_error *err) {
    if (metric == RA_METRIC_COSINE || metric == RA_METRIC_DOT) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "%d is no metric; expected RA_METRIC_COSINE or RA_METRIC_DOT", (int)metric);
}

ra_status ra_model_search(const ra_model *model, ra_workspace *workspace, const float *queries, size_t count,
                          size_t k, ra_metric metric, size_t *ids, float *scores, ra_error *err) {
    RA_TRY(check_metric(metric, err));
    if (k < 1 || k > model->info.concepts)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k is %zu; expected 1 to %zu, the number of atoms", k,
                model->info.concepts);
    RA_TRY(ra_model_check_rows("query", queries, count, model->info.dimensions, err));
    if (count == 0) return RA_OK;
    search s = {.model = model, .k = k, .metric = metric, .except = nobody};
    return run(&s, workspace, queries, count, ids, scores, err);
}

ra_status ra_model_neighbors(const ra_model *model, ra_workspace *workspace, size_t atom, size_t k,
                             ra_metric metric, size_t *ids, float *scores, ra_error *err) {
    RA_TRY(check_metric(metric, err));
    if (atom >= model->info.concepts)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no atom %zu: %s has %zu atoms, from 0 on", atom,
                model->info.path, model->info.concepts);
    if (k < 1 || k >= model->info.concepts)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k is %zu; expected 1 to %zu, the number of other atoms", k,
                model->info.concepts - 1);
    void *query = NULL;
    RA_TRY(ra_scratch_reserve(&workspace->neighbor, "an atom", model->info.dimensions, sizeof(float), &query,
                              err));
    RA_TRY(ra_model_atom(model, atom, query, err));
    search s = {.model = model, .k = k, .metric = metric, .except = atom};
    return run(&s, workspace, query, 1, ids, scores, err);
}
