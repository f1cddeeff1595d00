/* The atoms nearest to a vector: exact, and the same whatever computes the scores.
 *
 * The backend scores all atoms in float32; for one query that is a single pass over D at the speed of the
 * memory. A float32 sum of d terms has an error of at most d times half a unit in the last place, times the
 * norms, and a different one in each tile of a matrix product. So these scores cannot tell which atom is the
 * k-th, but which ones can be: those within twice that bound of the k-th largest score, a few more than k.
 * These are scored again in float64 and sorted. So the answer does not depend on the backend, on the number
 * of queries at once, or on the position of an atom in D; equal atoms come in the order of their index.
 *
 * A device keeps the scores and finds a few more than k of the best; the answer is the same. Of a search among an eighth
 * of the atoms or fewer, the host reads only those.
 *
 * Queries are scaled to length one first: that changes no order, and keeps the scores of very large or very
 * small queries in the range of float32. */
#include "model/model.h"
#include "tensor/vectors.h"

#include <math.h>

enum {
    SCORE_NUMBERS = 4 << 20, /* at a time: this limits a chunk of queries */
    MOST_QUERIES = 256,
    SPARE = 32, /* a device finds so many more than k */
    FEW = 8,    /* among so small a part of the atoms, reading those alone is quicker */
};

enum { QUERIES, SCORES, ATOMS, SPANS };

static const size_t no_atom = SIZE_MAX;

typedef struct search {
    const ra_model *model;
    size_t k;
    ra_similarity metric;
    size_t except;         /* an atom that is not part of the answer, or no_atom */
    const uint64_t *among; /* the atoms that may be, a bit each; NULL: all */
    size_t most;           /* how many those are */
    const int32_t *chosen; /* [most] the same as a list; NULL: all */
    bool scores_chosen;    /* those alone */
    ra_execution *execution;
    float *unit; /* [chunk,d] */
    ra_span spans[SPANS];
    float *row;        /* [K] the scores of one query, from a device */
    ra_ranked *ranked; /* [K] */
    ra_codes *best;    /* of each query, from a device */
} search;

/* Scores of one query with some atoms, or with all. */
typedef struct list {
    const int32_t *id; /* the atoms; NULL: all */
    float *score;      /* in the order of the list, or of all atoms */
    size_t count;
    bool by_atom;  /* the latter */
    bool are_keys; /* finite scores by the metric; otherwise: dot products */
    bool is_part;  /* others have scores that are not larger */
} list;

static size_t queries_at_a_time(const ra_model *model, size_t count) {
    size_t chunk = SCORE_NUMBERS / model->info.concepts < 1 ? 1 : SCORE_NUMBERS / model->info.concepts;
    if (chunk > MOST_QUERIES) chunk = MOST_QUERIES;
    return chunk < count ? chunk : count;
}

static void measure_spans(const ra_model *model, const ra_execution *execution, size_t chunk,
                          ra_span *spans) {
    spans[QUERIES] =
        (ra_span){.bytes = execution->remote ? chunk * model->info.dimensions * sizeof(float) : 0};
    spans[SCORES] = (ra_span){.bytes = chunk * model->info.concepts * sizeof(float)};
    spans[ATOMS] = (ra_span){.bytes = ra_model_score_scratch(model, execution, chunk)};
}

size_t ra_model_search_scratch(const ra_model *model) {
    ra_span spans[SPANS];
    measure_spans(model, &(ra_execution){.remote = true}, queries_at_a_time(model, SIZE_MAX), spans);
    return ra_spans_bytes(spans, SPANS);
}

/* The list of the atoms. On a device, which scores all, bits are as good. */
static ra_status choose(search *s, ra_workspace *workspace, ra_error *err) {
    size_t words = (s->model->info.concepts + 63) / 64, n = 0;
    void *values = NULL;
    if (!s->among || s->execution->remote) return RA_OK;
    RA_TRY(ra_scratch_reserve(&workspace->chosen, "the atoms of a search", s->most + 1, sizeof(int32_t),
                              &values, err));
    int32_t *chosen = values;
    for (size_t w = 0; w < words; w++)
        for (uint64_t bits = s->among[w]; bits && n < s->most; bits &= bits - 1)
            chosen[n++] = (int32_t)(64 * w + (size_t)__builtin_ctzll(bits));
    s->chosen = chosen;
    s->scores_chosen = s->most <= s->model->info.concepts / FEW;
    return RA_OK;
}

