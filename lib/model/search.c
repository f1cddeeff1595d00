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
 * On a device the scores stay there, and it finds a few more than k of the best; the answer is the same.
 *
 * Queries are scaled to length one first: neither their size nor the metric's division by it changes the
 * order, and products of very large or very small queries stay in range. */
#include "model/model.h"
#include "tensor/vectors.h"

#include <math.h>

enum {
    SCORES = 4 << 20, /* floats of scores at a time: blocks of queries */
    MOST_QUERIES = 256,
    SPARE = 32, /* how many more than k a device is asked for */
};

enum { QUERIES, PRODUCTS, ATOMS, SPANS };

static const size_t nobody = SIZE_MAX;

typedef struct search {
    const ra_model *model;
    size_t k;
    ra_similarity metric;
    size_t except; /* an atom that must not be found, or nobody */
    ra_execution *execution;
    float *unit; /* [block,d] */
    ra_span spans[SPANS];
    float *row;        /* [K] the scores of one query, from a device */
    ra_ranked *ranked; /* [K] */
    ra_codes *best;    /* of each query, by a device */
} search;

/* Scores of atoms for one query: of those that are named, or of all. */
typedef struct list {
    const int32_t *id; /* NULL: 0, 1, 2, ... */
    float *score;
    size_t count;
    bool are_keys; /* of the metric, finite; else products */
} list;

static size_t queries_at_a_time(const ra_model *model, size_t count) {
    size_t block = SCORES / model->info.concepts < 1 ? 1 : SCORES / model->info.concepts;
    if (block > MOST_QUERIES) block = MOST_QUERIES;
    return block < count ? block : count;
}

static void measure_spans(const ra_model *model, const ra_execution *execution, size_t block,
                          ra_span *spans) {
    spans[QUERIES] =
        (ra_span){.bytes = execution->remote ? block * model->info.dimensions * sizeof(float) : 0};
    spans[PRODUCTS] = (ra_span){.bytes = block * model->info.concepts * sizeof(float)};
    spans[ATOMS] = (ra_span){.bytes = ra_model_score_scratch(model, execution, block)};
}

size_t ra_model_search_scratch(const ra_model *model) {
    ra_span spans[SPANS];
    measure_spans(model, &(ra_execution){.remote = true}, queries_at_a_time(model, SIZE_MAX), spans);
    return ra_spans_bytes(spans, SPANS);
}

static ra_status reserve(search *s, ra_workspace *workspace, size_t block, ra_error *err) {
    const ra_model *model = s->model;
    size_t concepts = model->info.concepts, d = model->info.dimensions;
    void *values = NULL;
    RA_TRY(ra_scratch_reserve(&workspace->query, "unit queries", block * d, sizeof(float), &values, err));
    s->unit = values;
    RA_TRY(ra_scratch_reserve(&workspace->ranked, "a ranking", concepts, sizeof(ra_ranked), &values, err));
    s->ranked = values;
    s->best = &workspace->block;
    RA_TRY(ra_execution_open(&workspace->executions, model->backend, &s->execution, err));
    if (s->execution->remote) {
        RA_TRY(ra_scratch_reserve(&workspace->scores, "scores", concepts, sizeof(float), &values, err));
        s->row = values;
    }
    measure_spans(model, s->execution, block, s->spans);
    return ra_execution_reserve(s->execution, "scores", s->spans, SPANS, err);
}

/* The score by the metric that a float32 product with a unit query stands for; false when it stands for
 * nothing, because it overflowed, or because the atom is so small that products vanished. */
static bool rough(const search *s, float product, size_t k, float *key) {
    double scale = s->metric == RA_SIMILARITY_DOT ? s->model->largest_norm : s->model->norm[k];
    if (!isfinite(product) || (scale > 0 && scale < RA_MODEL_SMALLEST_NORM)) return false;
    *key = s->metric == RA_SIMILARITY_DOT || scale == 0 ? product : (float)(product / scale);
    return true;
}

