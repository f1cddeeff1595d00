/* Exact nearest neighbors at the speed of matrix products. scores.h explains how products become bounds: a
 * pair whose lower bound is above the least upper bound cannot win. The others, one or two of a thousand, are
 * computed in float64 from the vectors themselves.
 *
 * The mean of the data is subtracted before the products: that changes no distance, but makes the norms, and
 * with them the bounds, as small as possible. Scores are computed and used a tile at a time, while they are
 * in the cache.
 *
 * Where it pays, a product in 8 bits comes first (tensor/coarse.h). It bounds the scores from below only, and less closely:
 * so the first distance that is computed is that of the point with the least bound, and no pair can win whose bound is above
 * it. If that leaves too many pairs, as where all points are about equally far away, float32 is quicker. */
#include "points/nearest.h"
#include "points/scores.h"
#include "ra_memory.h"
#include "tensor/turn.h"

#include <math.h>

enum {
    PART_ROWS = RA_NEAREST_PART_ROWS,
    COARSE_ROWS = 128,            /* that a part multiplies in 8 bits */
    COARSE_DIMENSIONS_LEAST = 64, /* with fewer of either, the rest takes longer than a product in float32 */
    COARSE_POINTS_LEAST = 256,
    JUDGED_PAIRS = 1 << 20,
    COMPUTED_SHARE =
        32, /* one distance of so many pairs: with more of them, a product in float32 takes less time */
};

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- life --------------------------------------------------------------------------------------------- */

static ra_status allocate(ra_nearest *nearest, size_t points, ra_error *err) {
    size_t d = nearest->reader.dimensions, rows = least(nearest->reader.rows, RA_NEAREST_TILE_ROWS);
    size_t tile = rows * least(points, RA_NEAREST_TILE_POINTS);
    RA_TRY(ra_point_set_init(&nearest->points, nearest->backend, points, d, 0, err));
    nearest->query = ra_malloc(rows * d, sizeof *nearest->query);
    nearest->query_norm = ra_malloc(rows, sizeof *nearest->query_norm);
    nearest->query_low = ra_malloc(rows, sizeof *nearest->query_low);
    nearest->score = ra_malloc(tile, sizeof *nearest->score);
    bool host = ra_backend_host_memory(nearest->backend);
    if (!host) nearest->least = ra_malloc(rows, sizeof *nearest->least);
    nearest->coarse = host && d >= COARSE_DIMENSIONS_LEAST && ra_coarse_pays(d);
    if (nearest->query && nearest->query_norm && nearest->query_low && nearest->score &&
        (host || nearest->least))
        return RA_OK;
    RA_FAIL_MEMORY(err, "the search for nearest rows", (rows * d + tile) * sizeof(float));
}

ra_status ra_nearest_init(ra_nearest *nearest, ra_backend *backend, const ra_data *data,
                          const uint64_t *sample, size_t count, size_t points, ra_error *err) {
    size_t rows = ra_data_rows(data);
    *nearest = (ra_nearest){.backend = backend};
    if (rows > INT32_MAX || points > INT32_MAX)
        RA_FAIL(
            err, RA_ERR_TOO_LARGE,
            "the data have %zu rows, for %zu points; the search for nearest rows can take at most %d of each",
            rows, points, INT32_MAX);
    ra_status status =
        ra_row_reader_init(&nearest->reader, ra_backend_pool(backend), data, sample, count, err);
    if (status == RA_OK) status = allocate(nearest, points, err);
    if (status != RA_OK) ra_nearest_release(nearest);
    return status;
}

void ra_nearest_release(ra_nearest *nearest) {
    ra_row_reader_release(&nearest->reader);
    ra_point_set_release(&nearest->points);
    ra_free(nearest->query);
    ra_free(nearest->query_norm);
    ra_free(nearest->query_low);
    ra_free(nearest->score);
    ra_free(nearest->least);
    ra_coarse_release(&nearest->rounded);
    ra_buffer_release(&nearest->uploaded.memory);
    ra_buffer_release(&nearest->memory);
    *nearest = (ra_nearest){0};
}