static ra_status reserve(search *s, ra_workspace *workspace, size_t chunk, ra_error *err) {
    const ra_model *model = s->model;
    size_t concepts = model->info.concepts, d = model->info.dimensions;
    void *values = NULL;
    RA_TRY(ra_scratch_reserve(&workspace->query, "unit queries", chunk * d, sizeof(float), &values, err));
    s->unit = values;
    RA_TRY(ra_scratch_reserve(&workspace->ranked, "a ranking", concepts, sizeof(ra_ranked), &values, err));
    s->ranked = values;
    s->best = &workspace->chunk;
    RA_TRY(ra_execution_open(&workspace->executions, model->backend, &s->execution, err));
    if (s->execution->remote) {
        RA_TRY(ra_scratch_reserve(&workspace->scores, "scores", concepts, sizeof(float), &values, err));
        s->row = values;
    }
    RA_TRY(choose(s, workspace, err));
    measure_spans(model, s->execution, chunk, s->spans);
    if (s->scores_chosen) s->spans[ATOMS].bytes = ra_model_score_chosen_scratch(model, chunk);
    return ra_execution_reserve(s->execution, "scores", s->spans, SPANS, err);
}

static bool is_out(const search *s, size_t k) {
    bool listed = !s->among || s->chosen; /* then those that are not in the list do not come here */
    return k == s->except || (!listed && !(s->among[k / 64] >> k % 64 & 1));
}

/* The score by the metric for a float32 dot product with a unit query. False if the dot product is
 * meaningless, because it overflowed, or may have underflowed because the atom is so short. */
static bool rough(const search *s, float dot, size_t k, float *key) {
    double scale = s->metric == RA_SIMILARITY_DOT ? s->model->largest_norm : s->model->norm[k];
    if (!isfinite(dot) || (scale > 0 && scale < RA_MODEL_SMALLEST_NORM)) return false;
    *key = s->metric == RA_SIMILARITY_DOT || scale == 0 ? dot : (float)(dot / scale);
    return true;
}

/* The score that is returned. + 0.0f turns a negative zero, which would print differently, into zero. */
static float precise(const search *s, const float *query, double length, size_t k) {
    const ra_tensor *D = &s->model->dictionary;
    double dot = ra_row_dot(D->dtype, ra_tensor_row(D, k), query, D->shape[1]);
    double scale = s->metric == RA_SIMILARITY_DOT ? 1 : length * s->model->norm[k];
    return (scale > 0 ? (float)(dot / scale) : 0.0f) + 0.0f;
}

/* How much larger a rough score can be than another one if the exact scores are in the opposite order: the
 * error of a float32 sum of d terms, for both, with a margin for the rounding of the query, of the norm and
 * of the result, which loses more digits if a very short query makes it subnormal. TF32 keeps 10 bits of each
 * factor. */
static float slack(const search *s, double length) {
    double unit = 0x1p-24 * (double)(s->model->info.dimensions + 16);
    if (ra_backend_tf32(s->model->backend)) unit += 0x1p-9;
    if (s->metric == RA_SIMILARITY_COSINE) return (float)(2 * unit);
    return (float)(2 * unit * s->model->largest_norm + 0x1p-148 / length);
}

/* ranked <- all atoms of the list that can be among the best k; *found <- how many, at least k. Turns the
 * scores into keys. An atom with a meaningless score remains a candidate and excludes no other. False if
 * atoms that are not in the list can be among the best, too, because its lowest score is not low enough. */
static bool candidates(const search *s, double length, const list *from, size_t *found) {
    size_t n = 0, kept = 0;
    float lowest = INFINITY, *score = from->score;
    for (size_t i = 0; i < from->count; i++) {
        size_t k = from->id ? (size_t)from->id[i] : i, at = from->by_atom ? k : i;
        if (score[at] < lowest) lowest = score[at];
        if (is_out(s, k)) continue;
        if (!from->are_keys && !rough(s, score[at], k, &score[at]))
            score[at] = INFINITY;
        else if (kept < s->k || score[at] > s->ranked[0].key)
            ra_ranking_offer(s->ranked, &kept, s->k, (ra_ranked){score[at], (uint32_t)k});
    }
    float least = kept < s->k ? -INFINITY : s->ranked[0].key - slack(s, length);
    if (from->is_part && !(lowest < least)) return false;
    for (size_t i = 0; i < from->count; i++) {
        size_t k = from->id ? (size_t)from->id[i] : i, at = from->by_atom ? k : i;
        if (score[at] >= least && !is_out(s, k)) s->ranked[n++].id = (uint32_t)k;
    }
    *found = n;
    return true;
}