/* The score as it is answered. + 0.0f: no negative zeros, which order and print differently. */
static float precise(const search *s, const float *query, double length, size_t k) {
    const ra_tensor *D = &s->model->dictionary;
    double dot = ra_row_dot(D->dtype, ra_tensor_row(D, k), query, D->shape[1]);
    double scale = s->metric == RA_SIMILARITY_DOT ? 1 : length * s->model->norm[k];
    return (scale > 0 ? (float)(dot / scale) : 0.0f) + 0.0f;
}

/* How far two rough scores in the right order can be apart the wrong way round: the bound of float32 sums of
 * d products, for both of them, with a little for the rounding of the query, of the norm and of the answer,
 * which loses more when a tiny query makes it a subnormal number. TF32 keeps 10 bits of each factor. */
static float slack(const search *s, double length) {
    double unit = 0x1p-24 * (double)(s->model->info.dimensions + 16);
    if (ra_backend_tf32(s->model->backend)) unit += 0x1p-9;
    if (s->metric == RA_SIMILARITY_COSINE) return (float)(2 * unit);
    return (float)(2 * unit * s->model->largest_norm + 0x1p-148 / length);
}

/* ranked <- all atoms that can be among the best k; *found <- how many, at least k. Turns the scores into
 * keys. Atoms whose rough score says nothing stay in the race, and say nothing about the others. False when
 * atoms that the list does not name can be among them, too: its lowest is not low enough. */
static bool candidates(const search *s, double length, const list *from, size_t *found) {
    size_t n = 0, kept = 0;
    float lowest = INFINITY, *score = from->score;
    for (size_t i = 0; i < from->count; i++) {
        size_t k = from->id ? (size_t)from->id[i] : i;
        if (score[i] < lowest) lowest = score[i];
        if (k == s->except) continue;
        if (!from->are_keys && !rough(s, score[i], k, &score[i]))
            score[i] = INFINITY;
        else if (kept < s->k || score[i] > s->ranked[0].key)
            ra_ranking_offer(s->ranked, &kept, s->k, (ra_ranked){score[i], (uint32_t)k});
    }
    float least = kept < s->k ? -INFINITY : s->ranked[0].key - slack(s, length);
    if (from->id && !(lowest < least)) return false;
    for (size_t i = 0; i < from->count; i++) {
        size_t k = from->id ? (size_t)from->id[i] : i;
        if (score[i] >= least && k != s->except) s->ranked[n++].id = (uint32_t)k;
    }
    *found = n;
    return true;
}

/* False when the list is not enough for an answer. */
static bool answer(const search *s, const float *query, double length, const list *from, size_t *ids,
                   float *found) {
    if (length > 0) {
        size_t n = 0;
        if (!candidates(s, length, from, &n)) return false;
        for (size_t i = 0; i < n; i++) s->ranked[i].key = precise(s, query, length, s->ranked[i].id);
        ra_ranking_sort(s->ranked, n);
    } else { /* everything is equally far from nothing */
        for (size_t i = 0; i < s->k; i++) s->ranked[i] = (ra_ranked){0, (uint32_t)(i + (i >= s->except))};
    }
    for (size_t i = 0; i < s->k; i++) {
        ids[i] = s->ranked[i].id;
        found[i] = s->ranked[i].key;
    }
    return true;
}

static double length_of(const float *query, size_t d) {
    return sqrt(ra_dot_f64(query, query, d));
}

/* ---- where the scores are ------------------------------------------------------------------------------ */

static ra_status answer_here(const search *s, const float *queries, size_t n, size_t *ids, float *found,
                             ra_error *err) {
    size_t concepts = s->model->info.concepts, d = s->model->info.dimensions;
    (void)err;
    for (size_t q = 0; q < n; q++) {
        const float *query = queries + q * d;
        const list all = {.score = (float *)s->spans[PRODUCTS].at + q * concepts, .count = concepts};
        answer(s, query, length_of(query, d), &all, ids + q * s->k, found + q * s->k);
    }
    return RA_OK;
}