void ra_nearest_set(ra_nearest *nearest, const float *vectors) {
    ra_point_set_fill(&nearest->points, nearest->reader.pool, vectors, nearest->points.capacity,
                      nearest->reader.mean);
}

/* ---- the nearest point of each row -------------------------------------------------------------------- */

typedef struct point_job {
    const ra_nearest *nearest;
    const ra_point_set *set;
    const int32_t *picked; /* [rows] or NULL */
    size_t row, rows;      /* the tile: the picked rows from `row` on ... */
    size_t first, count;   /* ... and these points of the set; score is [rows, count] */
    const ra_nearest_state *state;
    size_t *computed; /* of each part */
    bool coarse;      /* the scores are bounds from below, of products in 8 bits */
} point_job;

/* What is known of a row's scores: on the host from these, on a device from what it found. */
typedef struct row_search {
    const float *score; /* NULL: only the least of them are known */
    ra_filter_least least;
    size_t first;    /* where the least one is, if only that is known, or if scores are coarse */
    double distance; /* to that point, if scores are coarse */
    float limit;
    bool only; /* at most one point can win */
} row_search;

static int32_t point_at(const point_job *job, size_t p) {
    const ra_point_set *set = job->set;
    return set->index ? set->index[job->first + p] : (int32_t)(job->first + p);
}

static double distance_to(const point_job *job, size_t row, int32_t point) {
    size_t d = job->set->dimensions;
    return ra_squared_distance(job->nearest->reader.chunk + row * d, job->set->vector + (size_t)point * d, d);
}

/* Of coarse scores: the distance to the point with the least one, as far as any is known. */
static double reach(const point_job *job, size_t row, row_search *found) {
    found->first = ra_filter_next(found->score, job->set->low + job->first, 0, job->count, found->least.low);
    if (found->first == job->count) return INFINITY;
    int32_t point = point_at(job, found->first);
    found->distance =
        point == job->state->label[row] ? job->state->distance[row] : distance_to(job, row, point);
    return found->distance;
}

static row_search look(const point_job *job, size_t i) {
    const ra_nearest *nearest = job->nearest;
    const ra_point_set *set = job->set;
    size_t row = job->picked ? (size_t)job->picked[job->row + i] : job->row + i, n = job->count;
    double share = set->share, norm = nearest->query_norm[i], best = job->state->distance[row], reached;
    row_search found = {.score = nearest->score + i * n};
    if (nearest->least) {
        const ra_least *least = &nearest->least[i];
        found.least = (ra_filter_least){least->high, least->low, least->second_low};
        found.first = (size_t)least->first;
    } else
        found.least = ra_filter_scan(found.score, set->low + job->first, set->high + job->first, n);
    /* some point is at most this far away, so none that is farther can win */
    if (job->coarse)
        reached = reach(job, row, &found);
    else
        reached = norm * (1 + share) + (double)found.least.high;
    found.limit = ra_filter_limit(reached < best ? reached : best, norm, share);
    found.only = !set->wild && found.least.second_low > found.limit;
    if (job->coarse && !(nearest->rounded.error[i] < INFINITY)) found.only = false;
    if (nearest->least && found.only) found.score = NULL;
    return found;
}

/* The first point from `from` on that can win. */
static size_t next(const point_job *job, const row_search *found, size_t from) {
    if (found->score)
        return ra_filter_next(found->score, job->set->low + job->first, from, job->count, found->limit);
    return !(found->least.low > found->limit) && found->first < job->count ? found->first : job->count;
}

/* Every point of the tile except the row's own is at least this far away. */
static float lower_bound(const point_job *job, const row_search *found, size_t i, int32_t label) {
    double share = job->set->share, norm = job->nearest->query_norm[i];
    size_t own = (size_t)ra_point_set_position(job->set, label) -
                 job->first; /* wraps around if it is not in the tile */
    float low = found->least.low;
    if (job->set->wild || ra_filter_wild(norm)) return 0;
    if (job->coarse && !(job->nearest->rounded.error[i] < INFINITY)) return 0;
    if (own < job->count &&
        (found->score ? found->score[own] + job->set->low[job->first + own] <= low : own == found->first))
        low = found->least.second_low;
    double squared = norm * (1 - share) + (double)low;
    return squared > 0 ? nextafterf((float)sqrt(squared), 0) : 0;
}