/* False if the list does not suffice for an answer. */
static bool answer(const search *s, const float *query, double length, const list *from, size_t *ids,
                   float *found) {
    if (length > 0) {
        size_t n = 0;
        if (!candidates(s, length, from, &n)) return false;
        for (size_t i = 0; i < n; i++) s->ranked[i].key = precise(s, query, length, s->ranked[i].id);
        ra_ranking_sort(s->ranked, n);
    } else { /* every atom is equally near to a query of zeros */
        size_t n = 0;
        for (size_t i = 0; n < s->k; i++) {
            size_t k = s->chosen ? (size_t)s->chosen[i] : i;
            if (!is_out(s, k)) s->ranked[n++] = (ra_ranked){0, (uint32_t)k};
        }
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

/* ---- scores on the host and on a device ---------------------------------------------------------------- */

static ra_status answer_from_host(const search *s, const float *queries, size_t n, size_t *ids, float *found,
                                  ra_error *err) {
    size_t scored = s->scores_chosen ? s->most : s->model->info.concepts, d = s->model->info.dimensions;
    (void)err;
    for (size_t q = 0; q < n; q++) {
        const float *query = queries + q * d;
        const list whole = {.id = s->chosen,
                            .score = (float *)s->spans[SCORES].at + q * scored,
                            .count = s->chosen ? s->most : scored,
                            .by_atom = !s->scores_chosen};
        answer(s, query, length_of(query, d), &whole, ids + q * s->k, found + q * s->k);
    }
    return RA_OK;
}

/* Turns dot products on a device into scores by the metric: for a cosine, divides by the norms. */
static ra_status make_keys(const search *s, size_t n, ra_error *err) {
    const ra_execution *execution = s->execution;
    const ra_resident *resident = &s->model->resident;
    if (s->metric == RA_SIMILARITY_DOT) return RA_OK;
    const ra_norm over_norms = {.mean = resident->zeros,
                                .rstd = resident->inverse_norm,
                                .gamma = resident->ones,
                                .beta = resident->zeros};
    return ra_stream_normalize(execution->stream, &over_norms, 0, s->spans[SCORES].at, s->spans[SCORES].at, n,
                               s->model->info.concepts, err);
}

static list best_of(const search *s, size_t q) {
    size_t from = s->best->start[q];
    return (list){
        s->best->index + from, s->best->value + from, s->best->start[q + 1] - from, false, true, true};
}

/* The device keeps the scores and finds a few more than k of the best for each query. If these do not
 * suffice, because many atoms are as good as the last of them, all scores of that query are copied to the
 * host. So they are if the norms are not plain, if k is a large part of all atoms, and in a search among some atoms,
 * which the device does not know. */
static ra_status answer_from_device(const search *s, const float *queries, size_t n, size_t *ids,
                                    float *found, ra_error *err) {
    ra_execution *execution = s->execution;
    size_t concepts = s->model->info.concepts, d = s->model->info.dimensions;
    size_t few = s->k + SPARE + (s->except != no_atom);
    const float *scores = s->spans[SCORES].at;
    bool keys = s->model->plain_norms, select = keys && few <= concepts / 2 && !s->among;
    if (keys) RA_TRY(make_keys(s, n, err));
    if (select) RA_TRY(ra_stream_top_k(execution->stream, scores, n, concepts, few, -INFINITY, s->best, err));
    for (size_t q = 0; q < n; q++) {
        const float *query = queries + q * d;
        double length = length_of(query, d);
        const list best = select ? best_of(s, q) : (list){0},
                   whole = {NULL, s->row, concepts, false, keys, false};
        if (select && answer(s, query, length, &best, ids + q * s->k, found + q * s->k)) continue;
        RA_TRY(ra_execution_download(execution, scores + q * concepts, s->row, concepts, err));
        answer(s, query, length, &whole, ids + q * s->k, found + q * s->k);
    }
    return RA_OK;
}

static ra_status answer_chunk(search *s, const float *queries, size_t n, size_t *ids, float *found,
                              ra_error *err) {
    size_t d = s->model->info.dimensions;
    const float *unit = NULL;
    for (size_t q = 0; q < n; q++) {
        const float *query = queries + q * d;
        double length = length_of(query, d), scale = length > 0 ? 1 / length : 0;
        for (size_t i = 0; i < d; i++) s->unit[q * d + i] = (float)(query[i] * scale);
    }
    RA_TRY(ra_execution_upload(s->execution, s->unit, n * d, &s->spans[QUERIES], &unit, err));
    if (s->scores_chosen)
        RA_TRY(ra_model_score_chosen(s->model, s->execution, unit, n, s->chosen, s->most, s->spans[ATOMS].at,
                                     s->spans[SCORES].at, err));
    else
        RA_TRY(ra_model_score(s->model, s->execution, unit, n, s->spans[ATOMS].at, s->spans[SCORES].at, err));
    return (s->execution->remote ? answer_from_device : answer_from_host)(s, queries, n, ids, found, err);
}

static ra_status run(search *s, ra_workspace *workspace, const float *queries, size_t count, size_t *ids,
                     float *found, ra_error *err) {
    size_t chunk = queries_at_a_time(s->model, count), d = s->model->info.dimensions;
    RA_TRY(reserve(s, workspace, chunk, err));
    ra_status status = RA_OK;
    for (size_t from = 0; from < count && status == RA_OK; from += chunk) {
        status = ra_workspace_check(workspace, err);
        if (status == RA_OK)
            status = answer_chunk(s, queries + from * d, count - from < chunk ? count - from : chunk,
                                  ids + from * s->k, found + from * s->k, err);
    }
    return ra_execution_finish(s->execution, status);
}

static ra_status check_metric(ra_similarity metric, ra_error *err) {
    if (metric == RA_SIMILARITY_COSINE || metric == RA_SIMILARITY_DOT) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "there is no metric %d; expected RA_SIMILARITY_COSINE or RA_SIMILARITY_DOT",
            (int)metric);
}

/* Of the bits of all atoms. */
static size_t count_of(const ra_model *model, const uint64_t *among) {
    size_t concepts = model->info.concepts, count = 0;
    if (!among) return concepts;
    for (size_t w = 0; w < concepts / 64; w++) count += (size_t)__builtin_popcountll(among[w]);
    uint64_t last = concepts % 64 ? among[concepts / 64] & (((uint64_t)1 << concepts % 64) - 1) : 0;
    return count + (size_t)__builtin_popcountll(last);
}

ra_status ra_model_search(const ra_model *model, ra_workspace *workspace, const float *queries, size_t count,
                          size_t k, ra_similarity metric, size_t *ids, float *scores, ra_error *err) {
    return ra_model_search_among(model, workspace, queries, count, NULL, k, metric, ids, scores, err);
}

ra_status ra_model_search_among(const ra_model *model, ra_workspace *workspace, const float *queries,
                                size_t count, const uint64_t *among, size_t k, ra_similarity metric,
                                size_t *ids, float *scores, ra_error *err) {
    RA_TRY(check_metric(metric, err));
    size_t most = count_of(model, among);
    if (k < 1 || k > most)
        RA_FAIL(err, RA_ERR_ARGUMENT, "k is %zu; expected 1 to %zu, the number of atoms", k, most);
    RA_TRY(ra_model_check_rows("query", queries, count, model->info.dimensions, err));
    if (count == 0) return RA_OK;
    search s = {.model = model, .k = k, .metric = metric, .except = no_atom, .among = among, .most = most};
    return run(&s, workspace, queries, count, ids, scores, err);
}

ra_status ra_model_neighbors(const ra_model *model, ra_workspace *workspace, size_t atom, size_t k,
                             ra_similarity metric, size_t *ids, float *scores, ra_error *err) {
    RA_TRY(check_metric(metric, err));
    if (atom >= model->info.concepts)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no atom %zu: %s has %zu atoms, numbered from 0", atom,
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