/* Products by the metric, where they are: over the norms for a cosine. */
static ra_status make_keys(const search *s, size_t n, ra_error *err) {
    const ra_execution *execution = s->execution;
    const ra_resident *on_device = &s->model->resident;
    if (s->metric == RA_SIMILARITY_DOT) return RA_OK;
    const ra_norm over_norms = {.mean = on_device->zeros,
                                .rstd = on_device->inverse_norm,
                                .gamma = on_device->ones,
                                .beta = on_device->zeros};
    return ra_stream_normalize(execution->stream, &over_norms, s->spans[PRODUCTS].at, s->spans[PRODUCTS].at,
                               n, s->model->info.concepts, err);
}

static list best_of(const search *s, size_t q) {
    size_t from = s->best->start[q];
    return (list){s->best->index + from, s->best->value + from, s->best->start[q + 1] - from, true};
}

/* The scores stay on the device, which finds a few more than k of the best of each query; where those do not
 * settle it, many atoms being as good as the last, the scores of that query are fetched. So are those of a
 * dictionary whose scores say little (plain_norms), and when it is a good part of all that is asked for. */
static ra_status answer_there(const search *s, const float *queries, size_t n, size_t *ids, float *found,
                              ra_error *err) {
    ra_execution *execution = s->execution;
    size_t concepts = s->model->info.concepts, d = s->model->info.dimensions;
    size_t few = s->k + SPARE + (s->except != nobody);
    const float *scores = s->spans[PRODUCTS].at;
    bool keys = s->model->plain_norms, select = keys && few <= concepts / 2;
    if (keys) RA_TRY(make_keys(s, n, err));
    if (select) RA_TRY(ra_stream_top_k(execution->stream, scores, n, concepts, few, -INFINITY, s->best, err));
    for (size_t q = 0; q < n; q++) {
        const float *query = queries + q * d;
        double length = length_of(query, d);
        const list best = select ? best_of(s, q) : (list){0}, all = {NULL, s->row, concepts, keys};
        if (select && answer(s, query, length, &best, ids + q * s->k, found + q * s->k)) continue;
        RA_TRY(ra_execution_download(execution, scores + q * concepts, s->row, concepts, err));
        answer(s, query, length, &all, ids + q * s->k, found + q * s->k);
    }
    return RA_OK;
}

static ra_status answer_block(search *s, const float *queries, size_t n, size_t *ids, float *found,
                              ra_error *err) {
    size_t d = s->model->info.dimensions;
    const float *unit = NULL;
    for (size_t q = 0; q < n; q++) {
        const float *query = queries + q * d;
        double length = length_of(query, d), scale = length > 0 ? 1 / length : 0;
        for (size_t i = 0; i < d; i++) s->unit[q * d + i] = (float)(query[i] * scale);
    }
    RA_TRY(ra_execution_upload(s->execution, s->unit, n * d, &s->spans[QUERIES], &unit, err));
    RA_TRY(ra_model_score(s->model, s->execution, unit, n, s->spans[ATOMS].at, s->spans[PRODUCTS].at, err));
    return (s->execution->remote ? answer_there : answer_here)(s, queries, n, ids, found, err);
}

static ra_status run(search *s, ra_workspace *workspace, const float *queries, size_t count, size_t *ids,
                     float *found, ra_error *err) {
    size_t block = queries_at_a_time(s->model, count), d = s->model->info.dimensions;
    RA_TRY(reserve(s, workspace, block, err));
    ra_status status = RA_OK;
    for (size_t from = 0; from < count && status == RA_OK; from += block)
        status = answer_block(s, queries + from * d, count - from < block ? count - from : block,
                              ids + from * s->k, found + from * s->k, err);
    return ra_execution_finish(s->execution, status);
}

static ra_status check_metric(ra_similarity metric, ra_error *err) {
    if (metric == RA_SIMILARITY_COSINE || metric == RA_SIMILARITY_DOT) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "%d is no metric; expected RA_SIMILARITY_COSINE or RA_SIMILARITY_DOT",
            (int)metric);
}

ra_status ra_model_search(const ra_model *model, ra_workspace *workspace, const float *queries, size_t count,
                          size_t k, ra_similarity metric, size_t *ids, float *scores, ra_error *err) {
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
                             ra_similarity metric, size_t *ids, float *scores, ra_error *err) {
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