typedef struct winner {
    int32_t label;
    double distance;
    float lower; /* those that it has beaten are at least this far away */
} winner;

static void offer(winner *best, int32_t point, double distance) {
    if (distance > best->distance || (distance == best->distance && point > best->label)) return;
    best->lower = fminf(best->lower, nextafterf((float)sqrt(best->distance), 0));
    best->distance = distance;
    best->label = point;
}

/* Returns how many distances had to be computed, besides the first of coarse scores. */
static size_t search_row(const point_job *job, size_t i) {
    const ra_nearest_state *state = job->state;
    size_t row = job->picked ? (size_t)job->picked[job->row + i] : job->row + i, n = job->count, computed = 0;
    winner best = {state->label[row], state->distance[row], INFINITY};
    row_search found = look(job, i);
    if (job->coarse && found.first < n && point_at(job, found.first) != best.label)
        offer(&best, point_at(job, found.first), found.distance);
    bool done = job->coarse && found.only;
    for (size_t p = done ? n : next(job, &found, 0); p < n; p = found.only ? n : next(job, &found, p + 1)) {
        int32_t point = point_at(job, p);
        if (point == best.label || (job->coarse && p == found.first)) continue;
        offer(&best, point, distance_to(job, row, point));
        computed++;
    }
    state->label[row] = best.label;
    state->distance[row] = best.distance;
    if (state->lower)
        state->lower[row] =
            fminf(state->lower[row], fminf(best.lower, lower_bound(job, &found, i, best.label)));
    return computed;
}

static void point_part(void *context, size_t part) {
    const point_job *job = context;
    size_t from = part * PART_ROWS, computed = 0;
    for (size_t i = from; i < from + PART_ROWS && i < job->rows; i++) computed += search_row(job, i);
    job->computed[part] = computed;
}

/* ---- in 8 bits ------------------------------------------------------------------------------------------ */

static void score_part(void *context, size_t part) {
    const point_job *job = context;
    const ra_nearest *nearest = job->nearest;
    size_t blocks = ra_pool_parts(job->rows, COARSE_ROWS), panel = part / blocks * RA_COARSE_PANEL,
           from = part % blocks * COARSE_ROWS;
    ra_coarse_scores(&job->set->rounded, (job->first + panel) / RA_COARSE_PANEL, &nearest->rounded, from,
                     least(from + COARSE_ROWS, job->rows), true, nearest->score + from * job->count + panel,
                     job->count);
}

/* nearest->score <- bounds of the tile. */
static void score_coarsely(ra_nearest *nearest, point_job *job) {
    size_t panels = ra_pool_parts(job->count, RA_COARSE_PANEL),
           blocks = ra_pool_parts(job->rows, COARSE_ROWS);
    ra_pool_run(nearest->reader.pool, panels * blocks, score_part, job);
}

static void judge(ra_nearest *nearest, const point_job *job) {
    nearest->pairs += job->rows * job->count;
    for (size_t part = 0; part < ra_pool_parts(job->rows, PART_ROWS); part++)
        nearest->found += nearest->computed[part];
    if (nearest->pairs < JUDGED_PAIRS) return;
    nearest->coarse = nearest->found <= nearest->pairs / COMPUTED_SHARE;
    nearest->pairs = nearest->found = 0;
}

/* *is <- whether products of this set are in 8 bits; nearest->rounded <- the rows of the tile. */
static ra_status choose(ra_nearest *nearest, ra_point_set *set, size_t rows, bool *is, ra_error *err) {
    *is = false;
    if (!nearest->coarse || set->count < COARSE_POINTS_LEAST) return RA_OK;
    ra_coarse *rounded = &nearest->rounded;
    if (!rounded->capacity) {
        RA_TRY(ra_coarse_init(rounded, false, least(nearest->reader.rows, RA_NEAREST_TILE_ROWS),
                              set->dimensions, err));
        rounded->turned = ra_turn_pays(nearest->query, rows, set->dimensions);
    }
    RA_TRY(ra_point_set_round(set, nearest->reader.pool, rounded->turned, err));
    if (!set->rounds) return RA_OK;
    ra_coarse_round(rounded, nearest->reader.pool, nearest->query, rows);
    *is = true;
    return RA_OK;
}

/* ---- tiles ---------------------------------------------------------------------------------------------- */

/* The scores of rows of which several points can win; of all, if these are many: one copy is then quicker. */
static ra_status fetch_scores(ra_nearest *nearest, const point_job *job, const float *scores, ra_error *err) {
    enum { MANY = 8 };
    size_t n = job->count, wanted = 0;
    for (size_t i = 0; i < job->rows; i++) wanted += !look(job, i).only;
    if (wanted == 0) return RA_OK;
    if (wanted > job->rows / MANY)
        return ra_backend_get(nearest->backend, nearest->score, scores, job->rows * n * sizeof *scores, err);
    for (size_t i = 0; i < job->rows; i++)
        if (!look(job, i).only)
            RA_TRY(ra_backend_download(nearest->backend, nearest->score + i * n, scores + i * n,
                                       n * sizeof *scores, err));
    return ra_backend_synchronize(nearest->backend, err);
}

/* nearest->least <- of the tile, from the device. */
static ra_status find_least(ra_nearest *nearest, const point_job *job, const float *points, ra_error *err) {
    const ra_point_set *set = job->set;
    ra_backend *backend = nearest->backend;
    size_t m = job->rows, n = job->count, d = set->dimensions, used = m * sizeof(ra_least) / sizeof(float);
    const float *low = set->bounds.vectors + job->first;
    RA_TRY(ra_buffer_reserve(&nearest->memory, backend, used + m * n, err));
    ra_least *least = (ra_least *)(void *)nearest->memory.data;
    float *scores = nearest->memory.data + used;
    RA_TRY(ra_backend_gemm(backend, false, true, m, n, d, -2, nearest->uploaded.vectors, d,
                           points + job->first * d, d, 0, scores, n, err));
    RA_TRY(ra_backend_least_scores(backend, scores, m, n, low, low + set->capacity, least, err));
    RA_TRY(ra_backend_get(backend, nearest->least, least, m * sizeof *least, err));
    return fetch_scores(nearest, job, scores, err);
}

static ra_status search_tile(ra_nearest *nearest, point_job *job, const float *points, ra_error *err) {
    size_t d = job->set->dimensions;
    if (job->coarse)
        score_coarsely(nearest, job);
    else if (nearest->least)
        RA_TRY(find_least(nearest, job, points, err));
    else
        RA_TRY(ra_scores(&nearest->memory, nearest->backend, nearest->uploaded.vectors, job->rows,
                         points + job->first * d, job->count, d, nearest->score, err));
    ra_pool_run(nearest->reader.pool, ra_pool_parts(job->rows, PART_ROWS), point_part, job);
    if (job->coarse) judge(nearest, job);
    return RA_OK;
}

ra_status ra_nearest_point(ra_nearest *nearest, ra_point_set *set, const int32_t *picked, size_t count,
                           const ra_nearest_state *state, ra_error *err) {
    point_job job = {.nearest = nearest, .set = set, .state = state, .computed = nearest->computed};
    const float *points = NULL;
    if (!picked) count = nearest->reader.count;
    if (count) RA_TRY(ra_point_set_upload(set, nearest->backend, &points, err));
    for (job.row = 0; job.row < count; job.row += job.rows) {
        job.rows = least(count - job.row, RA_NEAREST_TILE_ROWS);
        job.picked = picked;
        ra_row_reader_center(&nearest->reader, job.row, picked, job.rows, nearest->query,
                             nearest->query_norm);
        RA_TRY(ra_uploaded_set(&nearest->uploaded, nearest->backend, nearest->query,
                               job.rows * set->dimensions, err));
        RA_TRY(choose(nearest, set, job.rows, &job.coarse, err));
        size_t tile =
            job.coarse ? RA_NEAREST_TILE_POINTS / RA_COARSE_PANEL * RA_COARSE_PANEL : RA_NEAREST_TILE_POINTS;
        for (job.first = 0; job.first < set->count; job.first += job.count) {
            job.count = least(set->count - job.first, tile);
            RA_TRY(search_tile(nearest, &job, points, err));
        }
    }
    return RA_OK;
}
